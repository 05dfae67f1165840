/* Tiles of IQ3_XXS with AVX-512. Indices are turned before they are looked up, a byte where there will be four. */
#include "iq3_book512.h"

#if defined(__x86_64__)

/* Four indices of each row, four rows in 16 bytes, by index: those of the first index of all four rows, of the
 * third, the second and the last. */
CK_AVX512_INLINE __m512i by_index(__m512i words) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15);
  return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
}

/* The sign bytes of these indices, two of which share one; `first` is the first of the row's four. */
CK_AVX512_INLINE __m512i signs_by_index(__m512i signs, int first) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13);
  return _mm512_shuffle_epi8(
      signs, _mm512_broadcast_i32x4(_mm_add_epi8(order, _mm_set1_epi8((char)first))));
}

CK_AVX512 void ck_avx512_tile_IQ3_XXS(const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t count,
                                      ck_scratch256 *s) {
  (void)count; /* blocks have 256 columns */
  ck_iq3_heads heads;
  __m512i v[CK_TILE_ROWS];
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const ck_block_IQ3_XXS *b = (const void *)(rows[r] + offset);
    ck_fetch_tile(rows, (size_t)r, offset, sizeof *b);
    ck_iq3_copy_head(&heads, r, b);
    v[r] = load64(b->qs);
  }
  turn16(v);
  for (int g = 0; g < 8; g++) {
    const __m512i signs = ck_iq3_signs(_mm512_load_si512(heads.words[g]));
    for (int half = 0; half < 2; half++) {
      const int word = 2 * g + half;
      __m512i p[4];
      ck_iq3_look_up(p, by_index(v[word]), signs_by_index(signs, 2 * half));
      const __m512i even01 = _mm512_unpacklo_epi8(p[0], p[1]), odd01 = _mm512_unpackhi_epi8(p[0], p[1]);
      const __m512i even23 = _mm512_unpacklo_epi8(p[2], p[3]), odd23 = _mm512_unpackhi_epi8(p[2], p[3]);
      const size_t first = 4 * (size_t)word;
      put_bytes(s, first, _mm512_unpacklo_epi16(even01, even23));
      put_bytes(s, first + 1, _mm512_unpacklo_epi16(odd01, odd23));
      put_bytes(s, first + 2, _mm512_unpackhi_epi16(even01, even23));
      put_bytes(s, first + 3, _mm512_unpackhi_epi16(odd01, odd23));
    }
  }
  ck_iq3_put_scales((__m512 *)(void *)s->scales, &heads);
  s->offset = 128;
}

#endif

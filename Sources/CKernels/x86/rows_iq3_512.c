/* One token by rows of IQ3_XXS with AVX-512. */
#include "iq3_book512.h"
#include "rows_block512.h"

#if defined(__x86_64__)

/* Even indices of each 16 bytes, two groups, then odd ones: eight indices that take the low four signs of a
 * byte, and eight that take the high four. */
#define EVEN_ODD 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15

/* 256 activations in four planes, as the book has its values: byte i of plane j is the jth of the four columns
 * of index i. */
CK_AVX512_INLINE void load_planes(__m512i to[4], const int8_t *values) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(EVEN_ODD));
  const __m512i by_place = _mm512_add_epi8(
      _mm512_slli_epi16(order, 2),
      _mm512_setr_epi64(0, 0, 0x0101010101010101, 0x0101010101010101, 0x0202020202020202,
                        0x0202020202020202, 0x0303030303030303, 0x0303030303030303));
  __m512i v[4];
  for (int i = 0; i < 4; i++) v[i] = _mm512_permutexvar_epi8(by_place, load64(values + 64 * i));
  put_lanes(to, 1, v);
}

/* Four products on top of each other, which leave sums of four indices: of each two groups, those of the even
 * indices, then those of the odd ones. */
CK_AVX512_INLINE __m512i multiply_planes(const ck_block_IQ3_XXS *b, const activations256 *x,
                                         const bool is_wide) {
  __m512i planes[4], sum = _mm512_setzero_si512();
  const __m512i index =
      _mm512_shuffle_epi8(load64(b->qs), _mm512_broadcast_i32x4(_mm_setr_epi8(EVEN_ODD)));
  const __m512i words = _mm512_castsi256_si512(
      _mm256_loadu_si256((const __m256i *)(const void *)b->scales_and_signs));
  const __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), words);
  ck_iq3_look_up(planes, index, ck_iq3_signs(twice));
  for (int j = 0; j < 4; j++) sum = _mm512_dpbusd_epi32(sum, planes[j], x->high[j]);
  if (!is_wide) return sum;
  sum = _mm512_slli_epi32(sum, 8);
  for (int j = 0; j < 4; j++) sum = _mm512_dpbusd_epi32(sum, planes[j], x->low[j]);
  return sum;
}

CK_AVX512_INLINE void IQ3_XXS_columns(blocks16 b, const activations256 *x, columns256 *c,
                                      const bool is_wide) {
  ck_iq3_heads heads;
  for (int r = 0; r < CK_TILE_ROWS; r++) ck_iq3_copy_head(&heads, r, row_at(b, r));
  __m512i even[4], odd[4];
  for (int i = 0; i < 4; i++) {
    __m512i w[2];
    for (int pair = 0; pair < 2; pair++) {
      const size_t bytes = sizeof(ck_block_IQ3_XXS);
      const __m512i first = multiply_planes(take_row(b, 4 * i + 2 * pair, bytes), x, is_wide);
      const __m512i second = multiply_planes(take_row(b, 4 * i + 2 * pair + 1, bytes), x, is_wide);
      w[pair] = _mm512_add_epi32(_mm512_unpacklo_epi64(first, second),
                                 _mm512_unpackhi_epi64(first, second));
    }
    const __m512 a = _mm512_castsi512_ps(w[0]), d = _mm512_castsi512_ps(w[1]);
    even[i] = _mm512_castps_si512(_mm512_shuffle_ps(a, d, 0x88));
    odd[i] = _mm512_castps_si512(_mm512_shuffle_ps(a, d, 0xdd));
  }
  put_lanes(c->whole, 2, even);
  put_lanes(c->whole + 1, 2, odd);
  ck_iq3_put_scales(c->scales, &heads);
}

CK_DEFINE_BOTH_ROWS(IQ3_XXS, load_planes, 32, false, 128)

#endif

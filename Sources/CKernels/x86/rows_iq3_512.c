/* One token by rows of IQ3_XXS with AVX-512. */
#include "iq3_book512.h"
#include "rows_block512.h"

#if defined(__x86_64__)

/* 256 activations in four planes, as the book has its values: byte i of plane j is the jth of the four columns
 * of index i. */
CK_AVX512_INLINE void load_planes(__m512i to[4], const int8_t *values) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(CK_IQ3_ORDER));
  const __m512i by_place = _mm512_add_epi8(
      _mm512_slli_epi16(order, 2),
      _mm512_setr_epi64(0, 0, 0x0101010101010101, 0x0101010101010101, 0x0202020202020202,
                        0x0202020202020202, 0x0303030303030303, 0x0303030303030303));
  __m512i v[4];
  for (int i = 0; i < 4; i++) v[i] = _mm512_permutexvar_epi8(by_place, load64(values + 64 * i));
  put_lanes(to, 1, v);
}

/* Scales are in the upper four bits of words. */
CK_AVX512_INLINE void put_scales(columns256 *c, const uint16_t halves[CK_TILE_ROWS],
                                 uint32_t words[8][CK_TILE_ROWS]) {
  const __m512 half = _mm512_set1_ps(0.5f);
  const __m512 d =
      _mm512_mul_ps(half, _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)halves)));
  for (int g = 0; g < 8; g++) {
    const __m512 small = _mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_load_si512(words[g]), 28));
    c->scales[g] = _mm512_mul_ps(d, _mm512_add_ps(small, half));
  }
}

/* Four products on top of each other, which leave sums of four indices: of each two groups, those of the even
 * indices, then those of the odd ones. */
CK_AVX512_INLINE __m512i multiply_planes(const ck_block_IQ3_XXS *b, const activations256 *x,
                                         const bool is_wide) {
  __m512i planes[4], sum = _mm512_setzero_si512();
  ck_iq3_planes(planes, b->qs, ck_iq3_packed(b));
  for (int j = 0; j < 4; j++) sum = _mm512_dpbusd_epi32(sum, planes[j], x->high[j]);
  if (!is_wide) return sum;
  sum = _mm512_slli_epi32(sum, 8);
  for (int j = 0; j < 4; j++) sum = _mm512_dpbusd_epi32(sum, planes[j], x->low[j]);
  return sum;
}

CK_AVX512_INLINE void IQ3_XXS_columns(rows16 b, const activations256 *x, columns256 *c,
                                      const bool is_wide) {
  _Alignas(64) uint32_t words[8][CK_TILE_ROWS];
  _Alignas(32) uint16_t halves[CK_TILE_ROWS];
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const ck_block_IQ3_XXS *block = row_at(b, r);
    for (int g = 0; g < 8; g++) copy_word(&words[g][r], block->scales_and_signs + 4 * g);
    copy_half(&halves[r], &block->d);
  }
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
  put_scales(c, halves, words);
}

CK_DEFINE_BOTH_ROWS(IQ3_XXS, load_planes, 256, 32, false, 128)

#endif

/* Eight rows of quantised weights by one token with AVX-512's byte products, of 32 bytes at once. */
#ifndef CK_HALF_ROWS512_H
#define CK_HALF_ROWS512_H

#include "avx512.h"
#include "rows256.h"
#include "tile256.h"

#if defined(__x86_64__)

/* What one product needs to know of a token: the values that it uses, and their scales. `bias` is -128
 * times the sums of groups of 16 or 32, as the weights have them. */
typedef struct {
  const int8_t *high, *low;
  const float *scales;
  const int32_t *bias;
} ck_token512;

/* What AVX-512 takes for codes: bytes without a sign. `offset` (a constant) is that of
 * CK_DEFINE_LEVELS; beyond a byte it says that codes are levels. */
CK_AVX512_INLINE int ck_offset512(const int offset) { return offset > 255 ? 128 : offset; }

CK_AVX512_INLINE __m256i ck_codes512(__m256i codes, const int offset) {
  return offset > 255 ? _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80)) : codes;
}

/* The same with an offset of 128. */
CK_AVX512_INLINE __m256i ck_bytes512(__m256i codes, const int offset) {
  return _mm256_add_epi8(codes, _mm256_set1_epi8((char)(offset > 255 ? 128 : 128 - offset)));
}

/* 32 bytes by the activations of columns `at` ..< at + 32; lane i has the sum of four neighbours. */
CK_AVX512_INLINE __m256i ck_multiply_codes512(__m256i codes, const ck_token512 *x, size_t at,
                                              const bool is_wide) {
  const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(x->high + at));
  const __m256i sum = _mm256_dpbusd_epi32(_mm256_setzero_si256(), codes, high);
  if (!is_wide) return sum;
  const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(x->low + at));
  return _mm256_dpbusd_epi32(_mm256_slli_epi32(sum, 8), codes, low);
}

/* to[i] = sums[i] - offset times the sum of the activations, for eight groups. */
CK_AVX512_INLINE void ck_put_less512(int32_t *to, __m256i sums, const int offset,
                                     const int32_t *bias) {
  const __m256i own = _mm256_loadu_si256((const __m256i *)(const void *)bias);
  const __m256i less = _mm256_srai_epi32(_mm256_mullo_epi32(own, _mm256_set1_epi32(offset)), 7);
  _mm256_store_si256((__m256i *)(void *)to, offset == 0     ? sums
                                            : offset == 128 ? _mm256_add_epi32(sums, own)
                                                            : _mm256_add_epi32(sums, less));
}

/* ck_put_whole for this form of a token. */
CK_AVX512_INLINE void ck_put_whole512(int32_t *to, const __m256i v[8], const size_t group,
                                      const int offset, const ck_token512 *x, size_t first) {
  const int32_t *bias = x->bias + first;
  __m256i sums[2];
  ck_add_within_lanes(v, sums);
  if (group == 32) {
    ck_put_less512(to, _mm256_add_epi32(sums[0], sums[1]), offset, bias);
    return;
  }
  const __m256i low = _mm256_unpacklo_epi32(sums[0], sums[1]);
  const __m256i high = _mm256_unpackhi_epi32(sums[0], sums[1]);
  ck_put_less512(to, _mm256_permute2x128_si256(low, high, 0x20), offset, bias);
  ck_put_less512(to + 8, _mm256_permute2x128_si256(low, high, 0x31), offset, bias + 8);
}

/* ck_add_panel for this form of a token. */
CK_AVX512_INLINE __m256 ck_add_panel512(const ck_panel *p, __m256 sums, const ck_token512 *x,
                                        size_t column, size_t groups, const size_t group,
                                        const bool has_minima) {
  const float *steps = x->scales + column / 32;
  const int32_t *bias = x->bias + column / group;
  for (size_t g = 0; g < groups; g += 8) {
    __m256i whole[8], scales[8], minima[8];
    const size_t count = groups - g < 8 ? groups - g : 8;
    ck_transpose8(whole, &p->whole[0][g], sizeof p->whole[0]);
    ck_transpose8(scales, &p->scales[0][g], sizeof p->scales[0]);
    if (has_minima) ck_transpose8(minima, &p->minima[0][g], sizeof p->minima[0]);
    for (size_t i = 0; i < count; i++) {
      const float step = steps[(g + i) * group / 32];
      sums = ck_add_group(sums, whole[i], _mm256_castsi256_ps(scales[i]), step,
                          has_minima ? _mm256_castsi256_ps(minima[i]) : _mm256_setzero_ps(),
                          has_minima ? -0x1p-7f * step * (float)bias[g + i] : 0, has_minima);
    }
  }
  return sums;
}

/* out[r] = row r times the token, for eight rows. */
typedef void ck_avx512_rows8(const uint8_t *const rows[CK_HALF_ROWS], size_t columns, ck_token512 x,
                             float out[CK_HALF_ROWS]);

/* The same for sixteen rows of a multiple of 128 columns. */
typedef void ck_avx512_rows16(const uint8_t *const rows[CK_TILE_ROWS], size_t columns, ck_token512 x,
                              float out[CK_TILE_ROWS]);

/* Of any type, and those of some types (rows_*_512.c), which are faster. */
#define CK_DECLARE_AVX512_ROWS(NAME, GROUP, MINIMA)                            \
  ck_avx512_rows8 ck_avx512_any_rows_##NAME, ck_avx512_any_narrow_rows_##NAME; \
  ck_avx512_rows16 ck_avx512_rows_##NAME, ck_avx512_narrow_rows_##NAME;
CK_EACH_LEVEL_TYPE(CK_DECLARE_AVX512_ROWS)
#undef CK_DECLARE_AVX512_ROWS

#endif
#endif

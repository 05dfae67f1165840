/* AVX2 rows of F32, F16 and BF16. Rows may have any length; a tail of fewer than eight elements
 * counts as one more vector, filled with zeros. */
#include "avx2.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256 load8_F32(const uint8_t *p) { return _mm256_loadu_ps((const void *)p); }

CK_AVX2_INLINE __m256 load8_F16(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

CK_AVX2_INLINE __m256 load8_BF16(const uint8_t *p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

#define DEFINE_ROW(NAME, BYTES)                                                              \
  CK_AVX2_INLINE __m256 load_first_##NAME(const uint8_t *p, size_t count) {                  \
    uint8_t padded[8 * (BYTES)] = {0};                                                       \
    memcpy(padded, p, count * (BYTES));                                                      \
    return load8_##NAME(padded);                                                             \
  }                                                                                          \
  CK_AVX2 float ck_avx2_dot_##NAME(const uint8_t *row, size_t columns, const float *x) {     \
    ck_sums sums = {{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),          \
                     _mm256_setzero_ps()}};                                                  \
    for (; columns >= 32; columns -= 32, row += 32 * (BYTES), x += 32) {                     \
      const __m256 w[4] = {load8_##NAME(row), load8_##NAME(row + 8 * (BYTES)),               \
                           load8_##NAME(row + 16 * (BYTES)), load8_##NAME(row + 24 * (BYTES))}; \
      ck_accumulate32(&sums, w, x);                                                          \
    }                                                                                        \
    int i = 0;                                                                               \
    for (; columns >= 8; columns -= 8, row += 8 * (BYTES), x += 8, i++) {                    \
      sums.v[i] = _mm256_fmadd_ps(load8_##NAME(row), _mm256_loadu_ps(x), sums.v[i]);         \
    }                                                                                        \
    if (columns) {                                                                           \
      sums.v[i] = _mm256_fmadd_ps(load_first_##NAME(row, columns), ck_load_first(x, columns), \
                                  sums.v[i]);                                                \
    }                                                                                        \
    return ck_total(&sums);                                                                  \
  }                                                                                          \
  CK_AVX2 void ck_avx2_decode_##NAME(const uint8_t *blocks, size_t count, float *out) {      \
    for (; count >= 8; count -= 8, blocks += 8 * (BYTES), out += 8) {                        \
      _mm256_storeu_ps(out, load8_##NAME(blocks));                                           \
    }                                                                                        \
    if (count) ck_store_first(out, count, load_first_##NAME(blocks, count));                 \
  }

DEFINE_ROW(F32, 4)
DEFINE_ROW(F16, 2)
DEFINE_ROW(BF16, 2)

#endif

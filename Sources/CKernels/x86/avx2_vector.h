/* The AVX2 kernels of the table, and the exponential function that they share. */
#ifndef CK_AVX2_VECTOR_H
#define CK_AVX2_VECTOR_H

#include "avx2.h"

#if defined(__x86_64__)

void ck_avx2_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                      size_t out_stride);
void ck_avx2_attend(const ck_attention *attention, float *scratch);
void ck_avx2_convolve_silu(const float *taps, const float *const *history, size_t width, float *out,
                           size_t channels);
void ck_avx2_delta_steps(float *state, ck_delta_tokens tokens, size_t dim);

/* e^x within 2 ulp for -87.3 <= x <= 88.3; below 0, above the value at 88.3; NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2, e^r by the Taylor polynomial of degree 7, whose remainder
 * (5e-9) is far below an ulp. ln 2 is split so that n * high is exact. */
CK_AVX2_INLINE __m256 ck_exp8(__m256 x) {
  const __m256 lowest = _mm256_set1_ps(-87.3f);
  const __m256 is_zero = _mm256_cmp_ps(x, lowest, _CMP_LT_OQ);
  /* min and max return their second operand when one is NaN. */
  x = _mm256_min_ps(_mm256_set1_ps(88.3f), _mm256_max_ps(lowest, x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e400p-1f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
  __m256 p = _mm256_set1_ps(1.0f / 5040);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  const __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  return _mm256_andnot_ps(is_zero, _mm256_mul_ps(p, power));
}

/* sums[j] = sum over i of a[8 * i + j] * b[8 * i + j]; `count` is a multiple of 8. */
CK_AVX2_INLINE void ck_dot8(const float *a, const float *b, size_t count, float sums[8]) {
  __m256 sum = _mm256_setzero_ps();
  for (size_t i = 0; i < count; i += 8) {
    sum = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sum);
  }
  _mm256_storeu_ps(sums, sum);
}

/* 1 / (1 + e^-x) */
CK_AVX2_INLINE __m256 ck_sigmoid8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1);
  const __m256 e = ck_exp8(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
  return _mm256_div_ps(one, _mm256_add_ps(one, e));
}

#endif
#endif

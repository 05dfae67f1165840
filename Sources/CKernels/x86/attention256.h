/* What attention.h asks of vectors of eight floats. */
#ifndef CK_ATTENTION256_H
#define CK_ATTENTION256_H

#include "avx2_vector.h"

#if defined(__x86_64__)

enum { CK_LANES = 8 };
typedef __m256 ck_lanes;

CK_AVX2_INLINE __m256 lanes_load(const float *p) { return _mm256_loadu_ps(p); }
CK_AVX2_INLINE void lanes_store(float *p, __m256 v) { _mm256_storeu_ps(p, v); }
CK_AVX2_INLINE __m256 lanes_set(float x) { return _mm256_set1_ps(x); }
CK_AVX2_INLINE __m256 lanes_mul(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
CK_AVX2_INLINE __m256 lanes_fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
CK_AVX2_INLINE __m256 lanes_max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
CK_AVX2_INLINE float lanes_sum(__m256 v) { return ck_sum8(v); }
CK_AVX2_INLINE __m256 exp_lanes(__m256 v) { return ck_exp8(v); }

CK_AVX2_INLINE __m256 half_lanes(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

CK_AVX2_INLINE __m256 byte_lanes(const int8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

#endif
#endif

/* What the AVX2 kernels share. Every function here is inlined into one that has the target
 * attribute, so no file needs a flag and the binary runs on any x86-64. */
#ifndef CK_AVX2_H
#define CK_AVX2_H

#include "../internal/decode.h"
#include "../internal/levels.h"
#include "../scalar/scalar.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define CK_AVX2 __attribute__((target("avx2,fma,f16c")))
#define CK_AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

/* Partial sums of one (row, token) pair: vector i of the row, elements 8 * i ..< 8 * i + 8, goes to
 * sum i % 4. All paths keep this order, hence the same bits from each. Four chains of fused
 * multiply-adds hide their latency of four cycles. */
enum { CK_SUMS = 4 };

typedef struct ck_sums {
  __m256 v[CK_SUMS];
} ck_sums;

CK_AVX2_INLINE float ck_sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

CK_AVX2_INLINE float ck_total(const ck_sums *s) {
  return ck_sum8(_mm256_add_ps(_mm256_add_ps(s->v[0], s->v[1]), _mm256_add_ps(s->v[2], s->v[3])));
}

/* Lanes below `count` (0..8) all ones, the rest zero. */
CK_AVX2_INLINE __m256i ck_first_lanes(size_t count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

/* `count` < 8 floats and zeros; touches no memory behind them. */
CK_AVX2_INLINE __m256 ck_load_first(const float *p, size_t count) {
  return _mm256_maskload_ps(p, ck_first_lanes(count));
}

CK_AVX2_INLINE void ck_store_first(float *p, size_t count, __m256 v) {
  _mm256_maskstore_ps(p, ck_first_lanes(count), v);
}

/* sum of w[i] * x[i] into the four sums; `w` has 32 elements. */
CK_AVX2_INLINE void ck_accumulate32(ck_sums *s, const __m256 w[4], const float *x) {
  for (int i = 0; i < 4; i++) s->v[i] = _mm256_fmadd_ps(w[i], _mm256_loadu_ps(x + 8 * i), s->v[i]);
}

/* Product of one row with one token, decoding in registers. */
typedef float ck_avx2_dot(const uint8_t *row, size_t columns, const float *x);

/* How to multiply by a row of one type. `decode` gives exactly the weights that `dot` uses. */
typedef struct ck_avx2_row {
  ck_avx2_dot *dot;
  ck_decode *decode;
} ck_avx2_row;

#define CK_AVX2_ROW(NAME)          \
  ck_avx2_dot ck_avx2_dot_##NAME;  \
  ck_decode ck_avx2_decode_##NAME;

CK_AVX2_ROW(F32)
CK_AVX2_ROW(F16)
CK_AVX2_ROW(BF16)
CK_AVX2_ROW(Q4_0)
CK_AVX2_ROW(Q5_0)
CK_AVX2_ROW(Q8_0)
CK_AVX2_ROW(Q4_K)
CK_AVX2_ROW(Q5_K)
CK_AVX2_ROW(Q6_K)
CK_AVX2_ROW(IQ3_XXS)
CK_AVX2_ROW(IQ3_S)
CK_AVX2_ROW(IQ4_NL)
CK_AVX2_ROW(IQ4_XS)
CK_AVX2_ROW(MXFP4)

void ck_avx2_quantize(const float *x, size_t x_stride, size_t columns, size_t rows, bool is_wide,
                      void *out);
void ck_avx2_multiply_quantized(ck_matrix w, const void *x, const int32_t *rows, size_t tokens,
                                bool is_wide, float *out, size_t out_stride);

/* Keeps the compiler from mixing the work of one group with the next: it would run out of registers
 * and spill (Q4_K: 5.0 to 6.2 GB/s with this, IQ3_XXS: 2.66 to 2.82; Ice Lake, 2.8 GHz). */
#define CK_KEEP_ORDER() __asm__ volatile("" ::: "memory")

/* Defines both functions of a block type from
 *   NAME_scales NAME_prepare(const ck_block_NAME *)            once a block
 *   NAME_group(const ck_block_NAME *, const NAME_scales *, int group, __m256 w[4])   32 weights */
#define CK_DEFINE_AVX2_ROW(NAME, ELEMENTS)                                                    \
  CK_AVX2 float ck_avx2_dot_##NAME(const uint8_t *row, size_t columns, const float *x) {      \
    const ck_block_##NAME *b = (const void *)row;                                             \
    ck_sums sums = {{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),           \
                     _mm256_setzero_ps()}};                                                   \
    for (; columns >= (ELEMENTS); columns -= (ELEMENTS), b++) {                               \
      const NAME##_scales scales = NAME##_prepare(b);                                         \
      _Pragma("clang loop unroll(full)") for (int g = 0; g < (ELEMENTS) / 32; g++, x += 32) { \
        __m256 w[4];                                                                          \
        NAME##_group(b, &scales, g, w);                                                       \
        ck_accumulate32(&sums, w, x);                                                         \
        CK_KEEP_ORDER();                                                                      \
      }                                                                                       \
    }                                                                                         \
    return ck_total(&sums);                                                                   \
  }                                                                                           \
  CK_AVX2 void ck_avx2_decode_##NAME(const uint8_t *blocks, size_t count, float *out) {       \
    const ck_block_##NAME *b = (const void *)blocks;                                          \
    for (; count >= (ELEMENTS); count -= (ELEMENTS), b++) {                                   \
      const NAME##_scales scales = NAME##_prepare(b);                                         \
      _Pragma("clang loop unroll(full)") for (int g = 0; g < (ELEMENTS) / 32; g++, out += 32) { \
        __m256 w[4];                                                                          \
        NAME##_group(b, &scales, g, w);                                                       \
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(out + 8 * i, w[i]);                      \
      }                                                                                       \
    }                                                                                         \
  }

/* A float16 in all lanes. Broadcast first: the compiler loads a single float16 by inserting it into
 * some register, and when that is a running sum each block waits for the one before (Q8_0: 2.5
 * times slower). */
CK_AVX2_INLINE __m256 ck_half8(uint16_t h) { return _mm256_cvtph_ps(_mm_set1_epi16((short)h)); }

/* Eight signed bytes as floats. */
CK_AVX2_INLINE __m256 ck_widen_i8(const void *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}

/* scale * q for 16 signed bytes. */
CK_AVX2_INLINE void ck_scale_i8(__m128i q, __m256 scale, __m256 w[2]) {
  const __m128i high = _mm_unpackhi_epi64(q, q);
  w[0] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)));
  w[1] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)));
}

/* The low or the high nibbles of 16 bytes. */
CK_AVX2_INLINE __m128i ck_low_nibbles(const uint8_t *qs) {
  return _mm_and_si128(_mm_loadu_si128((const void *)qs), _mm_set1_epi8(15));
}

CK_AVX2_INLINE __m128i ck_high_nibbles(const uint8_t *qs) {
  return _mm_and_si128(_mm_srli_epi16(_mm_loadu_si128((const void *)qs), 4), _mm_set1_epi8(15));
}

#endif
#endif

/* What the NEON kernels share. Every AArch64 CPU has NEON; what needs more (byte products) has the
 * target attribute and is chosen at run time, so no file needs a flag and the binary runs anywhere. */
#ifndef CK_NEON_H
#define CK_NEON_H

#include "../internal/decode.h"
#include "../internal/levels.h"
#include "../scalar/scalar.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define CK_NEON_INLINE static inline __attribute__((always_inline))

/* Partial sums of one (row, token) pair: vector i of the row, elements 4 * i ..< 4 * i + 4, goes to
 * sum i % 8. All paths keep this order, hence the same bits from each; they are those of the AVX2
 * kernels, whose four sums are twice as wide. */
enum { CK_SUMS = 8 };

typedef struct ck_sums {
  float32x4_t v[CK_SUMS];
} ck_sums;

CK_NEON_INLINE float ck_total(const ck_sums *s) {
  const float32x4_t low = vaddq_f32(vaddq_f32(s->v[0], s->v[2]), vaddq_f32(s->v[4], s->v[6]));
  const float32x4_t high = vaddq_f32(vaddq_f32(s->v[1], s->v[3]), vaddq_f32(s->v[5], s->v[7]));
  const float32x4_t both = vaddq_f32(low, high);
  const float32x2_t pair = vadd_f32(vget_low_f32(both), vget_high_f32(both));
  return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}

/* `count` < 4 floats and zeros; touches no memory behind them. */
CK_NEON_INLINE float32x4_t ck_load_first(const float *p, size_t count) {
  float padded[4] = {0};
  memcpy(padded, p, count * sizeof *p);
  return vld1q_f32(padded);
}

CK_NEON_INLINE void ck_store_first(float *p, size_t count, float32x4_t v) {
  float padded[4];
  vst1q_f32(padded, v);
  memcpy(p, padded, count * sizeof *p);
}

/* Product of one row with one token, decoding in registers. */
typedef float ck_neon_dot(const uint8_t *row, size_t columns, const float *x);

#define CK_NEON_ROW(NAME)         \
  ck_neon_dot ck_neon_dot_##NAME; \
  ck_decode ck_neon_decode_##NAME;

CK_NEON_ROW(F32)
CK_NEON_ROW(F16)
CK_NEON_ROW(BF16)

/* Types whose levels have a decoder of their own; the others use the portable one. */
#define CK_EACH_NEON_LEVEL_TYPE(X) \
  X(Q4_0) X(Q8_0) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ3_XXS) X(IQ4_NL) X(IQ4_XS) X(MXFP4)

#define CK_DECLARE_NEON_LEVELS(NAME) ck_levels ck_neon_levels_##NAME;
CK_EACH_NEON_LEVEL_TYPE(CK_DECLARE_NEON_LEVELS)
#undef CK_DECLARE_NEON_LEVELS

/* The kernels of the table that are not in vector.c. */
void ck_neon_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                      size_t out_stride);
void ck_neon_quantize(const float *x, size_t x_stride, size_t columns, size_t rows, bool is_wide,
                      void *out);
void ck_neon_attend(const ck_attention *attention, float *scratch);
void ck_neon_convolve_silu(const float *taps, const float *const *history, size_t width, float *out,
                           size_t channels);
void ck_neon_delta_steps(float *state, ck_delta_tokens tokens, size_t dim);

/* Products of quantised activations with the instructions that every CPU has, with dot products of
 * bytes (dotprod), and with those and products of 2 x 8 by 8 x 2 bytes (i8mm). All give the same
 * bits. */
void ck_neon_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                bool is_wide, float *out, size_t out_stride);
void ck_dotprod_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                   bool is_wide, float *out, size_t out_stride);
void ck_i8mm_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                bool is_wide, float *out, size_t out_stride);

#endif
#endif

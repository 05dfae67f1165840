/* NEON steps of the gated delta net; see scalar/recurrent.c for the definition. */
#include "exponential.h"

#if defined(__aarch64__)

#include <math.h>

CK_NEON_INLINE float32x4_t silu4(float32x4_t x) { return vmulq_f32(x, ck_sigmoid4(x)); }

void ck_neon_convolve_silu(const float *taps, const float *const *history, size_t width, float *out,
                           size_t channels) {
  size_t c = 0;
  if (width == 4) {
    for (; c + 4 <= channels; c += 4) {
      const float32x4x4_t tap = vld4q_f32(taps + 4 * c);
      float32x4_t sum = vdupq_n_f32(0);
      for (int j = 0; j < 4; j++) sum = vfmaq_f32(sum, tap.val[j], vld1q_f32(history[j] + c));
      vst1q_f32(out + c, silu4(sum));
    }
  }
  for (; c < channels; c++) {
    float sum = 0;
    for (size_t j = 0; j < width; j++) sum = fmaf(taps[c * width + j], history[j][c], sum);
    out[c] = vgetq_lane_f32(silu4(vdupq_n_f32(sum)), 0);
  }
}

/* The delta rule: delta_chunk.h with four lanes. */
#define VECTOR float32x4_t
#define LANES 4
#define INLINE CK_NEON_INLINE
#define LOAD(p) vld1q_f32(p)
#define STORE(p, x) vst1q_f32(p, x)
#define SET(x) vdupq_n_f32(x)
#define MULTIPLY(a, b) vmulq_f32(a, b)
#define SUBTRACT(a, b) vsubq_f32(a, b)
#define MULTIPLY_ADD(a, b, sum) vfmaq_f32(sum, a, b)
#include "../internal/delta_chunk.h"

void ck_neon_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 8) {
    ck_scalar_delta_steps(state, tokens, dim);
  } else {
    delta_steps(state, tokens, dim);
  }
}

#endif

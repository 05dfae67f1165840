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

CK_NEON_INLINE void sums8(const float *a, const float *b, size_t count, float sums[8]) {
  float32x4_t low = vdupq_n_f32(0), high = vdupq_n_f32(0);
  for (size_t i = 0; i < count; i += 8) {
    low = vfmaq_f32(low, vld1q_f32(a + i), vld1q_f32(b + i));
    high = vfmaq_f32(high, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
  }
  vst1q_f32(sums, low);
  vst1q_f32(sums + 4, high);
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
#define SUMS8 sums8
enum { TILE_TOKENS = 3, TILE_COLUMNS = 16 };
#include "../internal/delta_chunk.h"

void ck_neon_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 8) {
    ck_scalar_delta_steps(state, tokens, dim);
  } else {
    delta_steps(state, tokens, dim);
  }
}

#endif

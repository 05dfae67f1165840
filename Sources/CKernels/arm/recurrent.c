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

/* `vectors` (a constant) times four value indices: one sum each, over key indices in order. The
 * decayed state is computed in both passes rather than stored in between. */
CK_NEON_INLINE void delta_columns(float *state, const float *q, const float *k, const float *v,
                                  float decay, float beta, float scale, float *out, size_t dim,
                                  const int vectors) {
  float32x4_t sums[8], u[8];
  for (int j = 0; j < vectors; j++) sums[j] = vdupq_n_f32(0);
  for (size_t i = 0; i < dim; i++) {
    const float32x4_t key = vdupq_n_f32(k[i]);
    for (int j = 0; j < vectors; j++) {
      const float32x4_t s = vmulq_n_f32(vld1q_f32(state + i * dim + 4 * j), decay);
      sums[j] = vfmaq_f32(sums[j], key, s);
    }
  }
  for (int j = 0; j < vectors; j++) {
    u[j] = vmulq_n_f32(vsubq_f32(vld1q_f32(v + 4 * j), sums[j]), beta);
    sums[j] = vdupq_n_f32(0);
  }
  for (size_t i = 0; i < dim; i++) {
    const float32x4_t key = vdupq_n_f32(k[i]), query = vdupq_n_f32(q[i]);
    for (int j = 0; j < vectors; j++) {
      float *p = state + i * dim + 4 * j;
      const float32x4_t s = vfmaq_f32(vmulq_n_f32(vld1q_f32(p), decay), key, u[j]);
      vst1q_f32(p, s);
      sums[j] = vfmaq_f32(sums[j], query, s);
    }
  }
  for (int j = 0; j < vectors; j++) vst1q_f32(out + 4 * j, vmulq_n_f32(sums[j], scale));
}

static void delta_step(float *state, const float *q, const float *k, const float *v, float gate,
                       float beta, float *out, size_t dim) {
  const float decay = (float)exp((double)gate), scale = (float)(1 / sqrt((double)dim));
  size_t c = 0;
  for (; c + 32 <= dim; c += 32) {
    delta_columns(state + c, q, k, v + c, decay, beta, scale, out + c, dim, 8);
  }
  for (; c < dim; c += 8) {
    delta_columns(state + c, q, k, v + c, decay, beta, scale, out + c, dim, 2);
  }
}

void ck_neon_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 8) {
    ck_scalar_delta_steps(state, tokens, dim);
    return;
  }
  for (size_t t = 0; t < tokens.count; t++) {
    const size_t at = t * tokens.stride, gate = t * tokens.gate_stride;
    delta_step(state, tokens.q + at, tokens.k + at, tokens.v + at, tokens.gate[gate],
               tokens.beta[gate], tokens.out + t * tokens.out_stride, dim);
  }
}

#endif

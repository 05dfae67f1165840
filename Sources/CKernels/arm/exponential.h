/* The exponential function that the NEON kernels share. */
#ifndef CK_NEON_EXPONENTIAL_H
#define CK_NEON_EXPONENTIAL_H

#include "neon.h"

#if defined(__aarch64__)

/* e^x within 2 ulp for -87.3 <= x <= 88.3; below 0, above the value at 88.3; NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2, e^r by the Taylor polynomial of degree 7, whose remainder
 * (5e-9) is far below an ulp. ln 2 is split so that n * high is exact. The same steps as ck_exp8 of
 * the AVX2 kernels, hence the same bits. */
CK_NEON_INLINE float32x4_t ck_exp4(float32x4_t x) {
  const float32x4_t lowest = vdupq_n_f32(-87.3f);
  const uint32x4_t is_zero = vcltq_f32(x, lowest);
  /* vmaxq and vminq keep a NaN. */
  x = vminq_f32(vdupq_n_f32(88.3f), vmaxq_f32(lowest, x));
  const float32x4_t n = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(0x1.715476p+0f)));
  float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0x1.62e400p-1f));
  r = vfmsq_f32(r, n, vdupq_n_f32(0x1.7f7d1cp-20f));
  float32x4_t p = vdupq_n_f32(1.0f / 5040);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
  p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1), p, r);
  p = vfmaq_f32(vdupq_n_f32(1), p, r);
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  const float32x4_t power = vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(vmulq_f32(p, power)), is_zero));
}

/* 1 / (1 + e^-x) */
CK_NEON_INLINE float32x4_t ck_sigmoid4(float32x4_t x) {
  const float32x4_t one = vdupq_n_f32(1);
  return vdivq_f32(one, vaddq_f32(one, ck_exp4(vnegq_f32(x))));
}

#endif
#endif

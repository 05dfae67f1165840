/* Attention with NEON. */
#include "exponential.h"

#if defined(__aarch64__)

/* Two vectors stand for one of AVX2, so that sums have the same order, hence the same bits. */
#define CK_ATTENTION CK_NEON_INLINE
enum { CK_LANES = 8 };
typedef float32x4x2_t ck_lanes;

CK_NEON_INLINE ck_lanes lanes_pair(float32x4_t low, float32x4_t high) {
  return (ck_lanes){{low, high}};
}
CK_NEON_INLINE ck_lanes lanes_load(const float *p) {
  return lanes_pair(vld1q_f32(p), vld1q_f32(p + 4));
}
CK_NEON_INLINE void lanes_store(float *p, ck_lanes v) {
  vst1q_f32(p, v.val[0]);
  vst1q_f32(p + 4, v.val[1]);
}
CK_NEON_INLINE ck_lanes lanes_set(float x) { return lanes_pair(vdupq_n_f32(x), vdupq_n_f32(x)); }
CK_NEON_INLINE ck_lanes lanes_mul(ck_lanes a, ck_lanes b) {
  return lanes_pair(vmulq_f32(a.val[0], b.val[0]), vmulq_f32(a.val[1], b.val[1]));
}
CK_NEON_INLINE ck_lanes lanes_fma(ck_lanes a, ck_lanes b, ck_lanes c) {
  return lanes_pair(vfmaq_f32(c.val[0], a.val[0], b.val[0]),
                    vfmaq_f32(c.val[1], a.val[1], b.val[1]));
}
CK_NEON_INLINE ck_lanes lanes_max(ck_lanes a, ck_lanes b) {
  return lanes_pair(vbslq_f32(vcgtq_f32(a.val[0], b.val[0]), a.val[0], b.val[0]),
                    vbslq_f32(vcgtq_f32(a.val[1], b.val[1]), a.val[1], b.val[1]));
}
CK_NEON_INLINE float lanes_sum(ck_lanes v) {
  const float32x4_t four = vaddq_f32(v.val[0], v.val[1]);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
CK_NEON_INLINE ck_lanes exp_lanes(ck_lanes v) {
  return lanes_pair(ck_exp4(v.val[0]), ck_exp4(v.val[1]));
}

CK_NEON_INLINE ck_lanes half_lanes(const uint8_t *p) {
  return lanes_pair(vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))),
                    vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8))));
}

CK_NEON_INLINE ck_lanes byte_lanes(const int8_t *p) {
  const int16x8_t wide = vmovl_s8(vld1_s8(p));
  return lanes_pair(vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))),
                    vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide))));
}

#include "../internal/attention.h"

void ck_neon_attend(const ck_attention *a, float *scratch) { attention_all(a, scratch); }

#endif

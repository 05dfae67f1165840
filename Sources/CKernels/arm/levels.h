/* What the NEON decoders to levels share. */
#ifndef CK_NEON_LEVELS_H
#define CK_NEON_LEVELS_H

#include "../internal/tables.h"
#include "neon.h"

#if defined(__aarch64__)

CK_NEON_INLINE float32x4_t ck_half4(uint16_t h) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}

CK_NEON_INLINE float ck_half(uint16_t h) { return vgetq_lane_f32(ck_half4(h), 0); }

CK_NEON_INLINE uint8x16_t ck_low_nibbles(uint8x16_t v) { return vandq_u8(v, vdupq_n_u8(15)); }

CK_NEON_INLINE uint8x16_t ck_high_nibbles(uint8x16_t v) { return vshrq_n_u8(v, 4); }

CK_NEON_INLINE void ck_put16(int8_t *levels, uint8x16_t v) {
  vst1q_s8(levels, vreinterpretq_s8_u8(v));
}

/* 16 bytes to 32 entries of a table, those of the low nibbles first. */
CK_NEON_INLINE void ck_put_nibbles(int8_t *levels, const uint8_t *qs, int8x16_t table) {
  const uint8x16_t q = vld1q_u8(qs);
  vst1q_s8(levels, vqtbl1q_s8(table, ck_low_nibbles(q)));
  vst1q_s8(levels + 16, vqtbl1q_s8(table, ck_high_nibbles(q)));
}

/* factor * each of eight integers */
CK_NEON_INLINE void ck_put_scales8(float *scales, int16x8_t small, float32x4_t factor) {
  vst1q_f32(scales, vmulq_f32(factor, vcvtq_f32_s32(vmovl_s16(vget_low_s16(small)))));
  vst1q_f32(scales + 4, vmulq_f32(factor, vcvtq_f32_s32(vmovl_high_s16(small))));
}

#endif
#endif

/* Levels with NEON: types with 256 weights a block. Each is the function of its name in
 * scalar/levels_*.c. */
#include "levels.h"

#include "../internal/codebooks.h"

#if defined(__aarch64__)

CK_NEON_INLINE int16x8_t widen_bytes(uint64_t bytes) {
  return vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(bytes)));
}

CK_NEON_INLINE void put_k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], float *scales,
                                 float *minima) {
  uint64_t scale_bytes, minimum_bytes;
  ck_unpack_k_scales(packed, &scale_bytes, &minimum_bytes);
  ck_put_scales8(scales, widen_bytes(scale_bytes), ck_half4(d));
  ck_put_scales8(minima, widen_bytes(minimum_bytes), ck_half4(dmin));
}

CK_LEVELS(neon_levels_Q4_K) {
  const ck_block_Q4_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int i = 0; i < 8; i++) {
      /* Half i % 2 of groups i / 2 * 2 and i / 2 * 2 + 1. */
      const uint8x16_t q = vld1q_u8(b->qs + 16 * i);
      int8_t *to = levels + i / 2 * 64 + i % 2 * 16;
      ck_put16(to, ck_low_nibbles(q));
      ck_put16(to + 32, ck_high_nibbles(q));
    }
  }
}

CK_LEVELS(neon_levels_Q5_K) {
  const ck_block_Q5_K *b = (const void *)blocks;
  const uint8x16_t sixteen = vdupq_n_u8(16);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    put_k_scales(b->d, b->dmin, b->scales, scales, minima);
    uint8x16_t high[2] = {vld1q_u8(b->qh), vld1q_u8(b->qh + 16)};
    for (int i = 0; i < 8; i++) {
      const uint8x16_t q = vld1q_u8(b->qs + 16 * i), h = high[i % 2];
      int8_t *to = levels + i / 2 * 64 + i % 2 * 16;
      ck_put16(to, vorrq_u8(ck_low_nibbles(q), vandq_u8(vshlq_n_u8(h, 4), sixteen)));
      ck_put16(to + 32, vorrq_u8(ck_high_nibbles(q), vandq_u8(vshlq_n_u8(h, 3), sixteen)));
      high[i % 2] = vshrq_n_u8(h, 2);
    }
  }
}

CK_LEVELS(neon_levels_Q6_K) {
  const ck_block_Q6_K *b = (const void *)blocks;
  const uint8x16_t bits = vdupq_n_u8(0x30), offset = vdupq_n_u8(32);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 16) {
    const int8x16_t small = vld1q_s8(b->scales);
    ck_put_scales8(scales, vmovl_s8(vget_low_s8(small)), ck_half4(b->d));
    ck_put_scales8(scales + 8, vmovl_high_s8(small), ck_half4(b->d));
    for (int i = 0; i < 4; i++) {
      /* 16 columns of each quarter of half i / 2. */
      const uint8_t *low = b->ql + i / 2 * 64 + i % 2 * 16;
      const uint8x16_t a = vld1q_u8(low), c = vld1q_u8(low + 32), h = vld1q_u8(b->qh + 16 * i);
      int8_t *to = levels + i / 2 * 128 + i % 2 * 16;
      const uint8x16_t q[4] = {
          vorrq_u8(ck_low_nibbles(a), vandq_u8(vshlq_n_u8(h, 4), bits)),
          vorrq_u8(ck_low_nibbles(c), vandq_u8(vshlq_n_u8(h, 2), bits)),
          vorrq_u8(ck_high_nibbles(a), vandq_u8(h, bits)),
          vorrq_u8(ck_high_nibbles(c), vandq_u8(vshrq_n_u8(h, 2), bits)),
      };
      for (int j = 0; j < 4; j++) ck_put16(to + 32 * j, vsubq_u8(q[j], offset));
    }
  }
}

CK_LEVELS(neon_levels_IQ4_XS) {
  const ck_block_IQ4_XS *b = (const void *)blocks;
  const int8x16_t values = vld1q_s8(ck_iq4_values);
  const int16x8_t steps = {0, 1, 2, 3, 4, 5, 6, 7};
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    /* Bytes 0, 0, 1, 1, ...: the nibbles of even places are the low ones. */
    const uint32_t packed = ck_load_u32(b->scales_l);
    const uint8x8_t bytes = vcreate_u8(packed);
    const uint16x8_t twice = vmovl_u8(vzip1_u8(bytes, bytes));
    const int16x8_t odd = vandq_s16(steps, vdupq_n_s16(1));
    const uint16x8_t low = vandq_u16(vshlq_u16(twice, vmulq_n_s16(odd, -4)), vdupq_n_u16(15));
    const uint16x8_t high = vandq_u16(
        vshlq_u16(vdupq_n_u16(b->scales_h), vmulq_n_s16(steps, -2)), vdupq_n_u16(3));
    const int16x8_t scale = vreinterpretq_s16_u16(vorrq_u16(low, vshlq_n_u16(high, 4)));
    ck_put_scales8(scales, vsubq_s16(scale, vdupq_n_s16(32)), ck_half4(b->d));
    for (int g = 0; g < 8; g++) ck_put_nibbles(levels + 32 * g, b->qs + 16 * g, values);
  }
}

/* Rows of the book as bytes. A look-up is one load. */
#define ROW4(VALUE, code)                                                       \
  (uint32_t)(VALUE((code) & 7)) | (uint32_t)(VALUE((code) >> 3 & 7)) << 8 |     \
      (uint32_t)(VALUE((code) >> 6 & 7)) << 16 | (uint32_t)(VALUE((code) >> 9 & 7)) << 24,
#define XXS3(code) ROW4(CK_IQ3_XXS_VALUE, code)
static const _Alignas(64) uint32_t iq3_xxs_rows[256] = {CK_IQ3_XXS_CODES(XXS3)};

CK_NEON_INLINE uint8x16_t four_rows(const uint8_t index[4]) {
  const uint32x4_t rows = {iq3_xxs_rows[index[0]], iq3_xxs_rows[index[1]], iq3_xxs_rows[index[2]],
                           iq3_xxs_rows[index[3]]};
  return vreinterpretq_u8_u32(rows);
}

/* The signs of 32-bit groups whose lowest 28 bits are four 7-bit indices: one bit a weight. The
 * eighth sign of an index makes their number even. */
CK_NEON_INLINE uint8x16_t even_signs(uint32x4_t packed) {
  const uint32x4_t index = vorrq_u32(
      vorrq_u32(vandq_u32(packed, vdupq_n_u32(0x7f)),
                vandq_u32(vshlq_n_u32(packed, 1), vdupq_n_u32(0x7f00))),
      vorrq_u32(vandq_u32(vshlq_n_u32(packed, 2), vdupq_n_u32(0x7f0000)),
                vandq_u32(vshlq_n_u32(packed, 3), vdupq_n_u32(0x7f000000))));
  const uint8x16_t bytes = vreinterpretq_u8_u32(index);
  return vorrq_u8(bytes, vshlq_n_u8(vcntq_u8(bytes), 7));
}

/* v with the sign of each byte whose bit of the two bytes at `signs` is set. */
CK_NEON_INLINE uint8x16_t with_signs(uint8x16_t v, const uint8_t signs[2]) {
  const uint8x8_t own_bit = vcreate_u8(0x8040201008040201ULL);
  const uint8x16_t bytes = vcombine_u8(vdup_n_u8(signs[0]), vdup_n_u8(signs[1]));
  const uint8x16_t is_negative = vtstq_u8(bytes, vcombine_u8(own_bit, own_bit));
  return vsubq_u8(veorq_u8(v, is_negative), is_negative);
}

CK_LEVELS(neon_levels_IQ3_XXS) {
  const ck_block_IQ3_XXS *b = (const void *)blocks;
  const float32x4_t half = vdupq_n_f32(0.5f);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    uint8_t signs[32];
    for (int i = 0; i < 2; i++) {
      const uint32x4_t packed = vreinterpretq_u32_u8(vld1q_u8(b->scales_and_signs + 16 * i));
      const float32x4_t small = vaddq_f32(half, vcvtq_f32_u32(vshrq_n_u32(packed, 28)));
      vst1q_f32(scales + 4 * i, vmulq_f32(vmulq_f32(ck_half4(b->d), small), half));
      vst1q_u8(signs + 16 * i, even_signs(packed));
    }
    for (int i = 0; i < 16; i++) {
      ck_put16(levels + 16 * i, with_signs(four_rows(b->qs + 4 * i), signs + 2 * i));
    }
  }
}

#endif

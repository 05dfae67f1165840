/* Levels with NEON: types with 32 weights a block. Each is the function of its name in
 * scalar/levels_*.c. */
#include "levels.h"

#if defined(__aarch64__)

CK_LEVELS(neon_levels_Q8_0) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    memcpy(levels, b->qs, 32);
    *scales++ = ck_half(b->d);
  }
}

CK_LEVELS(neon_levels_Q4_0) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  const uint8x16_t eight = vdupq_n_u8(8);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    const uint8x16_t q = vld1q_u8(b->qs);
    ck_put16(levels, vsubq_u8(ck_low_nibbles(q), eight));
    ck_put16(levels + 16, vsubq_u8(ck_high_nibbles(q), eight));
    *scales++ = ck_half(b->d);
  }
}

CK_LEVELS(neon_levels_IQ4_NL) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  const int8x16_t values = vld1q_s8(ck_iq4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put_nibbles(levels, b->qs, values);
    *scales++ = ck_half(b->d);
  }
}

CK_LEVELS(neon_levels_MXFP4) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  const int8x16_t values = vld1q_s8(ck_fp4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put_nibbles(levels, b->qs, values);
    *scales++ = ck_float_from_half_e8m0(b->e);
  }
}

#endif

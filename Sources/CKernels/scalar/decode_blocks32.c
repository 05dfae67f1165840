/* Q4_0 to Q8_0: 32 elements with one scale, some with a minimum. Cf. `dequantize_row_q4_0` and its
 * neighbours in ggml-quants.c. */
#include "../internal/decode.h"

void ck_decode_Q4_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 16; i++) {
      out[i] = d * (float)((b->qs[i] & 15) - 8);
      out[i + 16] = d * (float)((b->qs[i] >> 4) - 8);
    }
  }
}

void ck_decode_Q4_1(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q4_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    const float d = ck_float_from_half(b->d), m = ck_float_from_half(b->m);
    for (int i = 0; i < 16; i++) {
      out[i] = d * (float)(b->qs[i] & 15) + m;
      out[i + 16] = d * (float)(b->qs[i] >> 4) + m;
    }
  }
}

/* Bit 4 of element i, from bit i of the 32 high bits. */
static inline int fifth_bit(uint32_t high, int i) { return (int)(high >> i & 1) << 4; }

void ck_decode_Q5_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q5_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    const float d = ck_float_from_half(b->d);
    const uint32_t high = ck_load_u32(b->qh);
    for (int i = 0; i < 16; i++) {
      out[i] = d * (float)(((b->qs[i] & 15) | fifth_bit(high, i)) - 16);
      out[i + 16] = d * (float)(((b->qs[i] >> 4) | fifth_bit(high, i + 16)) - 16);
    }
  }
}

void ck_decode_Q5_1(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q5_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    const float d = ck_float_from_half(b->d), m = ck_float_from_half(b->m);
    const uint32_t high = ck_load_u32(b->qh);
    for (int i = 0; i < 16; i++) {
      out[i] = d * (float)((b->qs[i] & 15) | fifth_bit(high, i)) + m;
      out[i + 16] = d * (float)((b->qs[i] >> 4) | fifth_bit(high, i + 16)) + m;
    }
  }
}

void ck_decode_Q8_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++) out[i] = (float)b->qs[i] * d;
  }
}

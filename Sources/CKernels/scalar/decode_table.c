/* 4-bit codes into a value table (IQ4_NL, IQ4_XS, MXFP4, NVFP4) and ternary types. Cf.
 * `dequantize_row_iq4_nl`, `dequantize_row_mxfp4` and `dequantize_row_tq1_0` in ggml-quants.c. */
#include "../internal/decode.h"
#include "../internal/tables.h"

/* 16 bytes to 32 elements: low nibbles first. */
static void put_nibbles(float *out, const uint8_t *qs, const int8_t values[16], float scale) {
  for (int i = 0; i < 16; i++) {
    out[i] = scale * (float)values[qs[i] & 15];
    out[i + 16] = scale * (float)values[qs[i] >> 4];
  }
}

void ck_decode_IQ4_NL(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    put_nibbles(out, b->qs, ck_iq4_values, ck_float_from_half(b->d));
  }
}

void ck_decode_IQ4_XS(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ4_XS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int g = 0; g < 8; g++, out += 32) {
      const int low = b->scales_l[g / 2] >> (g % 2 * 4) & 15, high = b->scales_h >> (2 * g) & 3;
      put_nibbles(out, b->qs + 16 * g, ck_iq4_values, d * (float)((low | high << 4) - 32));
    }
  }
}

void ck_decode_MXFP4(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, out += 32) {
    put_nibbles(out, b->qs, ck_fp4_values, ck_float_from_half_e8m0(b->e));
  }
}

void ck_decode_NVFP4(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_NVFP4 *b = (const void *)blocks;
  for (; count >= 64; count -= 64, b++) {
    for (int j = 0; j < 4; j++, out += 16) {
      const float d = ck_float_from_half_e4m3(b->d[j]);
      for (int i = 0; i < 8; i++) {
        out[i] = d * (float)ck_fp4_values[b->qs[8 * j + i] & 15];
        out[i + 8] = d * (float)ck_fp4_values[b->qs[8 * j + i] >> 4];
      }
    }
  }
}

/* `bytes` bytes of `digits` digits: the first digits of all bytes, then the second ones. */
static float *put_ternary(float *out, const uint8_t *packed, int bytes, int digits, float d) {
  for (int place = 0; place < digits; place++, out += bytes) {
    for (int i = 0; i < bytes; i++) out[i] = d * (float)ck_ternary_digit(packed[i], place);
  }
  return out;
}

void ck_decode_TQ1_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_TQ1_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    out = put_ternary(out, b->qs, 32, 5, d);
    out = put_ternary(out, b->qs + 32, 16, 5, d);
    out = put_ternary(out, b->qh, 4, 4, d);
  }
}

void ck_decode_TQ2_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_TQ2_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int g = 0; g < 8; g++, out += 32) {
      for (int i = 0; i < 32; i++) {
        out[i] = d * (float)((b->qs[g / 4 * 32 + i] >> (g % 4 * 2) & 3) - 1);
      }
    }
  }
}

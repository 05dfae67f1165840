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

/* Half of an unsigned E4M3 value (bias 7); 0x7f is NaN in the format and 0 in ggml. */
static float half_e4m3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if (bits == 0x7f) return 0;
  if (exponent == 0) return (float)mantissa * 0x1p-10f;
  return (float)(8 + mantissa) * ck_float_from_bits((uint32_t)(exponent - 11 + 127) << 23);
}

void ck_decode_NVFP4(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_NVFP4 *b = (const void *)blocks;
  for (; count >= 64; count -= 64, b++, out += 64) {
    for (int i = 0; i < 64; i++) {
      const int code = b->qs[i / 16 * 8 + i % 8] >> (i / 8 % 2 * 4) & 15;
      out[i] = half_e4m3(b->d[i / 16]) * (float)ck_fp4_values[code];
    }
  }
}

/* Digit `place` (0: most significant) of a byte that holds a base-3 fraction of 256, less 1. */
static int ternary_digit(uint8_t packed, int place) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  return ((uint8_t)(packed * powers[place]) * 3 >> 8) - 1;
}

void ck_decode_TQ1_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_TQ1_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, out += CK_SUPER) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 160; i++) out[i] = d * (float)ternary_digit(b->qs[i % 32], i / 32);
    for (int i = 0; i < 80; i++) {
      out[160 + i] = d * (float)ternary_digit(b->qs[32 + i % 16], i / 16);
    }
    for (int i = 0; i < 16; i++) out[240 + i] = d * (float)ternary_digit(b->qh[i % 4], i / 4);
  }
}

void ck_decode_TQ2_0(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_TQ2_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, out += CK_SUPER) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < CK_SUPER; i++) {
      const int code = b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
      out[i] = d * (float)(code - 1);
    }
  }
}

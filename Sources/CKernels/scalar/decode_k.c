/* Q2_K to Q6_K: super-blocks of 256 with small integer scales. Cf. `dequantize_row_q2_K` and its
 * neighbours in ggml-quants.c. */
#include "../internal/decode.h"

void ck_decode_Q2_K(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q2_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d), dmin = ck_float_from_half(b->dmin);
    for (int j = 0; j < 16; j++, out += 16) {
      const float scale = d * (float)(b->scales[j] & 15), minimum = dmin * (float)(b->scales[j] >> 4);
      const uint8_t *qs = b->qs + j / 8 * 32 + j % 2 * 16;
      const int shift = j / 2 % 4 * 2;
      for (int i = 0; i < 16; i++) out[i] = scale * (float)(qs[i] >> shift & 3) - minimum;
    }
  }
}

void ck_decode_Q3_K(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q3_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int j = 0; j < 16; j++, out += 16) {
      /* Scale j: low 4 bits in the nibbles of bytes 0..7, high 2 bits in bytes 8..11. */
      const int low = b->scales[j % 8] >> (j / 8 * 4) & 15;
      const int high = b->scales[8 + j % 4] >> (j / 4 * 2) & 3;
      const float scale = d * (float)((low | high << 4) - 32);
      const uint8_t *qs = b->qs + j / 8 * 32 + j % 2 * 16, *mask = b->hmask + j % 2 * 16;
      const int shift = j / 2 % 4 * 2;
      for (int i = 0; i < 16; i++) {
        /* A set bit of the mask means no offset. */
        const int offset = 4 - ((mask[i] >> (j / 2) & 1) << 2);
        out[i] = scale * (float)((qs[i] >> shift & 3) - offset);
      }
    }
  }
}

/* d * scale and dmin * minimum of the eight groups of 32. */
static void k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], float scale[8],
                     float minimum[8]) {
  uint64_t scales, minima;
  ck_unpack_k_scales(packed, &scales, &minima);
  for (int g = 0; g < 8; g++) {
    scale[g] = ck_float_from_half(d) * (float)(scales >> (8 * g) & 63);
    minimum[g] = ck_float_from_half(dmin) * (float)(minima >> (8 * g) & 63);
  }
}

void ck_decode_Q4_K(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q4_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, out += CK_SUPER) {
    float scale[8], minimum[8];
    k_scales(b->d, b->dmin, b->scales, scale, minimum);
    for (int i = 0; i < CK_SUPER; i++) {
      const int g = i / 32;
      const int q = b->qs[g / 2 * 32 + i % 32] >> (g % 2 * 4) & 15;
      out[i] = scale[g] * (float)q - minimum[g];
    }
  }
}

void ck_decode_Q5_K(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q5_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, out += CK_SUPER) {
    float scale[8], minimum[8];
    k_scales(b->d, b->dmin, b->scales, scale, minimum);
    for (int i = 0; i < CK_SUPER; i++) {
      const int g = i / 32;
      const int q = (b->qs[g / 2 * 32 + i % 32] >> (g % 2 * 4) & 15) | (b->qh[i % 32] >> g & 1) << 4;
      out[i] = scale[g] * (float)q - minimum[g];
    }
  }
}

void ck_decode_Q6_K(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_Q6_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, out += CK_SUPER) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < CK_SUPER; i++) {
      /* Of each 128: quarters 0 and 1 in the low nibbles of 64 bytes, 2 and 3 in the high ones. */
      const int half = i / 128, quarter = i / 32 % 4;
      const int low = b->ql[64 * half + i % 64] >> (quarter / 2 * 4) & 15;
      const int high = b->qh[32 * half + i % 32] >> (quarter * 2) & 3;
      out[i] = d * (float)b->scales[i / 16] * (float)((low | high << 4) - 32);
    }
  }
}

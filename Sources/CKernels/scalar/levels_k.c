/* Levels of the types with 256 weights a block and small integer scales, and of those with 32 and
 * one scale. The layouts are those of decode_k.c and decode_blocks32.c. */
#include "../internal/levels.h"

CK_LEVELS(levels_Q4_0) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    *scales++ = ck_float_from_half(b->d);
    for (int i = 0; i < 16; i++) {
      levels[i] = (int8_t)((b->qs[i] & 15) - 8);
      levels[i + 16] = (int8_t)((b->qs[i] >> 4) - 8);
    }
  }
}

CK_LEVELS(levels_Q4_1) {
  const ck_block_Q4_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    *scales++ = ck_float_from_half(b->d);
    *minima++ = -ck_float_from_half(b->m);
    for (int i = 0; i < 16; i++) {
      levels[i] = (int8_t)(b->qs[i] & 15);
      levels[i + 16] = (int8_t)(b->qs[i] >> 4);
    }
  }
}

static inline int fifth_bit(uint32_t high, int i) { return (int)(high >> i & 1) << 4; }

CK_LEVELS(levels_Q5_0) {
  const ck_block_Q5_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    const uint32_t high = ck_load_u32(b->qh);
    *scales++ = ck_float_from_half(b->d);
    for (int i = 0; i < 16; i++) {
      levels[i] = (int8_t)(((b->qs[i] & 15) | fifth_bit(high, i)) - 16);
      levels[i + 16] = (int8_t)(((b->qs[i] >> 4) | fifth_bit(high, i + 16)) - 16);
    }
  }
}

CK_LEVELS(levels_Q5_1) {
  const ck_block_Q5_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    const uint32_t high = ck_load_u32(b->qh);
    *scales++ = ck_float_from_half(b->d);
    *minima++ = -ck_float_from_half(b->m);
    for (int i = 0; i < 16; i++) {
      levels[i] = (int8_t)((b->qs[i] & 15) | fifth_bit(high, i));
      levels[i + 16] = (int8_t)((b->qs[i] >> 4) | fifth_bit(high, i + 16));
    }
  }
}

CK_LEVELS(levels_Q8_0) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    *scales++ = ck_float_from_half(b->d);
    memcpy(levels, b->qs, 32);
  }
}

CK_LEVELS(levels_Q2_K) {
  const ck_block_Q2_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d), dmin = ck_float_from_half(b->dmin);
    for (int j = 0; j < 16; j++, levels += 16) {
      *scales++ = d * (float)(b->scales[j] & 15);
      *minima++ = dmin * (float)(b->scales[j] >> 4);
      const uint8_t *qs = b->qs + j / 8 * 32 + j % 2 * 16;
      const int shift = j / 2 % 4 * 2;
      for (int i = 0; i < 16; i++) levels[i] = (int8_t)(qs[i] >> shift & 3);
    }
  }
}

CK_LEVELS(levels_Q3_K) {
  const ck_block_Q3_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int j = 0; j < 16; j++, levels += 16) {
      const int low = b->scales[j % 8] >> (j / 8 * 4) & 15;
      const int high = b->scales[8 + j % 4] >> (j / 4 * 2) & 3;
      *scales++ = d * (float)((low | high << 4) - 32);
      const uint8_t *qs = b->qs + j / 8 * 32 + j % 2 * 16, *mask = b->hmask + j % 2 * 16;
      const int shift = j / 2 % 4 * 2, bit = j / 2;
      for (int i = 0; i < 16; i++) {
        levels[i] = (int8_t)((qs[i] >> shift & 3) - 4 + ((mask[i] >> bit & 1) << 2));
      }
    }
  }
}

static void k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], float *scales,
                     float *minima) {
  uint64_t scale_bytes, minimum_bytes;
  ck_unpack_k_scales(packed, &scale_bytes, &minimum_bytes);
  for (int g = 0; g < 8; g++) {
    scales[g] = ck_float_from_half(d) * (float)(scale_bytes >> (8 * g) & 63);
    minima[g] = ck_float_from_half(dmin) * (float)(minimum_bytes >> (8 * g) & 63);
  }
}

CK_LEVELS(levels_Q4_K) {
  const ck_block_Q4_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int i = 0; i < CK_SUPER; i++) {
      const int g = i / 32;
      levels[i] = (int8_t)(b->qs[g / 2 * 32 + i % 32] >> (g % 2 * 4) & 15);
    }
  }
}

CK_LEVELS(levels_Q5_K) {
  const ck_block_Q5_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8, minima += 8) {
    k_scales(b->d, b->dmin, b->scales, scales, minima);
    for (int i = 0; i < CK_SUPER; i++) {
      const int g = i / 32;
      const int q = (b->qs[g / 2 * 32 + i % 32] >> (g % 2 * 4) & 15) | (b->qh[i % 32] >> g & 1) << 4;
      levels[i] = (int8_t)q;
    }
  }
}

CK_LEVELS(levels_Q6_K) {
  const ck_block_Q6_K *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER) {
    const float d = ck_float_from_half(b->d);
    for (int j = 0; j < 16; j++) *scales++ = d * (float)b->scales[j];
    for (int i = 0; i < CK_SUPER; i++) {
      const int half = i / 128, quarter = i / 32 % 4;
      const int low = b->ql[64 * half + i % 64] >> (quarter / 2 * 4) & 15;
      const int high = b->qh[32 * half + i % 32] >> (quarter * 2) & 3;
      levels[i] = (int8_t)((low | high << 4) - 32);
    }
  }
}

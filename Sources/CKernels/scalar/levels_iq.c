/* Levels of the types with code books, of the 4-bit types with value tables, and of the ternary
 * ones. The layouts are those of decode_iq.c and decode_table.c. */
#include "../internal/codebooks.h"
#include "../internal/levels.h"
#include "../internal/tables.h"

#define ROW(code) code,
static const uint16_t iq1_book[] = {CK_IQ1_CODES(ROW)};
static const uint16_t iq2_xxs_book[] = {CK_IQ2_XXS_CODES(ROW)};
static const uint16_t iq2_xs_book[] = {CK_IQ2_XS_CODES(ROW)};
static const uint16_t iq2_s_book[] = {CK_IQ2_S_CODES(ROW)};
static const uint16_t iq3_xxs_book[] = {CK_IQ3_XXS_CODES(ROW)};
static const uint16_t iq3_s_book[] = {CK_IQ3_S_CODES(ROW)};

static inline int8_t with_sign(int value, unsigned signs, int bit) {
  return (int8_t)(signs >> bit & 1 ? -value : value);
}

/* Eight times (value +- 1/8), so that the offset of IQ1 becomes part of an integer. */
static void put_iq1(int8_t *levels, unsigned row, bool is_below) {
  for (int j = 0; j < 8; j++) {
    levels[j] = (int8_t)(8 * CK_IQ1_VALUE(row >> (2 * j) & 3) + (is_below ? -1 : 1));
  }
}

static void put_iq2(int8_t *levels, unsigned row, unsigned signs) {
  for (int j = 0; j < 8; j++) {
    const int code = (int)(row >> (2 * j) & 3);
    levels[j] = with_sign(CK_IQ2_VALUE(code), signs, j);
  }
}

#define PUT_IQ3(VALUE, levels, row, signs, first)                \
  for (int j = 0; j < 4; j++) {                                  \
    const int code = (row) >> (3 * j) & 7;                       \
    (levels)[j] = with_sign(VALUE(code), signs, (first) + j);    \
  }

CK_LEVELS(levels_IQ1_S) {
  const ck_block_IQ1_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, levels += 8) {
      const unsigned high = b->qh[i / 4];
      if (i % 4 == 0) *scales++ = d * (float)(2 * (high >> 12 & 7) + 1) * 0.125f;
      put_iq1(levels, iq1_book[b->qs[i] | (high >> (i % 4 * 3) & 7) << 8], high & 0x8000);
    }
  }
}

CK_LEVELS(levels_IQ1_M) {
  const ck_block_IQ1_M *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const int bits = b->scales[0] >> 12 | (b->scales[1] >> 12) << 4 |
                     (b->scales[2] >> 12) << 8 | (b->scales[3] >> 12) << 12;
    const float d = ck_float_from_half((uint16_t)bits);
    for (int i = 0; i < 32; i++, levels += 8) {
      const unsigned high = b->qh[i / 2] >> (i % 2 * 4) & 15;
      const unsigned small = b->scales[i / 8] >> (i / 2 % 4 * 3) & 7;
      if (i % 2 == 0) *scales++ = d * (float)(2 * small + 1) * 0.125f;
      put_iq1(levels, iq1_book[b->qs[i] | (high & 7) << 8], high & 8);
    }
  }
}

CK_LEVELS(levels_IQ2_XXS) {
  const ck_block_IQ2_XXS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, levels += 8) {
      const uint8_t *group = b->qs + i / 4 * 8;
      const uint32_t packed = ck_load_u32(group + 4);
      if (i % 4 == 0) *scales++ = d * (0.5f + (float)(packed >> 28)) * 0.25f;
      put_iq2(levels, iq2_xxs_book[group[i % 4]], ck_even_signs(packed >> (i % 4 * 7) & 127));
    }
  }
}

/* d * (0.5 + scale) / 4 of the 16 groups, whose scales are nibbles. */
static void iq2_scales(float d, const uint8_t packed[8], float scales[16]) {
  for (int j = 0; j < 16; j++) {
    scales[j] = d * (0.5f + (float)(packed[j / 2] >> (j % 2 * 4) & 15)) * 0.25f;
  }
}

CK_LEVELS(levels_IQ2_XS) {
  const ck_block_IQ2_XS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, scales += 16) {
    iq2_scales(ck_float_from_half(b->d), b->scales, scales);
    for (int i = 0; i < 32; i++, levels += 8) {
      put_iq2(levels, iq2_xs_book[b->qs[i] & 511], ck_even_signs(b->qs[i] >> 9));
    }
  }
}

CK_LEVELS(levels_IQ2_S) {
  const ck_block_IQ2_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, scales += 16) {
    iq2_scales(ck_float_from_half(b->d), b->scales, scales);
    for (int i = 0; i < 32; i++, levels += 8) {
      const unsigned index = b->qs[i] | (b->qh[i / 4] >> (i % 4 * 2) & 3u) << 8;
      put_iq2(levels, iq2_s_book[index], b->signs[i]);
    }
  }
}

CK_LEVELS(levels_IQ3_XXS) {
  const ck_block_IQ3_XXS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 64; i++, levels += 4) {
      const uint32_t packed = ck_load_u32(b->scales_and_signs + i / 8 * 4);
      if (i % 8 == 0) *scales++ = d * (0.5f + (float)(packed >> 28)) * 0.5f;
      const unsigned signs = ck_even_signs(packed >> (i / 2 % 4 * 7) & 127);
      PUT_IQ3(CK_IQ3_XXS_VALUE, levels, iq3_xxs_book[b->qs[i]], signs, i % 2 * 4)
    }
  }
}

CK_LEVELS(levels_IQ3_S) {
  const ck_block_IQ3_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 64; i++, levels += 4) {
      const unsigned small = b->scales[i / 16] >> (i / 8 % 2 * 4) & 15;
      if (i % 8 == 0) *scales++ = d * (float)(1 + 2 * small);
      const unsigned index = b->qs[i] | (b->qh[i / 8] >> (i % 8) & 1u) << 8;
      PUT_IQ3(CK_IQ3_S_VALUE, levels, iq3_s_book[index], b->signs[i / 2], i % 2 * 4)
    }
  }
}

/* 16 bytes to 32 levels: low nibbles first. */
static void put_nibbles(int8_t *levels, const uint8_t *qs, const int8_t values[16]) {
  for (int i = 0; i < 16; i++) {
    levels[i] = values[qs[i] & 15];
    levels[i + 16] = values[qs[i] >> 4];
  }
}

CK_LEVELS(levels_IQ4_NL) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    *scales++ = ck_float_from_half(b->d);
    put_nibbles(levels, b->qs, ck_iq4_values);
  }
}

CK_LEVELS(levels_IQ4_XS) {
  const ck_block_IQ4_XS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int g = 0; g < 8; g++, levels += 32) {
      const int low = b->scales_l[g / 2] >> (g % 2 * 4) & 15, high = b->scales_h >> (2 * g) & 3;
      *scales++ = d * (float)((low | high << 4) - 32);
      put_nibbles(levels, b->qs + 16 * g, ck_iq4_values);
    }
  }
}

CK_LEVELS(levels_MXFP4) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    *scales++ = ck_float_from_half_e8m0(b->e);
    put_nibbles(levels, b->qs, ck_fp4_values);
  }
}

CK_LEVELS(levels_NVFP4) {
  const ck_block_NVFP4 *b = (const void *)blocks;
  for (; count >= 64; count -= 64, b++) {
    for (int j = 0; j < 4; j++, levels += 16) {
      *scales++ = ck_float_from_half_e4m3(b->d[j]);
      for (int i = 0; i < 8; i++) {
        levels[i] = ck_fp4_values[b->qs[8 * j + i] & 15];
        levels[i + 8] = ck_fp4_values[b->qs[8 * j + i] >> 4];
      }
    }
  }
}

static int8_t *put_ternary(int8_t *levels, const uint8_t *packed, int bytes, int digits) {
  for (int place = 0; place < digits; place++, levels += bytes) {
    for (int i = 0; i < bytes; i++) levels[i] = (int8_t)ck_ternary_digit(packed[i], place);
  }
  return levels;
}

/* One scale a block, repeated for its groups. */
static float *put_scale(float *scales, uint16_t d) {
  for (int g = 0; g < 8; g++) *scales++ = ck_float_from_half(d);
  return scales;
}

CK_LEVELS(levels_TQ1_0) {
  const ck_block_TQ1_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    scales = put_scale(scales, b->d);
    levels = put_ternary(levels, b->qs, 32, 5);
    levels = put_ternary(levels, b->qs + 32, 16, 5);
    levels = put_ternary(levels, b->qh, 4, 4);
  }
}

CK_LEVELS(levels_TQ2_0) {
  const ck_block_TQ2_0 *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    scales = put_scale(scales, b->d);
    for (int g = 0; g < 8; g++, levels += 32) {
      for (int i = 0; i < 32; i++) {
        levels[i] = (int8_t)((b->qs[g / 4 * 32 + i] >> (g % 4 * 2) & 3) - 1);
      }
    }
  }
}

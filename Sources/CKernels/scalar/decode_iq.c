/* IQ1, IQ2 and IQ3: indices into code books, signs apart. Cf. `dequantize_row_iq2_xxs` and its
 * neighbours in ggml-quants.c. */
#include "../internal/codebooks.h"
#include "../internal/decode.h"

#define ROW(code) code,
static const uint16_t iq1_book[] = {CK_IQ1_CODES(ROW)};
static const uint16_t iq2_xxs_book[] = {CK_IQ2_XXS_CODES(ROW)};
static const uint16_t iq2_xs_book[] = {CK_IQ2_XS_CODES(ROW)};
static const uint16_t iq2_s_book[] = {CK_IQ2_S_CODES(ROW)};
static const uint16_t iq3_xxs_book[] = {CK_IQ3_XXS_CODES(ROW)};
static const uint16_t iq3_s_book[] = {CK_IQ3_S_CODES(ROW)};

_Static_assert(sizeof iq1_book == 2 * 2048, "11 index bits");
_Static_assert(sizeof iq2_xxs_book == 2 * 256, "8 index bits");
_Static_assert(sizeof iq2_xs_book == 2 * 512, "9 index bits");
_Static_assert(sizeof iq2_s_book == 2 * 1024, "10 index bits");
_Static_assert(sizeof iq3_xxs_book == 2 * 256, "8 index bits");
_Static_assert(sizeof iq3_s_book == 2 * 512, "9 index bits");

static inline float with_sign(float value, unsigned signs, int bit) {
  return signs >> bit & 1 ? -value : value;
}

static void put_iq1(float *out, unsigned row, float scale, float delta) {
  for (int j = 0; j < 8; j++) {
    out[j] = scale * ((float)CK_IQ1_VALUE(row >> (2 * j) & 3) + delta);
  }
}

static void put_iq2(float *out, unsigned row, float scale, unsigned signs) {
  for (int j = 0; j < 8; j++) {
    const int code = (int)(row >> (2 * j) & 3);
    out[j] = with_sign(scale * (float)CK_IQ2_VALUE(code), signs, j);
  }
}

/* `first` is the sign bit of the first of the four elements. */
#define PUT_IQ3(VALUE, out, row, scale, signs, first)                   \
  for (int j = 0; j < 4; j++) {                                         \
    const int code = (row) >> (3 * j) & 7;                              \
    (out)[j] = with_sign((scale) * (float)VALUE(code), signs, (first) + j); \
  }

void ck_decode_IQ1_S(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ1_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, out += 8) {
      const unsigned high = b->qh[i / 4];
      const float scale = d * (float)(2 * (high >> 12 & 7) + 1);
      const unsigned index = b->qs[i] | (high >> (i % 4 * 3) & 7) << 8;
      put_iq1(out, iq1_book[index], scale, high & 0x8000 ? -0.125f : 0.125f);
    }
  }
}

void ck_decode_IQ1_M(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ1_M *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    /* The float16 scale is spread over the top nibbles of the four scale words. */
    const unsigned bits = b->scales[0] >> 12 | (b->scales[1] >> 12) << 4 |
                          (b->scales[2] >> 12) << 8 | (b->scales[3] >> 12) << 12;
    const float d = ck_float_from_half((uint16_t)bits);
    for (int i = 0; i < 32; i++, out += 8) {
      const unsigned high = b->qh[i / 2] >> (i % 2 * 4) & 15;
      const unsigned small = b->scales[i / 8] >> (i / 2 % 4 * 3) & 7;
      const unsigned index = b->qs[i] | (high & 7) << 8;
      put_iq1(out, iq1_book[index], d * (float)(2 * small + 1), high & 8 ? -0.125f : 0.125f);
    }
  }
}

void ck_decode_IQ2_XXS(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ2_XXS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, out += 8) {
      /* Eight bytes for 32 elements: four indices, then four 7-bit signs and a 4-bit scale. */
      const uint8_t *group = b->qs + i / 4 * 8;
      const uint32_t packed = ck_load_u32(group + 4);
      const float scale = d * (0.5f + (float)(packed >> 28)) * 0.25f;
      put_iq2(out, iq2_xxs_book[group[i % 4]], scale, ck_even_signs(packed >> (i % 4 * 7) & 127));
    }
  }
}

void ck_decode_IQ2_XS(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ2_XS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, out += 8) {
      const unsigned small = b->scales[i / 4] >> (i / 2 % 2 * 4) & 15;
      const float scale = d * (0.5f + (float)small) * 0.25f;
      put_iq2(out, iq2_xs_book[b->qs[i] & 511], scale, ck_even_signs(b->qs[i] >> 9));
    }
  }
}

void ck_decode_IQ2_S(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ2_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 32; i++, out += 8) {
      const unsigned small = b->scales[i / 4] >> (i / 2 % 2 * 4) & 15;
      const float scale = d * (0.5f + (float)small) * 0.25f;
      const unsigned index = b->qs[i] | (b->qh[i / 4] >> (i % 4 * 2) & 3u) << 8;
      put_iq2(out, iq2_s_book[index], scale, b->signs[i]);
    }
  }
}

void ck_decode_IQ3_XXS(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ3_XXS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 64; i++, out += 4) {
      /* Four bytes for 32 elements: four 7-bit signs and a 4-bit scale. */
      const uint32_t packed = ck_load_u32(b->scales_and_signs + i / 8 * 4);
      const float scale = d * (0.5f + (float)(packed >> 28)) * 0.5f;
      const unsigned signs = ck_even_signs(packed >> (i / 2 % 4 * 7) & 127);
      PUT_IQ3(CK_IQ3_XXS_VALUE, out, iq3_xxs_book[b->qs[i]], scale, signs, i % 2 * 4)
    }
  }
}

void ck_decode_IQ3_S(const uint8_t *blocks, size_t count, float *out) {
  const ck_block_IQ3_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++) {
    const float d = ck_float_from_half(b->d);
    for (int i = 0; i < 64; i++, out += 4) {
      const unsigned small = b->scales[i / 16] >> (i / 8 % 2 * 4) & 15;
      const float scale = d * (float)(1 + 2 * small);
      const unsigned index = b->qs[i] | (b->qh[i / 8] >> (i % 8) & 1u) << 8;
      PUT_IQ3(CK_IQ3_S_VALUE, out, iq3_s_book[index], scale, b->signs[i / 2], i % 2 * 4)
    }
  }
}

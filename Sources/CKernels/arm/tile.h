/* Tiles of sixteen rows by 256 columns of quantised weights, and what the products of all three kinds
 * do with them. */
#ifndef CK_NEON_TILE_H
#define CK_NEON_TILE_H

#include "activations.h"
#include "neon.h"

#if defined(__aarch64__)

/* Sixteen rows, four to a vector, meet all tokens of a group in tiles of 256 columns. A tile is decoded
 * row by row (4 KiB) and turned round so that the rows of a vector lie side by side: a product serves
 * all of them, the activations are the same for them, and a group's scale meets its sum once for four
 * rows. A lane's sums are those of its row: first whole numbers within a group, then float32 sums group
 * by group in the order of the columns, whatever number of rows and tokens is under way, and whatever
 * instruction makes the whole numbers. */
enum { CK_TILE_ROWS = 16, CK_TOKEN_GROUP = 64 };

typedef struct {
  _Alignas(16) int8_t levels[CK_TILE_ROWS][CK_TILE_COLUMNS];
  _Alignas(16) float row_scales[CK_TILE_ROWS][CK_MOST_GROUPS];
  _Alignas(16) float row_minima[CK_TILE_ROWS][CK_MOST_GROUPS];
  /* Turned round: [columns / 4][row][4], for products of matrices [columns / 8][row][8]. */
  _Alignas(16) int8_t tile[CK_TILE_COLUMNS * CK_TILE_ROWS];
  _Alignas(16) float scales[CK_MOST_GROUPS][CK_TILE_ROWS];
  _Alignas(16) float minima[CK_MOST_GROUPS][CK_TILE_ROWS];
  _Alignas(16) float sums[CK_TOKEN_GROUP][CK_TILE_ROWS];
} ck_neon_tile;

/* What one product needs to know of a token. */
typedef struct {
  const int8_t *high, *low;
  const float *scales, *sums;
} ck_neon_token;

/* Adds what a tile's `count` columns from `column` on give for `tokens` tokens. */
typedef void ck_neon_product(ck_neon_tile *s, const ck_neon_token *x, size_t tokens, size_t column,
                             size_t count);

/* By width of the activations, weights that share a scale, and whether there are minima. */
typedef ck_neon_product *ck_neon_products[2][2][2];

/* Defines ck_NAME_products from a macro MULTIPLY(FUNCTION, GROUP, MINIMA, WIDE), which defines one
 * product. */
#define CK_NEON_DEFINE_PRODUCTS(NAME, MULTIPLY)                            \
  MULTIPLY(narrow_16, 16, false, false)                                    \
  MULTIPLY(narrow_16_minima, 16, true, false)                              \
  MULTIPLY(narrow_32, 32, false, false)                                    \
  MULTIPLY(narrow_32_minima, 32, true, false)                              \
  MULTIPLY(wide_16, 16, false, true)                                       \
  MULTIPLY(wide_16_minima, 16, true, true)                                 \
  MULTIPLY(wide_32, 32, false, true)                                       \
  MULTIPLY(wide_32_minima, 32, true, true)                                 \
  const ck_neon_products ck_##NAME##_products = {                          \
      {{narrow_16, narrow_16_minima}, {narrow_32, narrow_32_minima}},      \
      {{wide_16, wide_16_minima}, {wide_32, wide_32_minima}},              \
  };

extern const ck_neon_products ck_plain_products, ck_dotprod_products, ck_i8mm_products;

/* Four rows of four 32-bit elements, columns become rows. */
CK_NEON_INLINE void ck_transpose4(uint32x4_t v[4]) {
  const uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(v[0], v[1]));
  const uint64x2_t b = vreinterpretq_u64_u32(vtrn2q_u32(v[0], v[1]));
  const uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(v[2], v[3]));
  const uint64x2_t d = vreinterpretq_u64_u32(vtrn2q_u32(v[2], v[3]));
  v[0] = vreinterpretq_u32_u64(vtrn1q_u64(a, c));
  v[1] = vreinterpretq_u32_u64(vtrn1q_u64(b, d));
  v[2] = vreinterpretq_u32_u64(vtrn2q_u64(a, c));
  v[3] = vreinterpretq_u32_u64(vtrn2q_u64(b, d));
}

/* Turns the levels of the tile: four neighbouring columns of a row stay together. */
CK_NEON_INLINE void ck_turn_fours(ck_neon_tile *s, size_t count) {
  for (size_t c = 0; c < count; c += 16) {
    for (size_t r = 0; r < CK_TILE_ROWS; r += 4) {
      uint32x4_t v[4];
      for (size_t i = 0; i < 4; i++) v[i] = vreinterpretq_u32_s8(vld1q_s8(s->levels[r + i] + c));
      ck_transpose4(v);
      for (size_t i = 0; i < 4; i++) {
        vst1q_s8(s->tile + CK_TILE_ROWS * (c + 4 * i) + 4 * r, vreinterpretq_s8_u32(v[i]));
      }
    }
  }
}

/* Adds what group `g` gives four rows from `r` on: `whole` times both scales, less the minimum's share;
 * `sum` is that of the activations. */
CK_NEON_INLINE float32x4_t ck_add_group(const ck_neon_tile *s, float32x4_t sums, size_t g, size_t r,
                                        int32x4_t whole, float step, float sum,
                                        const bool has_minima) {
  const float32x4_t scale = vmulq_n_f32(vld1q_f32(&s->scales[g][r]), step);
  sums = vfmaq_f32(sums, vcvtq_f32_s32(whole), scale);
  return has_minima ? vfmsq_f32(sums, vld1q_f32(&s->minima[g][r]), vdupq_n_f32(sum)) : sums;
}

/* The sums of four vectors, side by side. */
CK_NEON_INLINE int32x4_t ck_add_within(const int32x4_t v[4]) {
  return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* Multiplies with the products given, one of which serves any number of tokens. */
void ck_neon_multiply_tiles(const ck_neon_products products, ck_matrix w, const void *x,
                            const int32_t *list, size_t tokens, bool is_wide, float *out,
                            size_t out_stride);

#endif
#endif

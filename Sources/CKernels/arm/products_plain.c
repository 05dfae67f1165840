/* Products of whole numbers with the instructions that every AArch64 CPU has: 16 bits by 16 bits. */
#include "tile.h"

#if defined(__aarch64__)

/* Eight activations as 16-bit numbers. */
CK_NEON_INLINE int16x8_t values8(const int8_t *high, const int8_t *low, const bool is_wide) {
  const int8x8_t upper = vld1_s8(high);
  return is_wide ? vaddw_s8(vshll_n_s8(upper, 8), vld1_s8(low)) : vmovl_s8(upper);
}

/* One column of sixteen rows by lane LANE of each token's activations. */
#define MULTIPLY_COLUMN(W, LANE)                                                           \
  {                                                                                        \
    const int16x8_t w0 = vmovl_s8(vget_low_s8(W)), w1 = vmovl_high_s8(W);                  \
    for (int t = 0; t < tokens; t++) {                                                     \
      whole[t][0] = vmlal_laneq_s16(whole[t][0], vget_low_s16(w0), v[t], LANE);            \
      whole[t][1] = vmlal_high_laneq_s16(whole[t][1], w0, v[t], LANE);                     \
      whole[t][2] = vmlal_laneq_s16(whole[t][2], vget_low_s16(w1), v[t], LANE);            \
      whole[t][3] = vmlal_high_laneq_s16(whole[t][3], w1, v[t], LANE);                     \
    }                                                                                      \
  }

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants:
 * tokens, weights that share a scale, whether there are minima, and whether activations have 16
 * bits. */
CK_NEON_INLINE void multiply_tile(ck_neon_tile *s, const ck_neon_token *x, size_t first,
                                  size_t column, size_t count, const int tokens, const size_t group,
                                  const bool has_minima, const bool is_wide) {
  const ck_neon_token *own = x + first;
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    int32x4_t whole[4][4];
    for (int t = 0; t < tokens; t++) {
      for (int r = 0; r < 4; r++) whole[t][r] = vdupq_n_s32(0);
    }
    for (size_t i = 0; i < group; i += 8) {
      int16x8_t v[4];
      for (int t = 0; t < tokens; t++) {
        v[t] = values8(own[t].high + at + i, own[t].low + at + i, is_wide);
      }
      const int8_t *tile = s->tile + CK_TILE_ROWS * (g * group + i);
      const int8x16x4_t head = vld4q_s8(tile), tail = vld4q_s8(tile + 4 * CK_TILE_ROWS);
      MULTIPLY_COLUMN(head.val[0], 0)
      MULTIPLY_COLUMN(head.val[1], 1)
      MULTIPLY_COLUMN(head.val[2], 2)
      MULTIPLY_COLUMN(head.val[3], 3)
      MULTIPLY_COLUMN(tail.val[0], 4)
      MULTIPLY_COLUMN(tail.val[1], 5)
      MULTIPLY_COLUMN(tail.val[2], 6)
      MULTIPLY_COLUMN(tail.val[3], 7)
    }
    for (int t = 0; t < tokens; t++) {
      float *sums = s->sums[first + (size_t)t];
      const float step = own[t].scales[at / 32];
      const float sum = has_minima ? own[t].sums[at / group] : 0;
      for (size_t r = 0; r < 4; r++) {
        vst1q_f32(sums + 4 * r, ck_add_group(s, vld1q_f32(sums + 4 * r), g, 4 * r, whole[t][r],
                                             step, sum, has_minima));
      }
    }
  }
}

/* Sixteen levels of one row by as many activations, into four sums. */
CK_NEON_INLINE int32x4_t multiply16(int32x4_t sums, const int8_t *levels, const int16x8_t v[2]) {
  const int8x16_t w = vld1q_s8(levels);
  const int16x8_t w0 = vmovl_s8(vget_low_s8(w)), w1 = vmovl_high_s8(w);
  sums = vmlal_s16(sums, vget_low_s16(w0), vget_low_s16(v[0]));
  sums = vmlal_high_s16(sums, w0, v[0]);
  sums = vmlal_s16(sums, vget_low_s16(w1), vget_low_s16(v[1]));
  return vmlal_high_s16(sums, w1, v[1]);
}

/* One token needs no turned tile: adding up within the products brings the rows side by side. The whole
 * numbers are those of multiply_tile. */
CK_NEON_INLINE void multiply_one(ck_neon_tile *s, const ck_neon_token *x, size_t column,
                                 size_t count, const size_t group, const bool has_minima,
                                 const bool is_wide) {
  for (size_t c = 0; c < count; c += group) {
    const size_t at = column + c;
    int16x8_t v[4];
    for (size_t i = 0; i < group / 8; i++) {
      v[i] = values8(x->high + at + 8 * i, x->low + at + 8 * i, is_wide);
    }
    const float step = x->scales[at / 32];
    const float sum = has_minima ? x->sums[at / group] : 0;
    for (size_t r = 0; r < CK_TILE_ROWS; r += 4) {
      int32x4_t parts[4];
      for (size_t i = 0; i < 4; i++) {
        parts[i] = multiply16(vdupq_n_s32(0), s->levels[r + i] + c, v);
        if (group == 32) parts[i] = multiply16(parts[i], s->levels[r + i] + c + 16, v + 2);
      }
      float *sums = s->sums[0] + r;
      vst1q_f32(sums, ck_add_group(s, vld1q_f32(sums), c / group, r, ck_add_within(parts), step,
                                   sum, has_minima));
    }
  }
}

/* Four tokens' sums of sixteen rows, their activations and a column of weights fill the registers. */
#define TOKENS(N, GROUP, MINIMA, WIDE)                                                     \
  case N:                                                                                  \
    multiply_tile(s, x, t, column, count, N, GROUP, MINIMA, WIDE);                         \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                \
  static void NAME(ck_neon_tile *s, const ck_neon_token *x, size_t tokens, size_t column,  \
                   size_t count) {                                                         \
    if (tokens == 1) {                                                                     \
      multiply_one(s, x, column, count, GROUP, MINIMA, WIDE);                              \
      return;                                                                              \
    }                                                                                      \
    ck_turn_fours(s, count);                                                               \
    for (size_t t = 0; t < tokens; t += 4) {                                               \
      switch (tokens - t) {                                                                \
        TOKENS(1, GROUP, MINIMA, WIDE)                                                     \
        TOKENS(2, GROUP, MINIMA, WIDE)                                                     \
        TOKENS(3, GROUP, MINIMA, WIDE)                                                     \
        default: multiply_tile(s, x, t, column, count, 4, GROUP, MINIMA, WIDE);            \
      }                                                                                    \
    }                                                                                      \
  }

CK_NEON_DEFINE_PRODUCTS(plain, MULTIPLY)

void ck_neon_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                bool is_wide, float *out, size_t out_stride) {
  ck_neon_multiply_tiles(ck_plain_products, w, x, list, tokens, is_wide, out, out_stride);
}

#endif

/* Products of whole numbers with dot products of bytes (SDOT: Cortex-A76, Neoverse N1, Apple A13 and
 * later). A 16-bit activation is two bytes, hence two products: all of the upper bytes first, whose
 * sums times 256 are where those of the lower bytes start. That needs one sum a row and token, not
 * two, and so lets twice the tokens share a load of weights. */
#include "tile.h"

#if defined(__aarch64__)

#define CK_DOTPROD __attribute__((target("dotprod")))
#define CK_DOTPROD_INLINE static inline __attribute__((always_inline, target("dotprod")))

/* Four columns of sixteen rows by four activations of each token. */
#define MULTIPLY_FOUR(LANE)                                                            \
  {                                                                                    \
    const int8_t *four = tile + CK_TILE_ROWS * (c + 4 * (LANE));                       \
    for (int r = 0; r < 4; r++) {                                                      \
      const int8x16_t w = vld1q_s8(four + 16 * r);                                     \
      for (int t = 0; t < tokens; t++) {                                               \
        whole[t][r] = vdotq_laneq_s32(whole[t][r], w, v[t], LANE);                     \
      }                                                                                \
    }                                                                                  \
  }

/* A group's columns of sixteen rows, which start at `tile`, by the upper or the lower bytes of `tokens`
 * tokens from `at` on. */
CK_DOTPROD_INLINE void multiply_bytes(int32x4_t whole[4][4], const int8_t *tile,
                                      const ck_neon_token *x, size_t at, const int tokens,
                                      const size_t group, const bool is_low) {
  /* Unrolled, the weights of the next sixteen columns would be loaded early and sums spilled. */
  _Pragma("clang loop unroll(disable)") for (size_t c = 0; c < group; c += 16) {
    int8x16_t v[4];
    for (int t = 0; t < tokens; t++) v[t] = vld1q_s8((is_low ? x[t].low : x[t].high) + at + c);
    MULTIPLY_FOUR(0)
    MULTIPLY_FOUR(1)
    MULTIPLY_FOUR(2)
    MULTIPLY_FOUR(3)
  }
}

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants:
 * tokens, weights that share a scale, whether there are minima, and whether activations have 16
 * bits. */
CK_DOTPROD_INLINE void multiply_tile(ck_neon_tile *s, const ck_neon_token *x, size_t first,
                                     size_t column, size_t count, const int tokens,
                                     const size_t group, const bool has_minima, const bool is_wide) {
  const ck_neon_token *own = x + first;
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    const int8_t *tile = s->tile + CK_TILE_ROWS * g * group;
    int32x4_t whole[4][4];
    for (int t = 0; t < tokens; t++) {
      for (int r = 0; r < 4; r++) whole[t][r] = vdupq_n_s32(0);
    }
    multiply_bytes(whole, tile, own, at, tokens, group, false);
    if (is_wide) {
      for (int t = 0; t < tokens; t++) {
        for (int r = 0; r < 4; r++) whole[t][r] = vshlq_n_s32(whole[t][r], 8);
      }
      multiply_bytes(whole, tile, own, at, tokens, group, true);
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

/* One token needs no turned tile: adding up within the products brings the rows side by side. The whole
 * numbers are those of multiply_tile. */
CK_DOTPROD_INLINE void multiply_one(ck_neon_tile *s, const ck_neon_token *x, size_t column,
                                    size_t count, const size_t group, const bool has_minima,
                                    const bool is_wide) {
  const size_t vectors = group / 16;
  for (size_t c = 0; c < count; c += group) {
    const size_t at = column + c;
    int8x16_t high[2], low[2];
    for (size_t i = 0; i < vectors; i++) {
      high[i] = vld1q_s8(x->high + at + 16 * i);
      if (is_wide) low[i] = vld1q_s8(x->low + at + 16 * i);
    }
    const float step = x->scales[at / 32];
    const float sum = has_minima ? x->sums[at / group] : 0;
    for (size_t r = 0; r < CK_TILE_ROWS; r += 4) {
      int32x4_t parts[4];
      for (size_t i = 0; i < 4; i++) {
        const int8_t *levels = s->levels[r + i] + c;
        int32x4_t part = vdupq_n_s32(0);
        for (size_t j = 0; j < vectors; j++) {
          part = vdotq_s32(part, vld1q_s8(levels + 16 * j), high[j]);
        }
        if (is_wide) {
          part = vshlq_n_s32(part, 8);
          for (size_t j = 0; j < vectors; j++) {
            part = vdotq_s32(part, vld1q_s8(levels + 16 * j), low[j]);
          }
        }
        parts[i] = part;
      }
      float *sums = s->sums[0] + r;
      vst1q_f32(sums, ck_add_group(s, vld1q_f32(sums), c / group, r, ck_add_within(parts), step,
                                   sum, has_minima));
    }
  }
}

/* Four tokens' sums of sixteen rows, their activations and the weights fill the registers. */
#define TOKENS(N, GROUP, MINIMA, WIDE)                                                       \
  case N:                                                                                    \
    multiply_tile(s, x, t, column, count, N, GROUP, MINIMA, WIDE);                           \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                  \
  CK_DOTPROD static void NAME(ck_neon_tile *s, const ck_neon_token *x, size_t tokens,        \
                              size_t column, size_t count) {                                 \
    if (tokens == 1) {                                                                       \
      multiply_one(s, x, column, count, GROUP, MINIMA, WIDE);                                \
      return;                                                                                \
    }                                                                                        \
    ck_turn_fours(s, count);                                                                 \
    for (size_t t = 0; t < tokens; t += 4) {                                                 \
      switch (tokens - t) {                                                                  \
        TOKENS(1, GROUP, MINIMA, WIDE)                                                       \
        TOKENS(2, GROUP, MINIMA, WIDE)                                                       \
        TOKENS(3, GROUP, MINIMA, WIDE)                                                       \
        default: multiply_tile(s, x, t, column, count, 4, GROUP, MINIMA, WIDE);              \
      }                                                                                      \
    }                                                                                        \
  }

CK_NEON_DEFINE_PRODUCTS(dotprod, MULTIPLY)

void ck_dotprod_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                   bool is_wide, float *out, size_t out_stride) {
  ck_neon_multiply_tiles(ck_dotprod_products, w, x, list, tokens, is_wide, out, out_stride);
}

#endif

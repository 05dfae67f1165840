/* Products of whole numbers with products of byte matrices (SMMLA: Neoverse V1 and N2, Apple M2 and
 * later): two rows by two tokens over eight columns, twice the work of SDOT in an instruction. */
#include "tile.h"

#if defined(__aarch64__)

#define CK_I8MM __attribute__((target("i8mm")))
#define CK_I8MM_INLINE static inline __attribute__((always_inline, target("i8mm")))

/* Turns the levels of the tile: eight neighbouring columns of a row stay together, two rows to a
 * vector. */
CK_NEON_INLINE void turn_eights(ck_neon_tile *s, size_t count) {
  for (size_t c = 0; c < count; c += 16) {
    for (size_t r = 0; r < CK_TILE_ROWS; r += 2) {
      const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(s->levels[r] + c));
      const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(s->levels[r + 1] + c));
      int8_t *to = s->tile + CK_TILE_ROWS * c + 8 * r;
      vst1q_s8(to, vreinterpretq_s8_s64(vtrn1q_s64(a, b)));
      vst1q_s8(to + 8 * CK_TILE_ROWS, vreinterpretq_s8_s64(vtrn2q_s64(a, b)));
    }
  }
}

/* A group's columns of eight rows, which start at `tile`, by the upper or the lower bytes of `pairs`
 * pairs of tokens from `at` on. whole[p][r]: two rows by the two tokens of a pair. */
CK_I8MM_INLINE void multiply_bytes(int32x4_t whole[4][4], const int8_t *tile,
                                   const ck_neon_token *const x[8], size_t at, const int pairs,
                                   const size_t group, const bool is_low) {
  /* Unrolled, the weights of the next sixteen columns would be loaded early and sums spilled. */
  _Pragma("clang loop unroll(disable)") for (size_t c = 0; c < group; c += 16) {
    int8x16_t v[4][2];
    for (int p = 0; p < pairs; p++) {
      const ck_neon_token *a = x[2 * p], *b = x[2 * p + 1];
      const int64x2_t first = vreinterpretq_s64_s8(vld1q_s8((is_low ? a->low : a->high) + at + c));
      const int64x2_t second = vreinterpretq_s64_s8(vld1q_s8((is_low ? b->low : b->high) + at + c));
      v[p][0] = vreinterpretq_s8_s64(vtrn1q_s64(first, second));
      v[p][1] = vreinterpretq_s8_s64(vtrn2q_s64(first, second));
    }
    for (size_t half = 0; half < 2; half++) {
      for (size_t r = 0; r < 4; r++) {
        const int8x16_t w = vld1q_s8(tile + CK_TILE_ROWS * (c + 8 * half) + 16 * r);
        for (int p = 0; p < pairs; p++) whole[p][r] = vmmlaq_s32(whole[p][r], w, v[p][half]);
      }
    }
  }
}

/* Adds what one tile gives for `tokens` tokens from `first` on, `pairs` pairs of them; without a
 * second token the last one is paired with itself. All after `tokens` are constants: pairs, weights
 * that share a scale, whether there are minima, and whether activations have 16 bits. */
CK_I8MM_INLINE void multiply_tile(ck_neon_tile *s, const ck_neon_token *x, size_t first,
                                  size_t column, size_t count, int tokens, const int pairs,
                                  const size_t group, const bool has_minima, const bool is_wide) {
  const ck_neon_token *own[8];
  for (int t = 0; t < 2 * pairs; t++) own[t] = x + first + (t < tokens ? t : tokens - 1);
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    for (size_t row = 0; row < CK_TILE_ROWS; row += 8) {
      const int8_t *tile = s->tile + CK_TILE_ROWS * g * group + 8 * row;
      int32x4_t whole[4][4];
      for (int p = 0; p < pairs; p++) {
        for (int r = 0; r < 4; r++) whole[p][r] = vdupq_n_s32(0);
      }
      multiply_bytes(whole, tile, own, at, pairs, group, false);
      if (is_wide) {
        for (int p = 0; p < pairs; p++) {
          for (int r = 0; r < 4; r++) whole[p][r] = vshlq_n_s32(whole[p][r], 8);
        }
        multiply_bytes(whole, tile, own, at, pairs, group, true);
      }
      for (int p = 0; p < pairs; p++) {
        for (int odd = 0; odd < 2 && 2 * p + odd < tokens; odd++) {
          const int t = 2 * p + odd;
          float *sums = s->sums[first + (size_t)t] + row;
          const float step = own[t]->scales[at / 32];
          const float sum = has_minima ? own[t]->sums[at / group] : 0;
          for (size_t r = 0; r < 2; r++) {
            const int32x4_t a = whole[p][2 * r], b = whole[p][2 * r + 1];
            const int32x4_t rows = odd ? vuzp2q_s32(a, b) : vuzp1q_s32(a, b);
            vst1q_f32(sums + 4 * r, ck_add_group(s, vld1q_f32(sums + 4 * r), g, row + 4 * r, rows,
                                                 step, sum, has_minima));
          }
        }
      }
    }
  }
}

/* Eight tokens' sums of eight rows, their activations and the weights fill the registers. One token is
 * no matrix. */
#define PAIRS(N, GROUP, MINIMA, WIDE)                                                            \
  case N:                                                                                        \
    multiply_tile(s, x, t, column, count, (int)next, N, GROUP, MINIMA, WIDE);                    \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                      \
  CK_I8MM static void NAME(ck_neon_tile *s, const ck_neon_token *x, size_t tokens,               \
                           size_t column, size_t count) {                                        \
    if (tokens == 1) {                                                                           \
      ck_dotprod_products[WIDE][(GROUP) == 32][MINIMA](s, x, 1, column, count);                  \
      return;                                                                                    \
    }                                                                                            \
    turn_eights(s, count);                                                                       \
    for (size_t t = 0; t < tokens; t += 8) {                                                     \
      const size_t next = tokens - t < 8 ? tokens - t : 8;                                       \
      switch ((next + 1) / 2) {                                                                  \
        PAIRS(1, GROUP, MINIMA, WIDE)                                                            \
        PAIRS(2, GROUP, MINIMA, WIDE)                                                            \
        PAIRS(3, GROUP, MINIMA, WIDE)                                                            \
        PAIRS(4, GROUP, MINIMA, WIDE)                                                            \
      }                                                                                          \
    }                                                                                            \
  }

CK_NEON_DEFINE_PRODUCTS(i8mm, MULTIPLY)

void ck_i8mm_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                bool is_wide, float *out, size_t out_stride) {
  ck_neon_multiply_tiles(ck_i8mm_products, w, x, list, tokens, is_wide, out, out_stride);
}

#endif

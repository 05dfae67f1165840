/* How tokens meet a tile of weights: what products of 16-bit and of 8-bit activations share. */
#ifndef CK_TOKENS256_H
#define CK_TOKENS256_H

#include "tile256.h"

#if defined(__x86_64__)

/* Tokens that meet a tile together, at most. */
enum { CK_MOST_TOKENS = 4 };

/* Keeps the compiler from adding up in another order: it would run out of registers and spill. */
#define CK_KEEP_SUM(v) __asm__("" : "+x"(v))

/* Adds the whole numbers of a group, the `part`th behind column `c` of the tile, to the sums of `tokens`
 * tokens from `first` on, whose tile begins at `column`. */
CK_AVX2_INLINE void ck_add_to_sums(ck_scratch256 *s, const ck_token256 *mine, size_t first,
                                   size_t column, size_t c, size_t part,
                                   __m256i whole[CK_MOST_TOKENS][2], const int tokens,
                                   const size_t group, const bool has_minima) {
  const size_t g = c / group + part;
  for (int t = 0; t < tokens; t++) {
    float *sums = s->sums[first + (size_t)t];
    const float step = mine[t].scales[(column + c) / 32];
    const float sum = has_minima ? mine[t].sums[column / group + g] : 0;
    for (size_t r = 0; r < 2; r++) {
      const __m256 old = _mm256_load_ps(sums + 8 * r);
      _mm256_store_ps(sums + 8 * r,
                      ck_add_group(old, whole[t][r], _mm256_load_ps(&s->scales[g][8 * r]), step,
                                   _mm256_load_ps(&s->minima[g][8 * r]), sum, has_minima));
    }
  }
}

/* Adds what the tile at `column` of `count` columns gives `tokens` tokens. */
typedef void ck_avx2_multiply(ck_scratch256 *s, const ck_token256 *x, size_t tokens, size_t column,
                              size_t count);

/* Defines such a function from an expression that does it for TOKENS tokens, a constant of at most MOST,
 * from `t` on.
 * Tokens go through a tile in groups of nearly the same size: a small last group would leave the
 * multipliers waiting for their own results. */
#define CK_MULTIPLY_TILE(NAME, MOST, ...)                                                    \
  CK_AVX2 void NAME(ck_scratch256 *s, const ck_token256 *x, size_t tokens, size_t column,    \
                    size_t count) {                                                          \
    const size_t most = MOST;                                                                \
    for (size_t t = 0; t < tokens;) {                                                        \
      const size_t left = tokens - t, groups = (left + most - 1) / most;                     \
      const size_t next = (left + groups - 1) / groups;                                      \
      switch (next) {                                                                        \
        case 1: { enum { TOKENS = 1 }; __VA_ARGS__; break; }                                 \
        case 2: { enum { TOKENS = 2 }; __VA_ARGS__; break; }                                 \
        case 3: { enum { TOKENS = 3 }; __VA_ARGS__; break; }                                 \
        case 4: { enum { TOKENS = 4 }; __VA_ARGS__; break; }                                 \
      }                                                                                      \
      t += next;                                                                             \
    }                                                                                        \
  }

/* Products of 8-bit activations (narrow256.c): by weights that share a scale, steps of four columns that
 * are added up in 16 bits, and whether there are minima. */
ck_avx2_multiply ck_narrow_32_8, ck_narrow_32_8_minima, ck_narrow_32_4, ck_narrow_32_4_minima,
    ck_narrow_32_1, ck_narrow_16_4, ck_narrow_16_4_minima, ck_narrow_16_2, ck_narrow_16_1;

/* The most steps that fit. 4 bits: 8 steps of 4 columns are 16 products in a
 * sum, 16 * 15 * 127 = 30,480. */
#define CK_NARROW_Q4_0 ck_narrow_32_8
#define CK_NARROW_Q4_1 ck_narrow_32_8_minima
#define CK_NARROW_Q4_K ck_narrow_32_8_minima
#define CK_NARROW_TQ1_0 ck_narrow_32_8
#define CK_NARROW_TQ2_0 ck_narrow_32_8
/* 5 bits, and the values of FP4, at most 24. */
#define CK_NARROW_Q5_0 ck_narrow_32_4
#define CK_NARROW_Q5_1 ck_narrow_32_4_minima
#define CK_NARROW_Q5_K ck_narrow_32_4_minima
#define CK_NARROW_MXFP4 ck_narrow_32_4
#define CK_NARROW_NVFP4 ck_narrow_16_4
#define CK_NARROW_Q2_K ck_narrow_16_4_minima
#define CK_NARROW_Q3_K ck_narrow_16_4
/* 6 bits. */
#define CK_NARROW_Q6_K ck_narrow_16_2
/* Levels and 64: at most 126. */
#define CK_NARROW_IQ1_S ck_narrow_32_1
#define CK_NARROW_IQ1_M ck_narrow_16_1
#define CK_NARROW_IQ2_XXS ck_narrow_32_1
#define CK_NARROW_IQ2_XS ck_narrow_16_1
#define CK_NARROW_IQ2_S ck_narrow_16_1
#define CK_NARROW_IQ3_XXS ck_narrow_32_1
#define CK_NARROW_IQ3_S ck_narrow_32_1
/* Levels of -128 ... 127: products of 16 bits are faster (IQ4_XS on Zen 4: 61 against 48 G
 * multiply-adds/s, as activations have to take the signs). */
#define CK_NARROW_Q8_0 NULL
#define CK_NARROW_IQ4_NL NULL
#define CK_NARROW_IQ4_XS NULL

#endif
#endif

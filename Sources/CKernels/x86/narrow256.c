/* Products of a tile of quantised weights with 8-bit activations. */
#include "tokens256.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256i four(const int8_t *values) {
  return _mm256_set1_epi32((int)ck_load_u32(values));
}

CK_AVX2_INLINE __m256i load(const uint8_t bytes[4]) {
  return _mm256_load_si256((const __m256i *)(const void *)bytes);
}

/* whole[t] += the products of `steps` times four columns from the `at`th on. Many steps: weights are
 * loaded once, every token has its sums. */
CK_AVX2_INLINE void add_many_steps(__m256i whole[CK_MOST_TOKENS][2], const uint8_t (*bytes)[CK_TILE_ROWS][4],
                                   const int8_t *const values[CK_MOST_TOKENS], const int tokens,
                                   const size_t steps) {
  __m256i sums[CK_MOST_TOKENS][2];
  _Pragma("clang loop unroll(full)") for (size_t i = 0; i < steps; i++) {
    const __m256i upper = load(bytes[i][0]), lower = load(bytes[i][8]);
    for (int t = 0; t < tokens; t++) {
      const __m256i v = four(values[t] + 4 * i);
      const __m256i high = _mm256_maddubs_epi16(upper, v), low = _mm256_maddubs_epi16(lower, v);
      sums[t][0] = i == 0 ? high : _mm256_add_epi16(sums[t][0], high);
      sums[t][1] = i == 0 ? low : _mm256_add_epi16(sums[t][1], low);
      CK_KEEP_SUM(sums[t][0]);
      CK_KEEP_SUM(sums[t][1]);
    }
  }
  for (int t = 0; t < tokens; t++) {
    for (int r = 0; r < 2; r++) {
      const __m256i wide = _mm256_madd_epi16(sums[t][r], _mm256_set1_epi16(1));
      whole[t][r] = _mm256_add_epi32(whole[t][r], wide);
    }
  }
}

/* The same for one or two steps: one token after the other, whose sums then take no registers. */
CK_AVX2_INLINE void add_few_steps(__m256i whole[CK_MOST_TOKENS][2], const uint8_t (*bytes)[CK_TILE_ROWS][4],
                                  const int8_t *const values[CK_MOST_TOKENS], const int tokens,
                                  const size_t steps) {
  __m256i w[2][2];
  for (size_t i = 0; i < steps; i++) {
    for (int r = 0; r < 2; r++) w[i][r] = load(bytes[i][8 * r]);
  }
  for (int t = 0; t < tokens; t++) {
    for (int r = 0; r < 2; r++) {
      __m256i sum = _mm256_maddubs_epi16(w[0][r], four(values[t]));
      if (steps == 2) {
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[1][r], four(values[t] + 4)));
      }
      const __m256i wide = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
      whole[t][r] = _mm256_add_epi32(whole[t][r], wide);
      CK_KEEP_SUM(whole[t][r]);
    }
  }
}

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants: `steps`
 * of four columns stay within 16 bits when they are added up. */
CK_AVX2_INLINE void multiply_tile(ck_scratch256 *s, const ck_token256 *x, size_t first, size_t column,
                                  size_t count, const int tokens, const size_t group,
                                  const size_t steps, const bool has_minima) {
  const ck_token256 *mine = x + first;
  for (size_t c = 0; c < count; c += 32) {
    _Pragma("clang loop unroll(full)") for (size_t part = 0; part < 32 / group; part++) {
      __m256i whole[CK_MOST_TOKENS][2];
      for (int t = 0; t < tokens; t++) {
        const int32_t sum = mine[t].whole[(column + c) / group + part];
        whole[t][0] = whole[t][1] = _mm256_set1_epi32(-s->offset * sum);
      }
      _Pragma("clang loop unroll(full)") for (size_t i = 0; i < group / 4; i += steps) {
        const size_t at = c + group * part + 4 * i;
        const int8_t *values[CK_MOST_TOKENS];
        for (int t = 0; t < tokens; t++) values[t] = mine[t].bytes + column + at;
        if (steps <= 2) {
          add_few_steps(whole, s->bytes + at / 4, values, tokens, steps);
        } else {
          add_many_steps(whole, s->bytes + at / 4, values, tokens, steps);
        }
      }
      ck_add_to_sums(s, mine, first, column, c, part, whole, tokens, group, has_minima);
    }
  }
}

/* Four tokens, where registers do for less: three with four steps, two with two (Zen 4: MXFP4 62 against 59
 * G multiply-adds/s, Q6_K 66 against 56). */
#define MULTIPLY(NAME, GROUP, STEPS, MOST, MINIMA) \
  CK_MULTIPLY_TILE(NAME, MOST, multiply_tile(s, x, t, column, count, TOKENS, GROUP, STEPS, MINIMA))

MULTIPLY(ck_narrow_32_8, 32, 8, 4, false)
MULTIPLY(ck_narrow_32_8_minima, 32, 8, 4, true)
MULTIPLY(ck_narrow_32_4, 32, 4, 3, false)
MULTIPLY(ck_narrow_32_4_minima, 32, 4, 3, true)
MULTIPLY(ck_narrow_32_1, 32, 1, 4, false)
MULTIPLY(ck_narrow_16_4, 16, 4, 4, false)
MULTIPLY(ck_narrow_16_4_minima, 16, 4, 4, true)
MULTIPLY(ck_narrow_16_2, 16, 2, 2, false)
MULTIPLY(ck_narrow_16_1, 16, 1, 4, false)

#endif

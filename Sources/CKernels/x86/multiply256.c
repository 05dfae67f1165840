/* The AVX2 matrix product of quantised weights with quantised activations; tile256.h says how rows and
 * tokens meet. */
#include "activations256.h"
#include "../internal/activations.h"
#include "tile256.h"

#if defined(__x86_64__)

#define TYPE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type portable[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};
#define OWN(NAME) [CK_##NAME] = ck_avx2_levels_##NAME,
static ck_levels *const own[CK_TYPES] = {CK_EACH_AVX2_LEVEL_TYPE(OWN)};

/* What one product needs to know of a token. */
typedef struct {
  const int16_t *values;
  const float *scales, *sums;
} token;

CK_AVX2_INLINE __m256i pair(const int16_t *values) {
  return _mm256_set1_epi32((int)ck_load_u32(values));
}

CK_AVX2_INLINE __m256i at_i16(const int16_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Adds what group `g` gives eight rows from `r` on: `whole` times both scales, less the minimum's share;
 * `sum` is that of the activations. */
CK_AVX2_INLINE __m256 add_group(const ck_scratch256 *s, __m256 sums, size_t g, size_t r,
                                __m256i whole, float step, float sum, const bool has_minima) {
  const __m256 scale = _mm256_mul_ps(_mm256_load_ps(&s->scales[g][r]), _mm256_set1_ps(step));
  sums = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), scale, sums);
  if (!has_minima) return sums;
  return _mm256_fnmadd_ps(_mm256_load_ps(&s->minima[g][r]), _mm256_set1_ps(sum), sums);
}

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants: tokens,
 * weights that share a scale, and whether there are minima. */
CK_AVX2_INLINE void multiply_tile(ck_scratch256 *s, const token *x, size_t first, size_t column,
                                  size_t count, const int tokens, const size_t group,
                                  const bool has_minima) {
  const token *own_tokens = x + first;
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    /* Where the group's first pairs are among the 32 values of its neighbours. */
    const size_t place = at / 32 * 32 + at % 32 / 2;
    __m256i whole[6][2];
    for (int t = 0; t < tokens; t++) whole[t][0] = whole[t][1] = _mm256_setzero_si256();
    _Pragma("clang loop unroll(full)") for (size_t i = 0; i < group / 4; i++) {
      _Pragma("clang loop unroll(full)") for (size_t odd = 0; odd < 2; odd++) {
        const int16_t *w = s->tile[g * (group / 4) + i][odd][0];
        const __m256i upper = _mm256_load_si256((const __m256i *)(const void *)w);
        const __m256i lower = _mm256_load_si256((const __m256i *)(const void *)(w + 16));
        for (int t = 0; t < tokens; t++) {
          const __m256i v = pair(own_tokens[t].values + place + 16 * odd + 2 * i);
          whole[t][0] = _mm256_add_epi32(whole[t][0], _mm256_madd_epi16(upper, v));
          whole[t][1] = _mm256_add_epi32(whole[t][1], _mm256_madd_epi16(lower, v));
        }
      }
    }
    for (int t = 0; t < tokens; t++) {
      float *sums = s->sums[first + (size_t)t];
      const float step = own_tokens[t].scales[at / 32];
      const float sum = has_minima ? own_tokens[t].sums[at / group] : 0;
      for (size_t r = 0; r < 2; r++) {
        _mm256_store_ps(sums + 8 * r, add_group(s, _mm256_load_ps(sums + 8 * r), g, 8 * r,
                                                whole[t][r], step, sum, has_minima));
      }
    }
  }
}

/* The sums of each 16-byte lane of eight vectors: result 0 is that of the lower lanes, in the order of
 * the vectors, result 1 that of the upper ones. */
CK_AVX2_INLINE void add_within_lanes(const __m256i v[8], __m256i sums[2]) {
  __m256i w[4];
  for (int i = 0; i < 4; i++) {
    w[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                            _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  }
  const __m256i head =
      _mm256_add_epi32(_mm256_unpacklo_epi64(w[0], w[1]), _mm256_unpackhi_epi64(w[0], w[1]));
  const __m256i tail =
      _mm256_add_epi32(_mm256_unpacklo_epi64(w[2], w[3]), _mm256_unpackhi_epi64(w[2], w[3]));
  sums[0] = _mm256_permute2x128_si256(head, tail, 0x20);
  sums[1] = _mm256_permute2x128_si256(head, tail, 0x31);
}

/* One token needs no turned tile: each row meets 32 activations, and adding up within the products
 * brings the rows side by side, for half the shuffles. The whole numbers are those of
 * multiply_tile. */
CK_AVX2_INLINE void multiply_one(ck_scratch256 *s, const token *x, size_t column, size_t count,
                                 const size_t group, const bool has_minima) {
  for (size_t r = 0; r < CK_TILE_ROWS; r += 8) {
    __m256 sums = _mm256_load_ps(s->sums[0] + r);
    for (size_t c = 0; c < count; c += 32) {
      const size_t at = column + c;
      const __m256i even = at_i16(x->values + at), odd = at_i16(x->values + at + 16);
      __m256i v[8], whole[2];
      _Pragma("clang loop unroll(full)") for (size_t i = 0; i < 8; i++) {
        const __m256i w =
            _mm256_load_si256((const __m256i *)(const void *)(s->levels[r + i] + c));
        v[i] = _mm256_add_epi32(_mm256_madd_epi16(ck_even_bytes(w), even),
                                _mm256_madd_epi16(ck_odd_bytes(w), odd));
      }
      add_within_lanes(v, whole);
      const float step = x->scales[at / 32];
      if (group == 32) {
        sums = add_group(s, sums, c / 32, r, _mm256_add_epi32(whole[0], whole[1]), step,
                         has_minima ? x->sums[at / 32] : 0, has_minima);
      } else {
        for (size_t half = 0; half < 2; half++) {
          sums = add_group(s, sums, c / 16 + half, r, whole[half], step,
                           has_minima ? x->sums[at / 16 + half] : 0, has_minima);
        }
      }
    }
    _mm256_store_ps(s->sums[0] + r, sums);
  }
}

/* Tokens go through a tile in groups of nearly the same size: a small last group would leave the
 * multipliers waiting for their own results. */
#define TOKENS(N, GROUP, MINIMA)                              \
  case N:                                                     \
    multiply_tile(s, x, t, column, count, N, GROUP, MINIMA);  \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA)                                                           \
  CK_AVX2 static void NAME(ck_scratch256 *s, const token *x, size_t tokens, size_t column,      \
                           size_t count) {                                                      \
    if (tokens == 1) {                                                                          \
      multiply_one(s, x, column, count, GROUP, MINIMA);                                         \
      return;                                                                                   \
    }                                                                                           \
    /* Two sums a token, two vectors of weights and a pair of activations fill the registers. */ \
    const size_t most = MOST_TOKENS;                                                            \
    ck_turn_levels256(s, count);                                                                \
    for (size_t t = 0; t < tokens;) {                                                           \
      const size_t left = tokens - t, groups = (left + most - 1) / most;                        \
      const size_t next = (left + groups - 1) / groups;                                         \
      switch (next) {                                                                           \
        TOKENS(1, GROUP, MINIMA)                                                                \
        TOKENS(2, GROUP, MINIMA)                                                                \
        TOKENS(3, GROUP, MINIMA)                                                                \
        TOKENS(4, GROUP, MINIMA)                                                                \
        TOKENS(5, GROUP, MINIMA)                                                                \
        TOKENS(6, GROUP, MINIMA)                                                                \
      }                                                                                         \
      t += next;                                                                                \
    }                                                                                           \
  }

#ifndef MOST_TOKENS
#define MOST_TOKENS 5
#endif

MULTIPLY(multiply_32, 32, false)
MULTIPLY(multiply_32_minima, 32, true)
MULTIPLY(multiply_16, 16, false)
MULTIPLY(multiply_16_minima, 16, true)

typedef void multiply_function(ck_scratch256 *, const token *, size_t, size_t, size_t);

/* By weights that share a scale, and whether there are minima. */
static multiply_function *const functions[2][2] = {
    {multiply_16, multiply_16_minima},
    {multiply_32, multiply_32_minima},
};

static token token_at(const void *row, size_t columns, size_t group) {
  const ck_activations256 a = ck_activations256_at((void *)(uintptr_t)row, columns);
  return (token){.values = a.values, .scales = a.scales, .sums = group == 32 ? a.sums32 : a.sums16};
}

CK_AVX2 void ck_avx2_multiply_quantized(ck_matrix w, const void *x, const int32_t *list,
                                        size_t tokens, bool is_wide __attribute__((unused)),
                                        float *out, size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const ck_level_type *type = &portable[w.type];
  ck_levels *decode = own[w.type] ? own[w.type] : type->decode;
  multiply_function *multiply = functions[type->group == 32][type->has_minima];
  const size_t token_bytes = ck_activations_bytes(w.columns);
  ck_scratch256 s;
  for (size_t row = 0; row < w.rows; row += CK_TILE_ROWS) {
    const size_t height = w.rows - row < CK_TILE_ROWS ? w.rows - row : CK_TILE_ROWS;
    const uint8_t *rows[CK_TILE_ROWS];
    for (size_t r = 0; r < CK_TILE_ROWS; r++) {
      /* The last row stands in for those behind it. */
      rows[r] = (const uint8_t *)w.base + (row + (r < height ? r : height - 1)) * w.stride_bytes;
    }
    for (size_t done = 0; done < tokens; done += CK_TOKEN_GROUP) {
      const size_t group = tokens - done < CK_TOKEN_GROUP ? tokens - done : CK_TOKEN_GROUP;
      token here[CK_TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        const size_t index = list ? (size_t)list[done + t] : done + t;
        here[t] = token_at((const uint8_t *)x + index * token_bytes, w.columns, type->group);
      }
      memset(s.sums, 0, group * sizeof s.sums[0]);
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        ck_load_rows256(&s, decode, type, rows, ck_bytes_of(blocks, column),
                        ck_bytes_of(blocks, count), count);
        multiply(&s, here, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        memcpy(out + (done + t) * out_stride + row, s.sums[t], height * sizeof(float));
      }
    }
  }
}

#endif

/* The AVX-512 matrix product of quantised weights with quantised activations; tile256.h says how rows
 * and tokens meet. */
#include "tile512.h"

#if defined(__x86_64__)

CK_AVX512_INLINE __m512i four(const int8_t *values) {
  return _mm512_set1_epi32((int)ck_load_u32(values));
}

/* Most tokens that meet tiles at once. */
enum { MOST_TOKENS = 8 };

/* What tokens bring to the groups of 256 columns. Side by side they need one address. */
typedef struct {
  _Alignas(64) float steps[MOST_TOKENS][CK_TILE_COLUMNS / 32];
  _Alignas(64) int32_t bias[MOST_TOKENS][CK_MOST_GROUPS];
  _Alignas(64) float shares[MOST_TOKENS][CK_MOST_GROUPS]; /* of a minimum of 1; with minima only */
} token_groups;

/* Every row of activations goes on for 64 bytes from wherever this reads. */
CK_AVX512_INLINE void take_groups(token_groups *to, const ck_token512 *x, size_t column, const int tokens,
                                  const size_t group, const bool has_minima) {
  for (int t = 0; t < tokens; t++) {
    const __m256 steps = _mm256_loadu_ps(x[t].scales + column / 32);
    const __m512i bias = _mm512_loadu_si512(x[t].bias + column / group);
    _mm256_store_ps(to->steps[t], steps);
    _mm512_store_si512(to->bias[t], bias);
    if (has_minima) {
      const __m256i lanes = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
      const __m256i last = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
      const __m256 first8 = group == 32 ? steps : _mm256_permutevar8x32_ps(steps, lanes);
      const __m256 last8 = group == 32 ? steps : _mm256_permutevar8x32_ps(steps, last);
      const __m512 own = _mm512_insertf32x8(_mm512_castps256_ps512(first8), last8, 1);
      _mm512_store_ps(to->shares[t], _mm512_mul_ps(_mm512_mul_ps(own, _mm512_set1_ps(0x1p-7f)),
                                                   _mm512_cvtepi32_ps(bias)));
    }
  }
}

/* Adds what `tiles` give for `tokens` tokens from `first` on. All after `count` are constants: tokens, tiles,
 * weights that share a scale, whether there are minima, and whether activations have 16 bits. */
CK_AVX512_INLINE void multiply_tiles(ck_scratch256 *s, const ck_token512 *x, size_t first, size_t column,
                                     size_t count, const int tokens, const int tiles, const size_t group,
                                     const bool has_minima, const bool is_wide) {
  const ck_token512 *own = x + first;
  token_groups groups;
  take_groups(&groups, own, column, tokens, group, has_minima);
  __m512 sums[CK_MOST_TILES][MOST_TOKENS];
  for (int k = 0; k < tiles; k++) {
    for (int t = 0; t < tokens; t++) sums[k][t] = _mm512_load_ps(s[k].sums[first + (size_t)t]);
  }
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    __m512i whole[CK_MOST_TILES][MOST_TOKENS], upper[CK_MOST_TILES][MOST_TOKENS];
    for (int t = 0; t < tokens; t++) {
      for (int k = 0; k < tiles; k++) {
        whole[k][t] = _mm512_set1_epi32(groups.bias[t][g]);
        upper[k][t] = _mm512_setzero_si512();
      }
    }
    for (size_t i = 0; i < group / 4; i++) {
      __m512i w[CK_MOST_TILES];
      for (int k = 0; k < tiles; k++) w[k] = _mm512_load_si512(s[k].bytes[g * (group / 4) + i]);
      for (int t = 0; t < tokens; t++) {
        const __m512i high = four(own[t].high + at + 4 * i);
        if (is_wide) {
          const __m512i low = four(own[t].low + at + 4 * i);
          for (int k = 0; k < tiles; k++) {
            upper[k][t] = _mm512_dpbusd_epi32(upper[k][t], w[k], high);
            whole[k][t] = _mm512_dpbusd_epi32(whole[k][t], w[k], low);
          }
        } else {
          for (int k = 0; k < tiles; k++) whole[k][t] = _mm512_dpbusd_epi32(whole[k][t], w[k], high);
        }
      }
    }
    for (int k = 0; k < tiles; k++) {
      for (int t = 0; t < tokens; t++) {
        if (is_wide) whole[k][t] = _mm512_add_epi32(whole[k][t], _mm512_slli_epi32(upper[k][t], 8));
        sums[k][t] = ck_add_group512(s + k, sums[k][t], g, whole[k][t], groups.steps[t][g * group / 32],
                                     groups.shares[t][g], has_minima);
      }
    }
  }
  for (int k = 0; k < tiles; k++) {
    for (int t = 0; t < tokens; t++) _mm512_store_ps(s[k].sums[first + (size_t)t], sums[k][t]);
  }
}

/* Tokens go through tiles in groups of nearly the same size: a small last group would leave the
 * multipliers waiting for their own results. Two tiles share what is loaded of the tokens: with 12 chains of
 * products, 8 loads go with 12 of them, where 8 chains of one tile take 9 loads for 8. */
#define TOKENS(N, TILES, MOST, GROUP, MINIMA, WIDE)                                                        \
  case N:                                                                                                  \
    if ((N) <= (MOST)) multiply_tiles(s, x, t, column, count, N, TILES, GROUP, MINIMA, WIDE);               \
    break;
#define MULTIPLY_TILES(NAME, TILES, MOST, GROUP, MINIMA, WIDE)                                   \
  CK_AVX512 static void NAME##_##TILES(ck_scratch256 *s, const ck_token512 *x, size_t first,     \
                                       size_t tokens, size_t column, size_t count) {             \
    for (size_t t = first; t < tokens;) {                                                        \
      const size_t left = tokens - t, groups = (left + (MOST) - 1) / (MOST);                     \
      const size_t next = (left + groups - 1) / groups;                                          \
      switch (next) {                                                                            \
        TOKENS(1, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(2, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(3, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(4, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(5, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(6, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(7, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
        TOKENS(8, TILES, MOST, GROUP, MINIMA, WIDE)                                              \
      }                                                                                          \
      t += next;                                                                                 \
    }                                                                                            \
  }
/* 16-bit activations keep two chains a token and tile: more of them do not fit the registers. */
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                      \
  MULTIPLY_TILES(NAME, 1, (WIDE) ? 4 : 8, GROUP, MINIMA, WIDE)                                   \
  MULTIPLY_TILES(NAME, 2, (WIDE) ? 3 : 6, GROUP, MINIMA, WIDE)                                   \
  static void NAME(ck_scratch256 *s, size_t tiles, const ck_token512 *x, size_t first,           \
                   size_t tokens, size_t column, size_t count) {                                 \
    if (tiles == 1) {                                                                            \
      NAME##_1(s, x, first, tokens, column, count);                                              \
    } else {                                                                                     \
      NAME##_2(s, x, first, tokens, column, count);                                              \
    }                                                                                            \
  }

MULTIPLY(narrow_32, 32, false, false)
MULTIPLY(narrow_32_minima, 32, true, false)
MULTIPLY(narrow_16, 16, false, false)
MULTIPLY(narrow_16_minima, 16, true, false)
MULTIPLY(wide_32, 32, false, true)
MULTIPLY(wide_32_minima, 32, true, true)
MULTIPLY(wide_16, 16, false, true)
MULTIPLY(wide_16_minima, 16, true, true)

ck_avx512_products ck_avx512_vnni_products = {
    {{narrow_16, narrow_16_minima}, {narrow_32, narrow_32_minima}},
    {{wide_16, wide_16_minima}, {wide_32, wide_32_minima}},
};

/* The kernels of a type. */
typedef struct {
  ck_avx2_tile *load;
  ck_avx512_rows8 *rows[2]; /* one token, with 8-bit activations and with 16-bit ones */
  ck_avx512_rows16 *rows16[2]; /* the same of a multiple of 128 columns; or NULL */
  uint8_t group;            /* weights that share a scale: 16 or 32 */
  bool has_minima;
} type_kernels;

#define TYPE(NAME, GROUP, MINIMA)                                                  \
  [CK_##NAME] = {.load = ck_avx512_tile_##NAME,                                    \
                 .rows = {ck_avx512_any_narrow_rows_##NAME, ck_avx512_any_rows_##NAME}, \
                 .group = GROUP, .has_minima = MINIMA},
#define OWN(NAME, GROUP, MINIMA)                                                   \
  [CK_##NAME] = {.load = ck_avx512_tile_##NAME,                                    \
                 .rows = {ck_avx512_any_narrow_rows_##NAME, ck_avx512_any_rows_##NAME}, \
                 .rows16 = {ck_avx512_narrow_rows_##NAME, ck_avx512_rows_##NAME},  \
                 .group = GROUP, .has_minima = MINIMA},
#define SUPER(NAME, GROUP, MINIMA)                                                 \
  [CK_##NAME] = {.load = ck_avx512_tile_##NAME,                                    \
                 .rows16 = {ck_avx512_narrow_rows_##NAME, ck_avx512_rows_##NAME},  \
                 .group = GROUP, .has_minima = MINIMA},
static const type_kernels types[CK_TYPES] = {CK_EACH_ANY_TYPE(TYPE) CK_EACH_OWN_TYPE(OWN)
                                                 CK_EACH_SUPER_TYPE(SUPER)};

static ck_token512 token_at(const void *row, size_t columns, size_t group, bool is_wide) {
  const ck_activations a = ck_activations_at((void *)(uintptr_t)row, columns);
  return (ck_token512){
      .high = a.high,
      .low = a.low,
      .scales = is_wide ? a.wide_scales : a.narrow_scales,
      .bias = group == 32 ? (is_wide ? a.wide_bias32 : a.narrow_bias32)
                          : (is_wide ? a.wide_bias16 : a.narrow_bias16),
  };
}

/* Rows from `first` on; the last one stands in for those behind it. */
static inline void find_rows(const uint8_t **rows, ck_matrix w, size_t first, size_t count) {
  for (size_t r = 0; r < count; r++) {
    const size_t row = first + r < w.rows ? first + r : w.rows - 1;
    rows[r] = (const uint8_t *)w.base + row * w.stride_bytes;
  }
}

/* One token. */
static void multiply_rows(ck_matrix w, const type_kernels *type, ck_token512 x, bool is_wide, float *out) {
  ck_avx512_rows16 *multiply16 = w.columns % (CK_SUPER / 2) ? NULL : type->rows16[is_wide];
  for (size_t row = 0; row < w.rows;) {
    const uint8_t *rows[CK_TILE_ROWS];
    float sums[CK_TILE_ROWS];
    const size_t left = w.rows - row, most = multiply16 ? CK_TILE_ROWS : CK_HALF_ROWS;
    const size_t height = left < most ? left : most;
    find_rows(rows, w, row, most);
    if (multiply16) {
      multiply16(rows, w.columns, x, sums);
    } else {
      type->rows[is_wide](rows, w.columns, x, sums);
    }
    memcpy(out + row, sums, height * sizeof(float));
    row += height;
  }
}

CK_AVX512 void ck_avx512_multiply_with(ck_avx512_products products, ck_matrix w, const void *x,
                                       const int32_t *list, size_t tokens, bool is_wide, float *out,
                                       size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const type_kernels *type = &types[w.type];
  const size_t token_bytes = ck_activations_bytes(w.columns);
  if (tokens == 1) {
    const uint8_t *row = (const uint8_t *)x + (list ? (size_t)list[0] : 0) * token_bytes;
    multiply_rows(w, type, token_at(row, w.columns, type->group, is_wide), is_wide, out);
    return;
  }
  ck_avx512_product *multiply = products[is_wide][type->group == 32][type->has_minima];
  ck_scratch256 s[CK_MOST_TILES];
  for (size_t row = 0, height; row < w.rows; row += height) {
    const size_t left_rows = w.rows - row, most = CK_MOST_TILES * CK_TILE_ROWS;
    height = left_rows < most ? left_rows : most;
    const size_t tiles = (height + CK_TILE_ROWS - 1) / CK_TILE_ROWS;
    const uint8_t *rows[CK_MOST_TILES * CK_TILE_ROWS];
    find_rows(rows, w, row, tiles * CK_TILE_ROWS);
    for (size_t done = 0; done < tokens; done += CK_TOKEN_GROUP) {
      const size_t group = tokens - done < CK_TOKEN_GROUP ? tokens - done : CK_TOKEN_GROUP;
      ck_token512 here[CK_TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        const size_t index = list ? (size_t)list[done + t] : done + t;
        here[t] = token_at((const uint8_t *)x + index * token_bytes, w.columns, type->group, is_wide);
        for (size_t k = 0; k < tiles; k++) _mm512_store_ps(s[k].sums[t], _mm512_setzero_ps());
      }
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        for (size_t k = 0; k < tiles; k++) {
          type->load(rows + k * CK_TILE_ROWS, ck_bytes_of(blocks, column), count, &s[k]);
        }
        multiply(s, tiles, here, 0, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        float *to = out + (done + t) * out_stride + row;
        for (size_t k = 0; k < tiles; k++) {
          const size_t own = height - k * CK_TILE_ROWS;
          const __mmask16 is_row = own < CK_TILE_ROWS ? (__mmask16)((1u << own) - 1) : (__mmask16)0xffff;
          _mm512_mask_storeu_ps(to + k * CK_TILE_ROWS, is_row, _mm512_load_ps(s[k].sums[t]));
        }
      }
    }
  }
}

void ck_avx512_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                  bool is_wide, float *out, size_t out_stride) {
  ck_avx512_multiply_with(ck_avx512_vnni_products, w, x, list, tokens, is_wide, out, out_stride);
}

#endif

/* The AVX-512 matrix product of quantised weights with quantised activations; tile256.h says how rows
 * and tokens meet. */
#include "tile512.h"

#if defined(__x86_64__)

CK_AVX512_INLINE __m512i four(const int8_t *values) {
  return _mm512_set1_epi32((int)ck_load_u32(values));
}

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants: weights
 * that share a scale, whether there are minima, and whether activations have 16 bits. */
CK_AVX512_INLINE void multiply_tile(ck_scratch256 *s, const ck_token512 *x, size_t first, size_t column,
                                    size_t count, const int tokens, const size_t group,
                                    const bool has_minima, const bool is_wide) {
  const ck_token512 *own = x + first;
  __m512 sums[8];
  for (int t = 0; t < tokens; t++) sums[t] = _mm512_load_ps(s->sums[first + (size_t)t]);
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column + g * group;
    __m512i whole[8], upper[8];
    for (int t = 0; t < tokens; t++) {
      whole[t] = _mm512_set1_epi32(own[t].bias[at / group]);
      upper[t] = _mm512_setzero_si512();
    }
    for (size_t i = 0; i < group / 4; i++) {
      const __m512i w = _mm512_load_si512(s->bytes[g * (group / 4) + i]);
      for (int t = 0; t < tokens; t++) {
        if (is_wide) {
          upper[t] = _mm512_dpbusd_epi32(upper[t], w, four(own[t].high + at + 4 * i));
          whole[t] = _mm512_dpbusd_epi32(whole[t], w, four(own[t].low + at + 4 * i));
        } else {
          whole[t] = _mm512_dpbusd_epi32(whole[t], w, four(own[t].high + at + 4 * i));
        }
      }
    }
    for (int t = 0; t < tokens; t++) {
      if (is_wide) whole[t] = _mm512_add_epi32(whole[t], _mm512_slli_epi32(upper[t], 8));
      sums[t] = ck_add_group512(s, sums[t], g, whole[t], own[t].scales[at / 32], own[t].bias[at / group],
                          has_minima);
    }
  }
  for (int t = 0; t < tokens; t++) _mm512_store_ps(s->sums[first + (size_t)t], sums[t]);
}

/* Tokens go through a tile in groups of nearly the same size: a small last group would leave the
 * multipliers waiting for their own results. */
#define TOKENS(N, GROUP, MINIMA, WIDE)                                \
  case N:                                                             \
    multiply_tile(s, x, t, column, count, N, GROUP, MINIMA, WIDE);    \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                      \
  CK_AVX512 static void NAME(ck_scratch256 *s, const ck_token512 *x, size_t first,               \
                             size_t tokens, size_t column, size_t count) {                       \
    /* 16-bit activations keep two chains a token: more of them do not fit the registers. */     \
    const size_t most = (WIDE) ? 4 : 8;                                                          \
    for (size_t t = first; t < tokens;) {                                                        \
      const size_t left = tokens - t, groups = (left + most - 1) / most;                         \
      const size_t next = (left + groups - 1) / groups;                                          \
      switch (next) {                                                                            \
        TOKENS(1, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(2, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(3, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(4, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(5, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(6, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(7, GROUP, MINIMA, WIDE)                                                           \
        TOKENS(8, GROUP, MINIMA, WIDE)                                                           \
      }                                                                                          \
      t += next;                                                                                 \
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
  ck_avx512_rows16 *blocks[2]; /* the same of a multiple of 256 columns; or NULL */
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
                 .blocks = {ck_avx512_narrow_rows_##NAME, ck_avx512_rows_##NAME},  \
                 .group = GROUP, .has_minima = MINIMA},
#define SUPER(NAME, GROUP, MINIMA)                                                 \
  [CK_##NAME] = {.load = ck_avx512_tile_##NAME,                                    \
                 .blocks = {ck_avx512_narrow_rows_##NAME, ck_avx512_rows_##NAME},  \
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
  ck_avx512_rows16 *blocks = w.columns % CK_SUPER ? NULL : type->blocks[is_wide];
  for (size_t row = 0; row < w.rows;) {
    const uint8_t *rows[CK_TILE_ROWS];
    float sums[CK_TILE_ROWS];
    const size_t left = w.rows - row, most = blocks ? CK_TILE_ROWS : CK_HALF_ROWS;
    const size_t height = left < most ? left : most;
    find_rows(rows, w, row, most);
    if (blocks) {
      blocks(rows, w.columns, x, sums);
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
  ck_scratch256 s;
  for (size_t row = 0; row < w.rows; row += CK_TILE_ROWS) {
    const size_t height = w.rows - row < CK_TILE_ROWS ? w.rows - row : CK_TILE_ROWS;
    const __mmask16 is_row = (__mmask16)((1u << height) - 1);
    const uint8_t *rows[CK_TILE_ROWS];
    find_rows(rows, w, row, CK_TILE_ROWS);
    for (size_t done = 0; done < tokens; done += CK_TOKEN_GROUP) {
      const size_t group = tokens - done < CK_TOKEN_GROUP ? tokens - done : CK_TOKEN_GROUP;
      ck_token512 here[CK_TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        const size_t index = list ? (size_t)list[done + t] : done + t;
        here[t] = token_at((const uint8_t *)x + index * token_bytes, w.columns, type->group, is_wide);
        _mm512_store_ps(s.sums[t], _mm512_setzero_ps());
      }
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        type->load(rows, ck_bytes_of(blocks, column), count, &s);
        multiply(&s, here, 0, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        _mm512_mask_storeu_ps(out + (done + t) * out_stride + row, is_row,
                              _mm512_load_ps(s.sums[t]));
      }
    }
  }
}

void ck_avx512_multiply_quantized(ck_matrix w, const void *x, const int32_t *list, size_t tokens,
                                  bool is_wide, float *out, size_t out_stride) {
  ck_avx512_multiply_with(ck_avx512_vnni_products, w, x, list, tokens, is_wide, out, out_stride);
}

#endif

/* The AVX2 matrix product of quantised weights with quantised activations; tile256.h says how rows and
 * tokens meet. */
#include "../internal/activations.h"
#include "tokens256.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256i pair(const int16_t *values) {
  return _mm256_set1_epi32((int)ck_load_u32(values));
}

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants: tokens,
 * weights that share a scale, and whether there are minima. */
CK_AVX2_INLINE void multiply_tile(ck_scratch256 *s, const ck_token256 *x, size_t first, size_t column,
                                  size_t count, const int tokens, const size_t group,
                                  const bool has_minima) {
  const ck_token256 *mine = x + first;
  const int16_t *values[CK_MOST_TOKENS];
  for (int t = 0; t < tokens; t++) values[t] = mine[t].values + column;
  for (size_t c = 0; c < count; c += 32) {
    _Pragma("clang loop unroll(full)") for (size_t part = 0; part < 32 / group; part++) {
      __m256i whole[CK_MOST_TOKENS][2];
      for (int t = 0; t < tokens; t++) whole[t][0] = whole[t][1] = _mm256_setzero_si256();
      _Pragma("clang loop unroll(full)") for (size_t i = 0; i < group / 4; i++) {
        const size_t four = part * (group / 4) + i;
        _Pragma("clang loop unroll(full)") for (size_t odd = 0; odd < 2; odd++) {
          const int16_t *w = s->tile[c / 4 + four][odd][0];
          const __m256i upper = _mm256_load_si256((const __m256i *)(const void *)w);
          const __m256i lower = _mm256_load_si256((const __m256i *)(const void *)(w + 16));
          for (int t = 0; t < tokens; t++) {
            const __m256i v = pair(values[t] + c + 16 * odd + 2 * four);
            whole[t][0] = _mm256_add_epi32(whole[t][0], _mm256_madd_epi16(upper, v));
            whole[t][1] = _mm256_add_epi32(whole[t][1], _mm256_madd_epi16(lower, v));
            CK_KEEP_SUM(whole[t][0]);
            CK_KEEP_SUM(whole[t][1]);
          }
        }
      }
      ck_add_to_sums(s, mine, first, column, c, part, whole, tokens, group, has_minima);
    }
  }
}

/* Four tokens: two sums each, two vectors of weights and a pair of activations are in the 16 registers, and
 * three or six are no faster (Zen 4). */
#define MULTIPLY(NAME, GROUP, MINIMA)                                                          \
  CK_MULTIPLY_TILE(NAME, 4, multiply_tile(s, x, t, column, count, TOKENS, GROUP, MINIMA))

static MULTIPLY(multiply_32, 32, false)
static MULTIPLY(multiply_32_minima, 32, true)
static MULTIPLY(multiply_16, 16, false)
static MULTIPLY(multiply_16_minima, 16, true)

/* How to multiply by a type with activations of some bits. */
typedef struct {
  ck_avx2_tile *load;         /* several tokens: the weights of a tile */
  ck_avx2_multiply *multiply; /* NULL: as with more bits */
  ck_avx2_rows8 *rows;        /* one token */
} product;

typedef struct {
  product wide, narrow;
  uint8_t group; /* weights that share a scale: 16 or 32 */
} type_kernels;

#define WIDE(GROUP, MINIMA)                                         \
  ((GROUP) == 32 ? ((MINIMA) ? multiply_32_minima : multiply_32)   \
                 : ((MINIMA) ? multiply_16_minima : multiply_16))
#define TYPE(NAME, GROUP, MINIMA)                                                              \
  [CK_##NAME] = {{ck_avx2_tile_##NAME, WIDE(GROUP, MINIMA), ck_avx2_rows_##NAME},              \
                 {ck_avx2_narrow_tile_##NAME, CK_NARROW_##NAME, ck_avx2_narrow_rows_##NAME},   \
                 GROUP},
static const type_kernels types[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};

static ck_token256 token_at(const void *row, size_t columns, size_t group) {
  const ck_activations256 a = ck_activations256_at((void *)(uintptr_t)row, columns);
  return (ck_token256){.values = a.values,
                       .bytes = a.bytes,
                       .scales = a.scales,
                       .sums = group == 32 ? a.sums32 : a.sums16,
                       .whole = group == 32 ? a.whole32 : a.whole16};
}

/* Rows from `first` on; the last one stands in for those behind it. */
CK_AVX2_INLINE void find_rows(const uint8_t **rows, ck_matrix w, size_t first, size_t count) {
  for (size_t r = 0; r < count; r++) {
    const size_t row = first + r < w.rows ? first + r : w.rows - 1;
    rows[r] = (const uint8_t *)w.base + row * w.stride_bytes;
  }
}

/* One token. */
CK_AVX2 static void multiply_rows(ck_matrix w, ck_avx2_rows8 *multiply, ck_token256 x, float *out) {
  for (size_t row = 0; row < w.rows; row += CK_HALF_ROWS) {
    const uint8_t *rows[CK_HALF_ROWS];
    float sums[CK_HALF_ROWS];
    const size_t left = w.rows - row, height = left < CK_HALF_ROWS ? left : CK_HALF_ROWS;
    find_rows(rows, w, row, CK_HALF_ROWS);
    multiply(rows, w.columns, x, sums);
    memcpy(out + row, sums, height * sizeof(float));
  }
}

/* Tokens `first` ..< `first + count` of the call. */
CK_AVX2_INLINE void find_tokens(ck_token256 *found, const void *x, const int32_t *list, size_t first,
                                size_t count, size_t columns, size_t group) {
  const size_t bytes = ck_activations_bytes(columns);
  for (size_t t = 0; t < count; t++) {
    const size_t index = list ? (size_t)list[first + t] : first + t;
    found[t] = token_at((const uint8_t *)x + index * bytes, columns, group);
  }
}

CK_AVX2_INLINE void clear_sums(ck_scratch256 *s, size_t tokens) {
  for (size_t t = 0; t < tokens; t++) {
    _mm256_store_ps(s->sums[t], _mm256_setzero_ps());
    _mm256_store_ps(s->sums[t] + 8, _mm256_setzero_ps());
  }
}

/* The sums of `height` rows, a row of results a token. */
CK_AVX2_INLINE void put_sums(const ck_scratch256 *s, size_t tokens, size_t height, float *out,
                             size_t out_stride) {
  for (size_t t = 0; t < tokens; t++, out += out_stride) {
    if (height == CK_TILE_ROWS) {
      _mm256_storeu_ps(out, _mm256_load_ps(s->sums[t]));
      _mm256_storeu_ps(out + 8, _mm256_load_ps(s->sums[t] + 8));
    } else {
      memcpy(out, s->sums[t], height * sizeof(float));
    }
  }
}

CK_AVX2 void ck_avx2_multiply_quantized(ck_matrix w, const void *x, const int32_t *list,
                                        size_t tokens, bool is_wide, float *out,
                                        size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const type_kernels *type = &types[w.type];
  if (tokens == 1) {
    ck_token256 token;
    find_tokens(&token, x, list, 0, 1, w.columns, type->group);
    multiply_rows(w, is_wide ? type->wide.rows : type->narrow.rows, token, out);
    return;
  }
  const product *product = is_wide || !type->narrow.multiply ? &type->wide : &type->narrow;
  ck_scratch256 s;
  ck_token256 here[CK_TOKEN_GROUP];
  const bool is_one_group = tokens <= CK_TOKEN_GROUP;
  if (is_one_group) find_tokens(here, x, list, 0, tokens, w.columns, type->group);
  for (size_t row = 0; row < w.rows; row += CK_TILE_ROWS) {
    const size_t height = w.rows - row < CK_TILE_ROWS ? w.rows - row : CK_TILE_ROWS;
    const uint8_t *rows[CK_TILE_ROWS];
    find_rows(rows, w, row, CK_TILE_ROWS);
    for (size_t done = 0; done < tokens; done += CK_TOKEN_GROUP) {
      const size_t group = tokens - done < CK_TOKEN_GROUP ? tokens - done : CK_TOKEN_GROUP;
      if (!is_one_group) find_tokens(here, x, list, done, group, w.columns, type->group);
      clear_sums(&s, group);
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        const size_t offset = ck_bytes_of(blocks, column);
        product->load(rows, offset, count, &s);
        product->multiply(&s, here, group, column, count);
      }
      put_sums(&s, group, height, out + done * out_stride + row, out_stride);
    }
  }
}

#endif

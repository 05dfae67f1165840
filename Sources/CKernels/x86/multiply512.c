/* The AVX-512 matrix product of quantised weights with quantised activations. */
#include "avx512.h"

#if defined(__x86_64__)

/* Sixteen rows meet all tokens of a group in tiles of 256 columns. A tile is decoded row by row
 * (4 KiB), and turned round so that lane r of a vector holds four neighbouring levels of row r. One
 * byte product then serves sixteen rows, the four activations are the same for all of them, and a
 * group's scale meets its sum once for sixteen rows. A lane's sums are those of its row: first whole
 * numbers within a group, then float32 sums group by group in the order of the columns, whatever
 * number of rows and tokens is under way. */
enum { TOKEN_GROUP = 64 };

#define TYPE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type portable[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};
#define OWN(NAME) [CK_##NAME] = ck_avx512_levels_##NAME,
static ck_levels *const own[CK_TYPES] = {CK_EACH_AVX512_TYPE(OWN)};

typedef struct {
  _Alignas(64) int8_t levels[CK_ROWS][CK_TILE_COLUMNS];
  _Alignas(64) float row_scales[CK_ROWS][CK_MOST_GROUPS];
  _Alignas(64) float row_minima[CK_ROWS][CK_MOST_GROUPS];
  /* Turned round: [columns / 4][row][4], 128 added. */
  _Alignas(64) uint8_t tile[CK_TILE_COLUMNS / 4][CK_ROWS][4];
  _Alignas(64) float scales[CK_MOST_GROUPS][CK_ROWS];
  _Alignas(64) float minima[CK_MOST_GROUPS][CK_ROWS];
  _Alignas(64) float sums[TOKEN_GROUP][CK_ROWS];
} scratch;

/* Sixteen rows of sixteen 32-bit elements, rows and columns exchanged. */
CK_AVX512_INLINE void transpose16(__m512i v[16]) {
  __m512i w[16];
  for (int i = 0; i < 16; i += 2) {
    w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(w[i], w[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(w[i], w[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(w[i + 1], w[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(w[i + 1], w[i + 3]);
  }
  /* v[4 * j + k], lane l: column 4 * l + k of rows 4 * j ..< 4 * j + 4. */
  for (int k = 0; k < 4; k++) {
    w[k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0x88);
    w[4 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0x88);
    w[8 + k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0xdd);
    w[12 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0xdd);
  }
  for (int k = 0; k < 4; k++) {
    v[k] = _mm512_shuffle_i32x4(w[k], w[4 + k], 0x88);
    v[8 + k] = _mm512_shuffle_i32x4(w[k], w[4 + k], 0xdd);
    v[4 + k] = _mm512_shuffle_i32x4(w[8 + k], w[12 + k], 0x88);
    v[12 + k] = _mm512_shuffle_i32x4(w[8 + k], w[12 + k], 0xdd);
  }
}

CK_AVX512_INLINE void turn_floats(float (*to)[CK_ROWS], float (*from)[CK_MOST_GROUPS],
                                  size_t groups) {
  __m512i v[16];
  for (int r = 0; r < CK_ROWS; r++) v[r] = _mm512_load_si512(from[r]);
  transpose16(v);
  for (size_t g = 0; g < groups; g++) _mm512_store_si512(to[g], v[g]);
}

/* Decodes and turns `count` columns of sixteen rows. */
CK_AVX512_INLINE void load_tile(scratch *s, ck_levels *decode, const ck_level_type *type,
                                const uint8_t *const rows[CK_ROWS], size_t offset, size_t bytes,
                                size_t count) {
  for (int r = 0; r < CK_ROWS; r++) {
    const uint8_t *at = rows[r] + offset;
    /* Sixteen streams are more than the hardware follows; two tiles ahead hides the memory. */
    for (size_t line = 0; line < bytes; line += 64) {
      _mm_prefetch((const char *)at + 2 * bytes + line, _MM_HINT_T0);
    }
    decode(at, count, s->levels[r], s->row_scales[r], s->row_minima[r]);
  }
  const __m512i offset128 = _mm512_set1_epi8((char)0x80);
  for (size_t c = 0; c < count; c += 64) {
    __m512i v[16];
    for (int r = 0; r < CK_ROWS; r++) v[r] = _mm512_load_si512(s->levels[r] + c);
    transpose16(v);
    for (int i = 0; i < 16; i++) {
      _mm512_store_si512(s->tile[c / 4 + (size_t)i], _mm512_xor_si512(v[i], offset128));
    }
  }
  const size_t groups = count / type->group;
  turn_floats(s->scales, s->row_scales, groups);
  if (type->has_minima) turn_floats(s->minima, s->row_minima, groups);
}

CK_AVX512_INLINE __m512i four(const int8_t *values) {
  return _mm512_set1_epi32((int)ck_load_u32(values));
}

/* What one product needs to know of a token: the values that it uses, and their scales. */
typedef struct {
  const int8_t *high, *low;
  const float *scales;
  const int32_t *bias;
} token;

/* Adds what one tile gives for `tokens` tokens from `first` on. All after `count` are constants: weights
 * that share a scale, whether there are minima, and whether activations have 16 bits. */
CK_AVX512_INLINE void multiply_tile(scratch *s, const token *x, size_t first, size_t column,
                                    size_t count, const int tokens, const size_t group,
                                    const bool has_minima, const bool is_wide) {
  const token *own = x + first;
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
      const __m512i w = _mm512_load_si512(s->tile[g * (group / 4) + i]);
      for (int t = 0; t < tokens; t++) {
        if (is_wide) {
          upper[t] = _mm512_dpbusd_epi32(upper[t], w, four(own[t].high + at + 4 * i));
          whole[t] = _mm512_dpbusd_epi32(whole[t], w, four(own[t].low + at + 4 * i));
        } else {
          whole[t] = _mm512_dpbusd_epi32(whole[t], w, four(own[t].high + at + 4 * i));
        }
      }
    }
    const __m512 scale = _mm512_load_ps(s->scales[g]);
    for (int t = 0; t < tokens; t++) {
      if (is_wide) whole[t] = _mm512_add_epi32(whole[t], _mm512_slli_epi32(upper[t], 8));
      const __m512 step = _mm512_set1_ps(own[t].scales[at / 32]);
      sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[t]), _mm512_mul_ps(scale, step), sums[t]);
      if (has_minima) {
        /* The bias is -128 times the sum of the activations. */
        const __m512 sum = _mm512_set1_ps(own[t].scales[at / 32] * 0x1p-7f *
                                          (float)own[t].bias[at / group]);
        sums[t] = _mm512_fmadd_ps(_mm512_load_ps(s->minima[g]), sum, sums[t]);
      }
    }
  }
  for (int t = 0; t < tokens; t++) _mm512_store_ps(s->sums[first + (size_t)t], sums[t]);
}

/* 16-bit activations keep two chains a token: four tokens fill the registers that eight do else. */
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                      \
  CK_AVX512 static void NAME(scratch *s, const token *x, size_t tokens, size_t column,           \
                             size_t count) {                                                     \
    size_t t = 0;                                                                                \
    if (!(WIDE)) {                                                                               \
      for (; t + 8 <= tokens; t += 8) {                                                          \
        multiply_tile(s, x, t, column, count, 8, GROUP, MINIMA, WIDE);                           \
      }                                                                                          \
    }                                                                                            \
    for (; t + 4 <= tokens; t += 4) multiply_tile(s, x, t, column, count, 4, GROUP, MINIMA, WIDE); \
    if (t + 2 <= tokens) {                                                                       \
      multiply_tile(s, x, t, column, count, 2, GROUP, MINIMA, WIDE);                             \
      t += 2;                                                                                    \
    }                                                                                            \
    if (t < tokens) multiply_tile(s, x, t, column, count, 1, GROUP, MINIMA, WIDE);               \
  }

MULTIPLY(narrow_32, 32, false, false)
MULTIPLY(narrow_32_minima, 32, true, false)
MULTIPLY(narrow_16, 16, false, false)
MULTIPLY(narrow_16_minima, 16, true, false)
MULTIPLY(wide_32, 32, false, true)
MULTIPLY(wide_32_minima, 32, true, true)
MULTIPLY(wide_16, 16, false, true)
MULTIPLY(wide_16_minima, 16, true, true)

typedef void multiply_function(scratch *, const token *, size_t, size_t, size_t);

/* By width of the activations, weights that share a scale, and whether there are minima. */
static multiply_function *const functions[2][2][2] = {
    {{narrow_16, narrow_16_minima}, {narrow_32, narrow_32_minima}},
    {{wide_16, wide_16_minima}, {wide_32, wide_32_minima}},
};

static token token_at(const void *row, size_t columns, size_t group, bool is_wide) {
  const ck_activations a = ck_activations_at((void *)(uintptr_t)row, columns);
  return (token){
      .high = a.high,
      .low = a.low,
      .scales = is_wide ? a.wide_scales : a.narrow_scales,
      .bias = group == 32 ? (is_wide ? a.wide_bias32 : a.narrow_bias32)
                          : (is_wide ? a.wide_bias16 : a.narrow_bias16),
  };
}

CK_AVX512 void ck_avx512_multiply_quantized(ck_matrix w, const void *x, const int32_t *list,
                                            size_t tokens, bool is_wide, float *out,
                                            size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const ck_level_type *type = &portable[w.type];
  ck_levels *decode = own[w.type] ? own[w.type] : type->decode;
  multiply_function *multiply = functions[is_wide][type->group == 32][type->has_minima];
  const size_t token_bytes = ck_activations_bytes(w.columns);
  scratch s;
  for (size_t row = 0; row < w.rows; row += CK_ROWS) {
    const size_t height = w.rows - row < CK_ROWS ? w.rows - row : CK_ROWS;
    const __mmask16 is_row = (__mmask16)((1u << height) - 1);
    const uint8_t *rows[CK_ROWS];
    for (size_t r = 0; r < CK_ROWS; r++) {
      /* The last row stands in for those behind it. */
      rows[r] = (const uint8_t *)w.base + (row + (r < height ? r : height - 1)) * w.stride_bytes;
    }
    for (size_t done = 0; done < tokens; done += TOKEN_GROUP) {
      const size_t group = tokens - done < TOKEN_GROUP ? tokens - done : TOKEN_GROUP;
      token here[TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        const size_t index = list ? (size_t)list[done + t] : done + t;
        here[t] = token_at((const uint8_t *)x + index * token_bytes, w.columns, type->group, is_wide);
        _mm512_store_ps(s.sums[t], _mm512_setzero_ps());
      }
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        load_tile(&s, decode, type, rows, ck_bytes_of(blocks, column), ck_bytes_of(blocks, count),
                  count);
        multiply(&s, here, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        _mm512_mask_storeu_ps(out + (done + t) * out_stride + row, is_row,
                              _mm512_load_ps(s.sums[t]));
      }
    }
  }
}

#endif

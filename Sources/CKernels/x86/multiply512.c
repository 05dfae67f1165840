/* The AVX-512 matrix product of quantised weights with quantised activations; tile512.h says how rows
 * and tokens meet. */
#include "tile512.h"

#if defined(__x86_64__)

#define TYPE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type portable[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};
#define OWN(NAME) [CK_##NAME] = ck_avx512_levels_##NAME,
static ck_levels *const own[CK_TYPES] = {CK_EACH_AVX512_TYPE(OWN)};

CK_AVX512_INLINE __m512i four(const int8_t *values) {
  return _mm512_set1_epi32((int)ck_load_u32(values));
}

/* What one product needs to know of a token: the values that it uses, and their scales. */
typedef struct {
  const int8_t *high, *low;
  const float *scales;
  const int32_t *bias;
} token;

/* Adds what group `g` of the tile gives: `whole` times both scales, less the minimum's share. `bias` is
 * -128 times the sum of the activations. */
CK_AVX512_INLINE __m512 add_group(const scratch *s, __m512 sums, size_t g, __m512i whole, float step,
                                  int32_t bias, const bool has_minima) {
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(s->scales[g]), _mm512_set1_ps(step));
  sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, sums);
  if (!has_minima) return sums;
  const __m512 sum = _mm512_set1_ps(step * 0x1p-7f * (float)bias);
  return _mm512_fmadd_ps(_mm512_load_ps(s->minima[g]), sum, sums);
}

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
    for (int t = 0; t < tokens; t++) {
      if (is_wide) whole[t] = _mm512_add_epi32(whole[t], _mm512_slli_epi32(upper[t], 8));
      sums[t] = add_group(s, sums[t], g, whole[t], own[t].scales[at / 32], own[t].bias[at / group],
                          has_minima);
    }
  }
  for (int t = 0; t < tokens; t++) _mm512_store_ps(s->sums[first + (size_t)t], sums[t]);
}

/* The sums of each of the four 16-byte lanes of sixteen vectors: v[j] gets those of vectors
 * 4 * j ..< 4 * j + 4, in each lane the four side by side. */
CK_AVX512_INLINE void add_within_lanes(__m512i v[16]) {
  __m512i w[8];
  for (int i = 0; i < 8; i++) {
    w[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                            _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  }
  for (int i = 0; i < 4; i++) {
    v[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(w[2 * i], w[2 * i + 1]),
                            _mm512_unpackhi_epi64(w[2 * i], w[2 * i + 1]));
  }
}

/* One token needs no turned tile: each row meets 64 activations, and adding up within the sixteen
 * products brings the rows side by side, for half the shuffles. The whole numbers are those of
 * multiply_tile. */
CK_AVX512_INLINE void multiply_one(scratch *s, const token *x, size_t column, size_t count,
                                   const size_t group, const bool has_minima, const bool is_wide) {
  const __m512i offset = _mm512_set1_epi8((char)0x80);
  __m512 sums = _mm512_load_ps(s->sums[0]);
  for (size_t c = 0; c < count; c += 64) {
    const size_t at = column + c;
    const __mmask64 is_there = count - c >= 64 ? ~0ull : 0xffffffffull;
    const __m512i high = _mm512_maskz_loadu_epi8(is_there, x->high + at);
    const __m512i low =
        is_wide ? _mm512_maskz_loadu_epi8(is_there, x->low + at) : _mm512_setzero_si512();
    __m512i v[16];
    for (int r = 0; r < CK_ROWS; r++) {
      const __m512i w = _mm512_xor_si512(_mm512_load_si512(s->levels[r] + c), offset);
      v[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, high);
      if (is_wide) v[r] = _mm512_dpbusd_epi32(_mm512_slli_epi32(v[r], 8), w, low);
    }
    add_within_lanes(v);
    /* v[j]: rows 4 * j ..< 4 * j + 4 of the 16 columns of each lane. */
    __m512i whole[4];
    for (int i = 0; i < 4; i += 2) {
      whole[i] = _mm512_shuffle_i32x4(v[i], v[i + 1], 0x88);
      whole[i + 1] = _mm512_shuffle_i32x4(v[i], v[i + 1], 0xdd);
    }
    __m512i parts[4];
    if (group == 32) {
      const __m512i head = _mm512_add_epi32(whole[0], whole[1]);
      const __m512i tail = _mm512_add_epi32(whole[2], whole[3]);
      parts[0] = _mm512_shuffle_i32x4(head, tail, 0x88);
      parts[1] = _mm512_shuffle_i32x4(head, tail, 0xdd);
    } else {
      parts[0] = _mm512_shuffle_i32x4(whole[0], whole[2], 0x88);
      parts[1] = _mm512_shuffle_i32x4(whole[1], whole[3], 0x88);
      parts[2] = _mm512_shuffle_i32x4(whole[0], whole[2], 0xdd);
      parts[3] = _mm512_shuffle_i32x4(whole[1], whole[3], 0xdd);
    }
    const size_t groups = (count - c < 64 ? count - c : 64) / group;
    for (size_t g = 0; g < groups; g++) {
      const size_t number = c / group + g;
      const __m512i bias = _mm512_set1_epi32(x->bias[at / group + g]);
      const float step = x->scales[(at + g * group) / 32];
      sums = add_group(s, sums, number, _mm512_add_epi32(parts[g], bias), step,
                       x->bias[at / group + g], has_minima);
    }
  }
  _mm512_store_ps(s->sums[0], sums);
}

/* Tokens go through a tile in groups of nearly the same size: a small last group would leave the
 * multipliers waiting for their own results. */
#define TOKENS(N, GROUP, MINIMA, WIDE)                                \
  case N:                                                             \
    multiply_tile(s, x, t, column, count, N, GROUP, MINIMA, WIDE);    \
    break;
#define MULTIPLY(NAME, GROUP, MINIMA, WIDE)                                                      \
  CK_AVX512 static void NAME(scratch *s, const token *x, size_t tokens, size_t column,           \
                             size_t count) {                                                     \
    if (tokens == 1) {                                                                           \
      multiply_one(s, x, column, count, GROUP, MINIMA, WIDE);                                    \
      return;                                                                                    \
    }                                                                                            \
    /* 16-bit activations keep two chains a token: more of them do not fit the registers. */     \
    const size_t most = (WIDE) ? 4 : 8;                                                          \
    turn_levels(s, count);                                                                       \
    for (size_t t = 0; t < tokens;) {                                                            \
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
        load_rows(&s, decode, type, rows, ck_bytes_of(blocks, column), ck_bytes_of(blocks, count),
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

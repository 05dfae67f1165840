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

/* Adds what one tile gives for `tokens` (a constant) tokens from `first` on. `group` is a constant. */
CK_AVX512_INLINE void multiply_tile(scratch *s, const ck_activations *x, size_t first,
                                    const int tokens, size_t column, size_t count,
                                    const size_t group, const bool has_minima) {
  __m512 sums[8];
  for (int t = 0; t < tokens; t++) sums[t] = _mm512_load_ps(s->sums[first + (size_t)t]);
  for (size_t g = 0; g < count / group; g++) {
    const size_t at = column / group + g;
    __m512i whole[8];
    for (int t = 0; t < tokens; t++) {
      const ck_activations *a = &x[first + (size_t)t];
      whole[t] = _mm512_set1_epi32(group == 32 ? a->bias32[at] : a->bias16[at]);
    }
    for (size_t i = 0; i < group / 4; i++) {
      const __m512i w = _mm512_load_si512(s->tile[g * (group / 4) + i]);
      for (int t = 0; t < tokens; t++) {
        const int8_t *values = x[first + (size_t)t].values + column + g * group + 4 * i;
        whole[t] = _mm512_dpbusd_epi32(whole[t], w, four(values));
      }
    }
    const __m512 scale = _mm512_load_ps(s->scales[g]);
    for (int t = 0; t < tokens; t++) {
      const ck_activations *a = &x[first + (size_t)t];
      const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(a->scales[(column + g * group) / 32]));
      sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[t]), both, sums[t]);
      if (has_minima) {
        const float sum = group == 32 ? a->sums32[at] : a->sums16[at];
        sums[t] = _mm512_fnmadd_ps(_mm512_load_ps(s->minima[g]), _mm512_set1_ps(sum), sums[t]);
      }
    }
  }
  for (int t = 0; t < tokens; t++) _mm512_store_ps(s->sums[first + (size_t)t], sums[t]);
}

CK_AVX512_INLINE void multiply_tokens(scratch *s, const ck_activations *x, size_t tokens,
                                      size_t column, size_t count, const size_t group,
                                      const bool has_minima) {
  size_t t = 0;
  for (; t + 8 <= tokens; t += 8) multiply_tile(s, x, t, 8, column, count, group, has_minima);
  if (t + 4 <= tokens) {
    multiply_tile(s, x, t, 4, column, count, group, has_minima);
    t += 4;
  }
  if (t + 2 <= tokens) {
    multiply_tile(s, x, t, 2, column, count, group, has_minima);
    t += 2;
  }
  if (t < tokens) multiply_tile(s, x, t, 1, column, count, group, has_minima);
}

/* One function for each shape of the inner loop. */
CK_AVX512 static void multiply_32(scratch *s, const ck_activations *x, size_t tokens, size_t column,
                                  size_t count) {
  multiply_tokens(s, x, tokens, column, count, 32, false);
}
CK_AVX512 static void multiply_32_minima(scratch *s, const ck_activations *x, size_t tokens,
                                         size_t column, size_t count) {
  multiply_tokens(s, x, tokens, column, count, 32, true);
}
CK_AVX512 static void multiply_16(scratch *s, const ck_activations *x, size_t tokens, size_t column,
                                  size_t count) {
  multiply_tokens(s, x, tokens, column, count, 16, false);
}
CK_AVX512 static void multiply_16_minima(scratch *s, const ck_activations *x, size_t tokens,
                                         size_t column, size_t count) {
  multiply_tokens(s, x, tokens, column, count, 16, true);
}

CK_AVX512 void ck_avx512_multiply_quantized(ck_matrix w, const void *x, size_t tokens, float *out,
                                            size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const ck_level_type *type = &portable[w.type];
  ck_levels *decode = own[w.type] ? own[w.type] : type->decode;
  void (*multiply)(scratch *, const ck_activations *, size_t, size_t, size_t) =
      type->group == 32 ? (type->has_minima ? multiply_32_minima : multiply_32)
                        : (type->has_minima ? multiply_16_minima : multiply_16);
  const size_t row_bytes = ck_activations_bytes(w.columns);
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
      ck_activations activations[TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        activations[t] = ck_activations_at((const uint8_t *)x + (done + t) * row_bytes, w.columns);
        _mm512_store_ps(s.sums[t], _mm512_setzero_ps());
      }
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        load_tile(&s, decode, type, rows, ck_bytes_of(blocks, column), ck_bytes_of(blocks, count),
                  count);
        multiply(&s, activations, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        _mm512_mask_storeu_ps(out + (done + t) * out_stride + row, is_row,
                              _mm512_load_ps(s.sums[t]));
      }
    }
  }
}

#endif

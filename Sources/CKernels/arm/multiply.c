/* The NEON matrix product with float32 activations: which rows meet which tokens when. */
#include "neon.h"

#if defined(__aarch64__)

/* 256 columns of four rows are decoded (4 KiB) and meet 12 tokens (12 KiB), all in the first cache.
 * Within, tiles of four rows by four tokens keep 16 sums in the 32 registers, at 8 loads for 16
 * multiply-adds. 32 rows pass before the next 12 tokens (192 KiB at 4096 columns, in the second
 * cache). Quantised types are decoded by the definition's own decoders: with this table they meet
 * quantised activations, and floats only where a row is no multiple of 32. */
enum { TILE_ROWS = 4, TILE_TOKENS = 4, TOKEN_GROUP = 12, ROW_GROUP = 32 };

typedef struct {
  _Alignas(16) float weights[TILE_ROWS][CK_SUPER]; /* decoded, zeros behind the last column */
  ck_sums sums[TOKEN_GROUP][TILE_ROWS];
} scratch;

/* `count` columns of `rows` rows by `tokens` tokens from token `first` on; rows and tokens are
 * constants. One pass for each of the eight sums of a pair, so that a tile fits the registers. */
CK_NEON_INLINE void multiply_tile(scratch *s, size_t count, const float *x, size_t x_stride,
                                  size_t first, const int rows, const int tokens) {
  const float *tile = x + first * x_stride;
  for (size_t i = 0; i < CK_SUMS; i++) {
    float32x4_t sums[TILE_TOKENS][TILE_ROWS];
    for (int t = 0; t < tokens; t++) {
      for (int r = 0; r < rows; r++) sums[t][r] = s->sums[first + (size_t)t][r].v[i];
    }
    size_t c = 4 * i;
    for (; c + 4 <= count; c += 4 * CK_SUMS) {
      float32x4_t activations[TILE_TOKENS];
      for (int t = 0; t < tokens; t++) activations[t] = vld1q_f32(tile + (size_t)t * x_stride + c);
      for (int r = 0; r < rows; r++) {
        const float32x4_t w = vld1q_f32(s->weights[r] + c);
        for (int t = 0; t < tokens; t++) sums[t][r] = vfmaq_f32(sums[t][r], w, activations[t]);
      }
    }
    if (c < count) {
      for (int t = 0; t < tokens; t++) {
        const float32x4_t activation = ck_load_first(tile + (size_t)t * x_stride + c, count - c);
        for (int r = 0; r < rows; r++) {
          sums[t][r] = vfmaq_f32(sums[t][r], vld1q_f32(s->weights[r] + c), activation);
        }
      }
    }
    for (int t = 0; t < tokens; t++) {
      for (int r = 0; r < rows; r++) s->sums[first + (size_t)t][r].v[i] = sums[t][r];
    }
  }
}

/* The tokens of a group by `rows` (a constant) rows. */
CK_NEON_INLINE void multiply_columns(scratch *s, size_t count, const float *x, size_t x_stride,
                                     size_t tokens, const int rows) {
  size_t t = 0;
  for (; t + 4 <= tokens; t += 4) multiply_tile(s, count, x, x_stride, t, rows, 4);
  switch (tokens - t) {
    case 1: multiply_tile(s, count, x, x_stride, t, rows, 1); break;
    case 2: multiply_tile(s, count, x, x_stride, t, rows, 2); break;
    case 3: multiply_tile(s, count, x, x_stride, t, rows, 3); break;
  }
}

/* Up to TILE_ROWS rows from `first` on times up to TOKEN_GROUP tokens. */
static void multiply_group(const ck_type *type, ck_decode *decode, ck_matrix w, size_t first,
                           size_t rows, const float *x, size_t x_stride, size_t tokens, float *out,
                           size_t out_stride) {
  scratch s;
  memset(s.sums, 0, tokens * sizeof s.sums[0]);
  const uint8_t *base = (const uint8_t *)w.base + first * w.stride_bytes;
  for (size_t done = 0; done < w.columns; done += CK_SUPER) {
    const size_t count = w.columns - done < CK_SUPER ? w.columns - done : CK_SUPER;
    for (size_t r = 0; r < rows; r++) {
      decode(base + r * w.stride_bytes + ck_bytes_of(type, done), count, s.weights[r]);
      for (size_t i = count; i % 4; i++) s.weights[r][i] = 0;
    }
    switch (rows) {
      case 1: multiply_columns(&s, count, x + done, x_stride, tokens, 1); break;
      case 2: multiply_columns(&s, count, x + done, x_stride, tokens, 2); break;
      case 3: multiply_columns(&s, count, x + done, x_stride, tokens, 3); break;
      default: multiply_columns(&s, count, x + done, x_stride, tokens, 4); break;
    }
  }
  for (size_t t = 0; t < tokens; t++) {
    for (size_t r = 0; r < rows; r++) {
      out[t * out_stride + first + r] = ck_total(&s.sums[t][r]);
    }
  }
}

typedef struct {
  ck_neon_dot *dot;
  ck_decode *decode;
} row_kernels;

#define ROW(NAME) [CK_##NAME] = {ck_neon_dot_##NAME, ck_neon_decode_##NAME}
static const row_kernels rows_by_type[CK_TYPES] = {ROW(F32), ROW(F16), ROW(BF16)};

void ck_neon_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                      size_t out_stride) {
  const ck_type *type = ck_find_type(w.type);
  const row_kernels own = rows_by_type[w.type];
  ck_decode *decode = own.decode ? own.decode : type->decode;
  if (tokens == 1 && own.dot) {
    for (size_t r = 0; r < w.rows; r++) {
      out[r] = own.dot((const uint8_t *)w.base + r * w.stride_bytes, w.columns, x);
    }
    return;
  }
  for (size_t first = 0; first < w.rows; first += ROW_GROUP) {
    const size_t end = w.rows - first < ROW_GROUP ? w.rows : first + ROW_GROUP;
    for (size_t t = 0; t < tokens; t += TOKEN_GROUP) {
      const size_t group = tokens - t < TOKEN_GROUP ? tokens - t : TOKEN_GROUP;
      for (size_t r = first; r < end; r += TILE_ROWS) {
        const size_t rows = end - r < TILE_ROWS ? end - r : TILE_ROWS;
        multiply_group(type, decode, w, r, rows, x + t * x_stride, x_stride, group,
                       out + t * out_stride, out_stride);
      }
    }
  }
}

#endif

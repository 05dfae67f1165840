/* Products of float activations against the scalar ones, within the bounds of KernelsTests. */
#include "check.h"

enum { TOKENS = 27, ROWS = 37 };

/* The products of rows `first_row` ..< and tokens `first` ..<, weights and results at guarded pages. */
static void check_same_bits(ck_matrix w, const float *x, const float *all, size_t first_row,
                            size_t rows, size_t first, size_t tokens) {
  w.base = (const uint8_t *)w.base + first_row * w.stride_bytes;
  w.rows = rows;
  float *out = guarded(tokens * rows * 4);
  kernels->multiply(w, x + first * w.columns, w.columns, tokens, out, rows);
  for (size_t t = 0; t < tokens; t++) {
    for (size_t r = 0; r < rows; r++) {
      expect(is_same(out[t * rows + r], all[(first + t) * ROWS + first_row + r]),
             "%s, %zu columns, row %zu of %zu, token %zu of %zu: other bits", type_names[w.type],
             w.columns, r, rows, t, tokens);
    }
  }
  free_guarded(out, tokens * rows * 4);
}

static void check_counts(ck_matrix w, const float *x, const float *all) {
  static const size_t token_counts[] = {1, 2, 3, 4, 5, 8, 12, 13, 17};
  for (size_t i = 0; i < sizeof token_counts / sizeof *token_counts; i++) {
    check_same_bits(w, x, all, 30, 7, TOKENS - token_counts[i], token_counts[i]);
  }
  for (size_t rows = 1; rows <= ROWS; rows += rows < 5 ? 1 : 8) {
    check_same_bits(w, x, all, ROWS - rows, rows, 3, 1);
    check_same_bits(w, x, all, ROWS - rows, rows, 5, 6);
  }
}

static void check_matrix(random_source *random, uint32_t type, block_style style, size_t columns,
                         size_t rows, size_t tokens) {
  const size_t row_bytes = ck_bytes_of(ck_find_type(type), columns), bytes = rows * row_bytes;
  uint8_t *weights = guarded(bytes);
  fill_blocks(random, type, style, weights, rows * columns / ck_block_elements(type));
  float *x = guarded(tokens * columns * 4), *row = malloc(columns * 4);
  fill_floats(random, x, tokens * columns);
  const ck_matrix w = {type, weights, row_bytes, rows, columns};
  float *exact = malloc(tokens * rows * 4), *out = guarded(tokens * rows * 4);
  ck_scalar_kernels()->multiply(w, x, columns, tokens, exact, rows);
  soil_stack();
  kernels->multiply(w, x, columns, tokens, out, rows);
  for (size_t r = 0; r < rows; r++) {
    ck_dequantize_row(type, weights + r * row_bytes, columns, row);
    for (size_t t = 0; t < tokens; t++) {
      double magnitude = 0;
      for (size_t c = 0; c < columns; c++) {
        magnitude += fabs((double)row[c] * (double)x[t * columns + c]);
      }
      /* 32 float32 sums of columns / 32 fused terms, then a tree of five additions, and the rounding
       * of both results to float32, near zero to its subnormals. */
      const double bound = ((double)(columns / 32) + 8) * 0x1p-24 * magnitude + 0x1p-148;
      expect(fabs((double)out[t * rows + r] - (double)exact[t * rows + r]) <= bound,
             "%s, style %d, %zu columns, row %zu, token %zu: %a, scalar %a", type_names[type], style,
             columns, r, t, (double)out[t * rows + r], (double)exact[t * rows + r]);
    }
  }
  if (type == CK_F32 || type == CK_F16) digest(out, tokens * rows * 4);
  if (type == CK_BF16) digest_bf16(out, tokens * rows * 4);
  if (rows == ROWS) check_counts(w, x, out);
  free_guarded(weights, bytes);
  free_guarded(x, tokens * columns * 4);
  free_guarded(out, tokens * rows * 4);
  free(row);
  free(exact);
}

/* What is not a number reaches the results of its token and no other. */
static void check_not_a_number(random_source *random, uint32_t type, size_t tokens) {
  uint8_t weights[2 * 64 * 8];
  fill_blocks(random, type, RANDOM, weights, 2 * 64 / ck_block_elements(type));
  float x[4 * 64], out[8];
  fill_floats(random, x, 4 * 64);
  x[17] = NAN;
  const ck_matrix w = {type, weights, ck_bytes_of(ck_find_type(type), 64), 2, 64};
  kernels->multiply(w, x, 64, tokens, out, 2);
  for (size_t i = 0; i < 2 * tokens; i++) {
    expect(i < 2 ? isnan(out[i]) : isfinite(out[i]), "%s: NaN, result %zu", type_names[type], i);
  }
}

void check_float_products(void) {
  static const size_t plain[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 40, 255, 256, 257, 300, 519};
  static const size_t blocks[] = {1, 2, 3, 5, 9};
  for (uint32_t type = 0; type < CK_TYPES; type++) {
    random_source random = {3 + type};
    const size_t elements = ck_block_elements(type);
    if (!ck_supports(type)) continue;
#if !defined(__aarch64__)
    /* KernelsTests has the rest, with what AVX2 may differ by. */
    if (elements > 1) continue;
#endif
    for (int style = 0; style < STYLES; style++) {
      for (size_t i = 0; i < (elements == 1 ? 16 : 5); i++) {
        const size_t columns = elements == 1 ? plain[i] : blocks[i] * elements;
        check_matrix(&random, type, (block_style)style, columns, 5, 4);
      }
    }
    check_matrix(&random, type, RANDOM, elements == 1 ? 301 : 3 * elements, ROWS, TOKENS);
    if (elements <= 64 && ck_block_bytes(type) <= 64) {
      check_not_a_number(&random, type, 1);
      check_not_a_number(&random, type, 4);
    }
  }
}

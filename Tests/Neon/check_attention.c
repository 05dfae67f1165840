/* Attention against two passes in double precision. Keys, values and queries end at guarded pages. */
#include "check.h"

/* `positions` are those of the last token. */
static const struct {
  size_t dim, positions, heads, tokens;
} shapes[] = {{32, 1, 1, 1},   {64, 47, 3, 1},   {64, 48, 4, 1}, {96, 49, 5, 1}, {128, 200, 16, 1},
              {256, 97, 7, 1}, {20, 100, 2, 1}, {7, 51, 9, 1},  {1, 3, 1, 1},   {64, 50, 8, 4},
              {32, 101, 3, 6}, {256, 145, 8, 4}, {96, 7, 5, 7}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static size_t row_bytes_of(uint32_t type, size_t dim) {
  return ck_bytes_of(ck_find_type(type), dim);
}

/* Random rows of `type`, and the floats that they stand for. */
static uint8_t *rows_of(random_source *random, uint32_t type, size_t count, size_t dim, float *floats) {
  const size_t bytes = row_bytes_of(type, dim);
  uint8_t *rows = guarded(count * bytes);
  float *row = guarded(dim * 4);
  for (size_t p = 0; p < count; p++) {
    fill_floats(random, row, dim);
    ck_store_row(type, row, dim, rows + p * bytes);
    ck_dequantize_row(type, rows + p * bytes, dim, floats + p * dim);
  }
  free_guarded(row, dim * 4);
  return rows;
}

/* `query` over `positions` rows. */
static void attend_exactly(const ck_attention *a, const float *query, size_t positions, const float *keys,
                           const float *values, double *out) {
  double largest = -INFINITY, total = 0;
  double *scores = malloc(positions * sizeof *scores);
  for (size_t p = 0; p < positions; p++) {
    scores[p] = 0;
    for (size_t i = 0; i < a->dim; i++) scores[p] += (double)query[i] * (double)keys[p * a->dim + i];
    scores[p] *= (double)a->scale;
    largest = fmax(largest, scores[p]);
  }
  for (size_t i = 0; i < a->dim; i++) out[i] = 0;
  for (size_t p = 0; p < positions; p++) {
    const double weight = exp(scores[p] - largest);
    total += weight;
    for (size_t i = 0; i < a->dim; i++) out[i] += weight * (double)values[p * a->dim + i];
  }
  for (size_t i = 0; i < a->dim; i++) out[i] /= total;
  free(scores);
}

static void check_shape(random_source *random, uint32_t type, size_t dim, size_t positions, size_t heads,
                        size_t tokens) {
  const size_t rows = tokens * heads;
  float *keys = malloc(positions * dim * 4), *values = malloc(positions * dim * 4);
  uint8_t *key_rows = rows_of(random, type, positions, dim, keys);
  uint8_t *value_rows = rows_of(random, type, positions, dim, values);
  float *queries = guarded(rows * dim * 4), *out = guarded(rows * dim * 4);
  float *alone = guarded(dim * 4);
  double *expected = malloc(dim * sizeof *expected);
  /* A multiple of 64 bytes, so it begins at one. */
  float *scratch = guarded(ck_attention_scratch_floats(rows, dim) * 4);
  fill_floats(random, queries, rows * dim);
  /* Queries lie head after head, answers token after token. */
  const ck_attention a = {
      .type = type, .keys = key_rows, .values = value_rows, .row_bytes = row_bytes_of(type, dim),
      .positions = positions - tokens + 1, .dim = dim, .queries = queries, .query_stride = tokens * dim,
      .query_token_stride = dim, .heads = heads, .tokens = tokens, .scale = 1 / sqrtf((float)dim),
      .out = out, .out_stride = dim, .out_token_stride = heads * dim};
  soil_stack();
  memset(scratch, 0xff, ck_attention_scratch_floats(rows, dim) * 4);
  kernels->attend(&a, scratch);
  digest(out, rows * dim * 4);
  for (size_t r = 0; r < rows; r++) {
    const size_t t = r / heads, h = r % heads;
    ck_attention one = a;
    one.queries = queries + h * a.query_stride + t * a.query_token_stride;
    one.positions = a.positions + t;
    one.heads = one.tokens = 1;
    one.out = alone;
    attend_exactly(&a, one.queries, one.positions, keys, values, expected);
    for (size_t i = 0; i < dim; i++) {
      expect(fabs((double)out[r * dim + i] - expected[i]) < 1e-5,
             "attention of type %u, %zu positions of %zu, head %zu of %zu, token %zu", type, positions, dim,
             h, heads, t);
    }
    kernels->attend(&one, scratch);
    expect(memcmp(alone, out + r * dim, dim * 4) == 0, "attention: head %zu of %zu, token %zu alone", h,
           heads, t);
  }
  free(keys);
  free(values);
  free(expected);
  free_guarded(key_rows, positions * a.row_bytes);
  free_guarded(value_rows, positions * a.row_bytes);
}

void check_attention(void) {
  static const uint32_t types[] = {CK_F32, CK_F16, CK_Q8_0};
  random_source random = {50};
  for (size_t t = 0; t < 3; t++) {
    for (size_t i = 0; i < SHAPES; i++) {
      if (shapes[i].dim % ck_block_elements(types[t])) continue;
      check_shape(&random, types[t], shapes[i].dim, shapes[i].positions, shapes[i].heads,
                  shapes[i].tokens);
    }
  }
}

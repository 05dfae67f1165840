/* Attention over keys and values of one head, and the rows that they are kept in. */
#include "../internal/attention_layout.h"
#include "../internal/decode.h"
#include "../internal/half.h"
#include "scalar.h"

#include <math.h>

size_t ck_attention_scratch_floats(size_t queries, size_t dim) {
  return ck_attention_places(queries, dim).floats;
}

/* A position at a time; sums and weights in double precision. */
void ck_scalar_attend(const ck_attention *a, float *scratch) {
  const ck_attention_layout at = ck_attention_places(a->tokens * a->heads, a->dim);
  const ck_type *type = ck_find_type(a->type);
  float *row = scratch + at.panel;
  /* Room for [dim] doubles: the panel behind the row. */
  double *sums = (double *)(void *)(row + at.width);
  for (size_t r = 0; r < a->tokens * a->heads; r++) {
    const size_t t = r / a->heads, h = r % a->heads;
    const float *query = a->queries + t * a->query_token_stride + h * a->query_stride;
    float *out = a->out + t * a->out_token_stride + h * a->out_stride;
    double largest = -INFINITY, total = 0;
    for (size_t i = 0; i < a->dim; i++) sums[i] = 0;
    for (size_t p = 0; p < a->positions + t; p++) {
      type->decode((const uint8_t *)a->keys + p * a->row_bytes, a->dim, row);
      double score = 0;
      for (size_t i = 0; i < a->dim; i++) score += (double)query[i] * (double)row[i];
      score *= (double)a->scale;
      if (score > largest) {
        const double factor = exp(largest - score);
        for (size_t i = 0; i < a->dim; i++) sums[i] *= factor;
        total *= factor;
        largest = score;
      }
      const double weight = exp(score - largest);
      total += weight;
      type->decode((const uint8_t *)a->values + p * a->row_bytes, a->dim, row);
      for (size_t i = 0; i < a->dim; i++) sums[i] += weight * (double)row[i];
    }
    for (size_t i = 0; i < a->dim; i++) out[i] = (float)(sums[i] / total);
  }
}

/* ggml's Q8_0: the largest magnitude is 127. */
static void store_q8_0(const float *x, size_t count, ck_block_Q8_0 *blocks) {
  for (size_t b = 0; b < count / 32; b++, x += 32) {
    float largest = 0;
    bool is_finite = true;
    for (int i = 0; i < 32; i++) {
      largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
      is_finite = is_finite && isfinite(x[i]);
    }
    /* What is not a number must not become one. */
    const float scale = is_finite ? largest / 127 : NAN;
    const float inverse = is_finite && largest > 0 ? 127 / largest : 0;
    blocks[b].d = ck_half_from_float(scale);
    for (int i = 0; i < 32; i++) blocks[b].qs[i] = (int8_t)(inverse > 0 ? roundf(x[i] * inverse) : 0);
  }
}

void ck_store_row(uint32_t type, const float *x, size_t count, void *row) {
  switch (type) {
    case CK_F16: {
      uint16_t *halves = row;
      for (size_t i = 0; i < count; i++) halves[i] = ck_half_from_float(x[i]);
      break;
    }
    case CK_Q8_0: store_q8_0(x, count, row); break;
    default: memcpy(row, x, count * sizeof *x);
  }
}

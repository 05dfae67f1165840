/* Attention in one pass over keys and values, a block of positions at a time, with a running maximum
 * (the online softmax of Milakov and Gimelshein, as FlashAttention orders it). A file that includes
 * this defines for its instruction set:
 *
 *   CK_LANES, ck_lanes           floats of a vector, and its type; 16 is a multiple of CK_LANES
 *   CK_ATTENTION                 stands before a function that is inlined and uses the instructions
 *   lanes_load, lanes_store, lanes_set, lanes_mul, lanes_fma(a, b, c) = a * b + c, lanes_sum
 *   half_lanes(p), byte_lanes(p) CK_LANES float16 or int8 as floats
 *   exp_lanes(v)
 *
 * Blocks begin at multiples of CK_ATTENTION_BLOCK, and a head's sums take no other head's order: so a
 * head's bits depend on its query, keys and values alone, however heads are grouped into calls. */
#ifndef CK_INTERNAL_ATTENTION_H
#define CK_INTERNAL_ATTENTION_H

#include "attention_layout.h"
#include "decode.h"

#include <math.h>

/* Row `p` of `rows` as `width` floats, zeros behind element `dim`. */
CK_ATTENTION void attention_row(const ck_attention *a, const uint8_t *row, size_t width, float *out) {
  const size_t dim = a->dim;
  if (a->type == CK_Q8_0) {
    const ck_block_Q8_0 *blocks = (const ck_block_Q8_0 *)row;
    for (size_t b = 0; b < dim / 32; b++) {
      const ck_lanes scale = lanes_set(ck_float_from_half(blocks[b].d));
      for (size_t i = 0; i < 32; i += CK_LANES) {
        lanes_store(out + 32 * b + i, lanes_mul(scale, byte_lanes(blocks[b].qs + i)));
      }
    }
  } else if (a->type == CK_F16 && dim % CK_LANES == 0) {
    for (size_t i = 0; i < dim; i += CK_LANES) lanes_store(out + i, half_lanes(row + 2 * i));
  } else {
    ck_find_type(a->type)->decode(row, dim, out);
  }
  for (size_t i = dim; i < width; i++) out[i] = 0;
}

/* `count` rows from position `start` on as floats: in place where they are, in `panel` else. */
CK_ATTENTION const float *attention_rows(const ck_attention *a, const void *base, size_t start,
                                           size_t count, size_t width, float *panel,
                                           size_t *stride) {
  const uint8_t *first = (const uint8_t *)base + start * a->row_bytes;
  if (a->type == CK_F32 && a->dim == width) {
    *stride = a->row_bytes / sizeof(float);
    return (const float *)(const void *)first;
  }
  for (size_t p = 0; p < count; p++) {
    attention_row(a, first + p * a->row_bytes, width, panel + p * width);
  }
  *stride = width;
  return panel;
}

/* Scores of `heads` queries and `positions` keys, constants of the caller: registers hold the sums. */
CK_ATTENTION void attention_scores_tile(const float *queries, const float *keys, size_t stride,
                                         size_t width, int heads, int positions, float *scores) {
  ck_lanes sums[4][3];
  for (int h = 0; h < heads; h++) {
    for (int p = 0; p < positions; p++) sums[h][p] = lanes_set(0);
  }
  for (size_t i = 0; i < width; i += CK_LANES) {
    ck_lanes key[3];
    for (int p = 0; p < positions; p++) key[p] = lanes_load(keys + (size_t)p * stride + i);
    for (int h = 0; h < heads; h++) {
      const ck_lanes query = lanes_load(queries + (size_t)h * width + i);
      for (int p = 0; p < positions; p++) sums[h][p] = lanes_fma(query, key[p], sums[h][p]);
    }
  }
  for (int h = 0; h < heads; h++) {
    for (int p = 0; p < positions; p++) {
      scores[h * CK_ATTENTION_BLOCK + p] = lanes_sum(sums[h][p]);
    }
  }
}

CK_ATTENTION void attention_scores(const float *queries, size_t heads, const float *keys,
                                    size_t stride, size_t width, size_t count, float *scores) {
  size_t h = 0;
  for (; h < heads; h += heads - h >= 4 ? 4 : 1) {
    const float *query = queries + h * width;
    float *row = scores + h * CK_ATTENTION_BLOCK;
    size_t p = 0;
    if (heads - h >= 4) {
      for (; p + 3 <= count; p += 3) {
        attention_scores_tile(query, keys + p * stride, stride, width, 4, 3, row + p);
      }
      for (; p < count; p++) {
        attention_scores_tile(query, keys + p * stride, stride, width, 4, 1, row + p);
      }
    } else {
      for (; p + 3 <= count; p += 3) {
        attention_scores_tile(query, keys + p * stride, stride, width, 1, 3, row + p);
      }
      for (; p < count; p++) {
        attention_scores_tile(query, keys + p * stride, stride, width, 1, 1, row + p);
      }
    }
  }
}

/* Turns `count` scores of a head into weights relative to the largest score so far, and returns what
 * earlier sums have to be multiplied by. */
CK_ATTENTION float attention_weights(float *scores, size_t count, float *largest, double *total) {
  float top = *largest;
  for (size_t p = 0; p < count; p++) top = scores[p] > top ? scores[p] : top;
  const size_t padded = (count + CK_LANES - 1) / CK_LANES * CK_LANES;
  for (size_t p = count; p < padded; p++) scores[p] = -INFINITY;
  const ck_lanes shift = lanes_set(-top);
  ck_lanes sum = lanes_set(0);
  for (size_t p = 0; p < padded; p += CK_LANES) {
    const ck_lanes weight = exp_lanes(lanes_fma(lanes_load(scores + p), lanes_set(1), shift));
    lanes_store(scores + p, weight);
    sum = lanes_fma(weight, lanes_set(1), sum);
  }
  float factor[CK_LANES];
  lanes_store(factor, exp_lanes(lanes_set(*largest - top)));
  /* In double: a context of 10^5 positions would cost a float sum several digits. */
  *total = *total * (double)factor[0] + (double)lanes_sum(sum);
  *largest = top;
  return factor[0];
}

/* sums[h] += sum over p of weights[h][p] * values[p], for two vectors of `heads` heads. */
CK_ATTENTION void attention_values_tile(const float *weights, const float *values, size_t stride,
                                         size_t count, size_t width, int heads, float *sums) {
  ck_lanes sum[4][2];
  for (int h = 0; h < heads; h++) {
    for (int v = 0; v < 2; v++) sum[h][v] = lanes_load(sums + (size_t)h * width + v * CK_LANES);
  }
  for (size_t p = 0; p < count; p++) {
    const ck_lanes low = lanes_load(values + p * stride);
    const ck_lanes high = lanes_load(values + p * stride + CK_LANES);
    for (int h = 0; h < heads; h++) {
      const ck_lanes weight = lanes_set(weights[(size_t)h * CK_ATTENTION_BLOCK + p]);
      sum[h][0] = lanes_fma(weight, low, sum[h][0]);
      sum[h][1] = lanes_fma(weight, high, sum[h][1]);
    }
  }
  for (int h = 0; h < heads; h++) {
    for (int v = 0; v < 2; v++) lanes_store(sums + (size_t)h * width + v * CK_LANES, sum[h][v]);
  }
}

CK_ATTENTION void attention_values(const float *weights, size_t heads, const float *values,
                                    size_t stride, size_t count, size_t width, float *sums) {
  size_t h = 0;
  for (; h < heads; h += heads - h >= 4 ? 4 : 1) {
    const float *row = weights + h * CK_ATTENTION_BLOCK;
    for (size_t i = 0; i < width; i += 2 * CK_LANES) {
      float *out = sums + h * width + i;
      if (heads - h >= 4) {
        attention_values_tile(row, values + i, stride, count, width, 4, out);
      } else {
        attention_values_tile(row, values + i, stride, count, width, 1, out);
      }
    }
  }
}

/* The kernel; `scratch` as `ck_attention_scratch_floats` says. */
CK_ATTENTION void attention_all(const ck_attention *a, float *scratch) {
  const ck_attention_layout at = ck_attention_places(a->heads, a->dim);
  const size_t width = at.width, heads = a->heads, dim = a->dim;
  float *panel = scratch + at.panel, *queries = scratch + at.queries, *sums = scratch + at.sums;
  float *weights = scratch + at.weights, *largest = scratch + at.largest;
  double *totals = (double *)(void *)(scratch + at.totals);
  for (size_t h = 0; h < heads; h++) {
    const float *query = a->queries + h * a->query_stride;
    for (size_t i = 0; i < width; i++) queries[h * width + i] = i < dim ? query[i] * a->scale : 0;
    memset(sums + h * width, 0, width * sizeof *sums);
    largest[h] = -INFINITY;
    totals[h] = 0;
  }
  for (size_t start = 0; start < a->positions; start += CK_ATTENTION_BLOCK) {
    const size_t left = a->positions - start;
    const size_t count = left < CK_ATTENTION_BLOCK ? left : CK_ATTENTION_BLOCK;
    size_t stride;
    const float *keys = attention_rows(a, a->keys, start, count, width, panel, &stride);
    attention_scores(queries, heads, keys, stride, width, count, weights);
    for (size_t h = 0; h < heads; h++) {
      const float factor = attention_weights(weights + h * CK_ATTENTION_BLOCK, count, largest + h,
                                             totals + h);
      if (factor == 1) continue;
      const ck_lanes by = lanes_set(factor);
      for (size_t i = 0; i < width; i += CK_LANES) {
        lanes_store(sums + h * width + i, lanes_mul(by, lanes_load(sums + h * width + i)));
      }
    }
    const float *values = attention_rows(a, a->values, start, count, width, panel, &stride);
    attention_values(weights, heads, values, stride, count, width, sums);
  }
  for (size_t h = 0; h < heads; h++) {
    const float share = (float)(1 / totals[h]);
    for (size_t i = 0; i < dim; i++) a->out[h * a->out_stride + i] = sums[h * width + i] * share;
  }
}

#endif

/* Attention in one pass over keys and values, a block of positions at a time, with a running maximum
 * (the online softmax of Milakov and Gimelshein, as FlashAttention orders it). A file that includes
 * this defines for its instruction set:
 *
 *   CK_LANES, ck_lanes           floats of a vector, and its type; 16 is a multiple of CK_LANES
 *   CK_ATTENTION                 stands before a function that is inlined and uses the instructions
 *   lanes_load, lanes_store, lanes_set, lanes_mul, lanes_fma(a, b, c) = a * b + c, lanes_sum
 *   lanes_max(a, b)              b where a is not a number
 *   half_lanes(p), byte_lanes(p) CK_LANES float16 or int8 as floats
 *   exp_lanes(v)
 *   CK_SCORES, CK_VALUES         functions as attention_scores and attention_values of attention_tiles.h,
 *                                which stand for them where nothing else is defined
 *
 * Blocks begin at multiples of CK_ATTENTION_BLOCK, and a query's sums take no other query's order: so its
 * bits depend on the query, keys and values alone, however heads and tokens are grouped into calls. */
#ifndef CK_INTERNAL_ATTENTION_H
#define CK_INTERNAL_ATTENTION_H

#include "attention_tiles.h"
#include "decode.h"

#include <math.h>

#ifndef CK_SCORES
#define CK_SCORES attention_scores
#define CK_VALUES attention_values
#endif

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

/* Turns `count` scores of a query into weights relative to the largest score so far, and returns what
 * earlier sums have to be multiplied by. */
CK_ATTENTION float attention_weights(float *scores, size_t count, float *largest, double *total) {
  const size_t padded = (count + CK_LANES - 1) / CK_LANES * CK_LANES;
  for (size_t p = count; p < padded; p++) scores[p] = -INFINITY;
  ck_lanes tops = lanes_set(*largest);
  for (size_t p = 0; p < padded; p += CK_LANES) tops = lanes_max(lanes_load(scores + p), tops);
  float each[CK_LANES];
  lanes_store(each, tops);
  float top = each[0];
  for (int i = 1; i < CK_LANES; i++) top = each[i] > top ? each[i] : top;
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

/* Positions of the block of `count` from `start` on that token `token` sees. */
CK_ATTENTION size_t attention_seen(const ck_attention *a, size_t token, size_t start, size_t count) {
  const size_t end = a->positions + token;
  const size_t seen = end > start ? end - start : 0;
  return seen < count ? seen : count;
}

/* The kernel; `scratch` as `ck_attention_scratch_floats` says. */
CK_ATTENTION void attention_all(const ck_attention *a, float *scratch) {
  const size_t heads = a->heads, dim = a->dim, rows = a->tokens * heads;
  const ck_attention_layout at = ck_attention_places(rows, dim);
  const size_t width = at.width;
  float *panel = scratch + at.panel, *queries = scratch + at.queries, *sums = scratch + at.sums;
  float *weights = scratch + at.weights, *largest = scratch + at.largest;
  double *totals = (double *)(void *)(scratch + at.totals);
  for (size_t r = 0; r < rows; r++) {
    const float *query = a->queries + r / heads * a->query_token_stride + r % heads * a->query_stride;
    for (size_t i = 0; i < width; i++) queries[r * width + i] = i < dim ? query[i] * a->scale : 0;
    memset(sums + r * width, 0, width * sizeof *sums);
    largest[r] = -INFINITY;
    totals[r] = 0;
  }
  const size_t last = a->positions + a->tokens - 1;
  for (size_t start = 0; start < last; start += CK_ATTENTION_BLOCK) {
    const size_t count = last - start < CK_ATTENTION_BLOCK ? last - start : CK_ATTENTION_BLOCK;
    /* Rows go together where all of them see the whole block, else a token's do. */
    const size_t together = start + count <= a->positions ? rows : heads;
    size_t stride;
    const float *keys = attention_rows(a, a->keys, start, count, width, panel, &stride);
    for (size_t r = 0; r < rows; r += together) {
      const size_t seen = attention_seen(a, r / heads, start, count);
      CK_SCORES(queries + r * width, together, keys, stride, width, seen,
                weights + r * CK_ATTENTION_BLOCK);
    }
    for (size_t r = 0; r < rows; r++) {
      const size_t seen = attention_seen(a, r / heads, start, count);
      if (seen == 0) continue;
      const float factor = attention_weights(weights + r * CK_ATTENTION_BLOCK, seen, largest + r,
                                             totals + r);
      if (factor == 1) continue;
      const ck_lanes by = lanes_set(factor);
      for (size_t i = 0; i < width; i += CK_LANES) {
        lanes_store(sums + r * width + i, lanes_mul(by, lanes_load(sums + r * width + i)));
      }
    }
    const float *values = attention_rows(a, a->values, start, count, width, panel, &stride);
    for (size_t r = 0; r < rows; r += together) {
      const size_t seen = attention_seen(a, r / heads, start, count);
      CK_VALUES(weights + r * CK_ATTENTION_BLOCK, together, values, stride, seen, width,
                sums + r * width);
    }
  }
  for (size_t r = 0; r < rows; r++) {
    const float share = (float)(1 / totals[r]);
    float *out = a->out + r / heads * a->out_token_stride + r % heads * a->out_stride;
    for (size_t i = 0; i < dim; i++) out[i] = sums[r * width + i] * share;
  }
}

#endif

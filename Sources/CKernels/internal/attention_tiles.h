/* Scores and weighted sums of attention.h for any vectors: the including file defines CK_ATTENTION and the lanes_
 * functions as is said there. A row is a head's query of one token. */
#ifndef CK_INTERNAL_ATTENTION_TILES_H
#define CK_INTERNAL_ATTENTION_TILES_H

#include "attention_layout.h"

/* Scores of `rows` queries and `positions` keys, constants of the caller: registers hold the sums. */
CK_ATTENTION void attention_scores_tile(const float *queries, const float *keys, size_t stride,
                                         size_t width, int rows, int positions, float *scores) {
  ck_lanes sums[4][3];
  for (int r = 0; r < rows; r++) {
    for (int p = 0; p < positions; p++) sums[r][p] = lanes_set(0);
  }
  for (size_t i = 0; i < width; i += CK_LANES) {
    ck_lanes key[3];
    for (int p = 0; p < positions; p++) key[p] = lanes_load(keys + (size_t)p * stride + i);
    for (int r = 0; r < rows; r++) {
      const ck_lanes query = lanes_load(queries + (size_t)r * width + i);
      for (int p = 0; p < positions; p++) sums[r][p] = lanes_fma(query, key[p], sums[r][p]);
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int p = 0; p < positions; p++) {
      scores[r * CK_ATTENTION_BLOCK + p] = lanes_sum(sums[r][p]);
    }
  }
}

/* scores[r * CK_ATTENTION_BLOCK + p] = query r . key p, for `rows` queries and `count` keys. */
CK_ATTENTION void attention_scores(const float *queries, size_t rows, const float *keys,
                                    size_t stride, size_t width, size_t count, float *scores) {
  size_t r = 0;
  for (; r < rows; r += rows - r >= 4 ? 4 : 1) {
    const float *query = queries + r * width;
    float *own = scores + r * CK_ATTENTION_BLOCK;
    size_t p = 0;
    if (rows - r >= 4) {
      for (; p + 3 <= count; p += 3) {
        attention_scores_tile(query, keys + p * stride, stride, width, 4, 3, own + p);
      }
      for (; p < count; p++) {
        attention_scores_tile(query, keys + p * stride, stride, width, 4, 1, own + p);
      }
    } else {
      for (; p + 3 <= count; p += 3) {
        attention_scores_tile(query, keys + p * stride, stride, width, 1, 3, own + p);
      }
      for (; p < count; p++) {
        attention_scores_tile(query, keys + p * stride, stride, width, 1, 1, own + p);
      }
    }
  }
}

/* sums[r] += sum over p of weights[r][p] * values[p], for two vectors of `rows` rows, a constant. */
CK_ATTENTION void attention_values_tile(const float *weights, const float *values, size_t stride,
                                         size_t count, size_t width, int rows, float *sums) {
  ck_lanes sum[4][2];
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < 2; v++) sum[r][v] = lanes_load(sums + (size_t)r * width + v * CK_LANES);
  }
  for (size_t p = 0; p < count; p++) {
    const ck_lanes low = lanes_load(values + p * stride);
    const ck_lanes high = lanes_load(values + p * stride + CK_LANES);
    for (int r = 0; r < rows; r++) {
      const ck_lanes weight = lanes_set(weights[(size_t)r * CK_ATTENTION_BLOCK + p]);
      sum[r][0] = lanes_fma(weight, low, sum[r][0]);
      sum[r][1] = lanes_fma(weight, high, sum[r][1]);
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < 2; v++) lanes_store(sums + (size_t)r * width + v * CK_LANES, sum[r][v]);
  }
}

/* The same for all of `width` floats. */
CK_ATTENTION void attention_values(const float *weights, size_t rows, const float *values,
                                    size_t stride, size_t count, size_t width, float *sums) {
  size_t r = 0;
  for (; r < rows; r += rows - r >= 4 ? 4 : 1) {
    const float *own = weights + r * CK_ATTENTION_BLOCK;
    for (size_t i = 0; i < width; i += 2 * CK_LANES) {
      float *out = sums + r * width + i;
      if (rows - r >= 4) {
        attention_values_tile(own, values + i, stride, count, width, 4, out);
      } else {
        attention_values_tile(own, values + i, stride, count, width, 1, out);
      }
    }
  }
}

#endif

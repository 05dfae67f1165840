/* Rows of quantised activations. */
#ifndef CK_ACTIVATIONS_H
#define CK_ACTIVATIONS_H

#include <stddef.h>
#include <stdint.h>

/* A row of activations as `ck_kernels.quantize` writes it: a float scale for 32 neighbours,
 * x[i] = scale * value. Sums are there because weights go into the products as level + 128. */
typedef struct ck_activations {
  const int8_t *values;      /* [columns] */
  const float *scales;       /* [columns / 32] */
  const int32_t *bias32;     /* [columns / 32]: -128 * sum of the values */
  const int32_t *bias16;     /* [columns / 16] */
  const float *sums32;       /* [columns / 32]: scale * sum of the values */
  const float *sums16;       /* [columns / 16] */
} ck_activations;

/* Finds the parts of the row at `row`; `columns` is a multiple of 32. */
static inline ck_activations ck_activations_at(const void *row, size_t columns) {
  const size_t groups = columns / 32;
  ck_activations a;
  a.values = row;
  a.scales = (const float *)(const void *)(a.values + columns);
  a.bias32 = (const int32_t *)(const void *)(a.scales + groups);
  a.bias16 = a.bias32 + groups;
  a.sums32 = (const float *)(const void *)(a.bias16 + 2 * groups);
  a.sums16 = a.sums32 + groups;
  return a;
}

/* Bytes of such a row, a multiple of 64. */
static inline size_t ck_activations_bytes(size_t columns) {
  return (columns + columns / 32 * 28 + 63) / 64 * 64;
}

#endif

/* Rows of quantised activations as the NEON kernels have them. */
#ifndef CK_NEON_ACTIVATIONS_H
#define CK_NEON_ACTIVATIONS_H

#include "../internal/activations.h"

/* 32 neighbours share a scale:
 *     x[i] = scale * (256 * high[i] + low[i])     16 bits, |x| <= 127 * 256 steps
 *     x[i] ~ scale * high[i]                      8 bits: 256 times that scale; `low` is not written
 * Two byte products and a shift give the product of 16 bits exactly, for dot products of bytes and
 * for products of byte matrices alike; what multiplies 16-bit numbers puts them together again. */
typedef struct ck_neon_activations {
  int8_t *high;  /* [columns] */
  int8_t *low;   /* [columns] */
  float *scales; /* [columns / 32] */
  float *sums32; /* [columns / 32]: scale * sum of the values, for the minima of weights */
  float *sums16; /* [columns / 16] */
} ck_neon_activations;

/* Finds the parts of the row at `row`; `columns` is a multiple of 32. They take 2.5 bytes a column,
 * less than ck_activations_bytes. */
static inline ck_neon_activations ck_neon_activations_at(void *row, size_t columns) {
  const size_t groups = columns / 32;
  ck_neon_activations a;
  a.high = row;
  a.low = a.high + columns;
  a.scales = (float *)(void *)(a.low + columns);
  a.sums32 = a.scales + groups;
  a.sums16 = a.sums32 + groups;
  return a;
}

#endif

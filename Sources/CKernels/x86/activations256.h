/* Rows of quantised activations as the AVX2 kernels have them. */
#ifndef CK_ACTIVATIONS256_H
#define CK_ACTIVATIONS256_H

#include <stddef.h>
#include <stdint.h>

/* 32 neighbours share a scale: x[i] = scale * value, |value| <= 127 * 256, or 127 with 8-bit activations. Of
 * 32 values those of even columns come first, then those of odd ones: that is how the weights' bytes
 * widen to 16 bits without crossing lanes. 8-bit activations are there as bytes, too, in their order. */
typedef struct ck_activations256 {
  int32_t *whole32; /* [columns / 32]: sum of the values, for weights that are offset */
  int32_t *whole16; /* [columns / 16] */
  int16_t *values;  /* [columns] */
  float *scales;    /* [columns / 32] */
  float *sums32;    /* [columns / 32]: scale * sum of the values, for the minima of weights */
  float *sums16;    /* [columns / 16] */
  int8_t *bytes;    /* [columns] */
} ck_activations256;

/* Finds the parts of the row at `row`; `columns` is a multiple of 32. They take 3.9 bytes a column, less
 * than ck_activations_bytes. Whole sums come first: 64 bytes from any of them are in the row. */
static inline ck_activations256 ck_activations256_at(void *row, size_t columns) {
  const size_t groups = columns / 32;
  ck_activations256 a;
  a.whole32 = row;
  a.whole16 = a.whole32 + groups;
  a.values = (int16_t *)(void *)(a.whole16 + 2 * groups);
  a.scales = (float *)(void *)(a.values + columns);
  a.sums32 = a.scales + groups;
  a.sums16 = a.sums32 + groups;
  a.bytes = (int8_t *)(void *)(a.sums16 + 2 * groups);
  return a;
}

#endif

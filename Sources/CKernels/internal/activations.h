/* Rows of quantised activations. */
#ifndef CK_ACTIVATIONS_H
#define CK_ACTIVATIONS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* What turns 32 neighbours into steps and back: x[i] ~ scale * round(x[i] * factor). One rule for all
 * instruction sets, so that their values and scales are the same bits. */
typedef struct ck_activation_scale {
  float scale;  /* of a 16-bit step; not a number where an activation is none */
  float factor; /* its inverse; 0 where nothing is to be kept */
} ck_activation_scale;

/* `top` is the largest magnitude. It becomes 127 * 256 steps, the largest value whose nearest upper byte is
 * 127. Below 2^-100 the inverse would overflow, and nothing is lost. */
static inline ck_activation_scale ck_scale_activations(float top) {
  const float largest = 32512;
  if (!(top < INFINITY)) return (ck_activation_scale){.scale = NAN, .factor = 0};
  if (top < 0x1p-100f) return (ck_activation_scale){.scale = 0, .factor = 0};
  return (ck_activation_scale){.scale = top / largest, .factor = largest / top};
}

/* A row of activations as `ck_kernels.quantize` writes it. 32 neighbours share a scale:
 *     x[i] = wide_scale * (256 * high[i] + low[i])     16 bits, |x| <= 127 * 256 steps
 *     x[i] ~ narrow_scale * high[i]                    8 bits: `high` alone is the nearest
 * Weights go into the products as level + 128; a bias, -128 times the sum of a group's values, takes
 * that back. */
typedef struct ck_activations {
  int32_t *narrow_bias32; /* [columns / 32] */
  int32_t *wide_bias32;   /* [columns / 32] */
  int32_t *narrow_bias16; /* [columns / 16] */
  int32_t *wide_bias16;   /* [columns / 16] */
  float *narrow_scales;   /* [columns / 32] */
  float *wide_scales;     /* [columns / 32] */
  int8_t *high;           /* [columns] */
  int8_t *low;            /* [columns] */
} ck_activations;

/* Finds the parts of the row at `row`; `columns` is a multiple of 32. Biases come first: 64 bytes from any
 * of them are in the row. */
static inline ck_activations ck_activations_at(void *row, size_t columns) {
  const size_t groups = columns / 32;
  ck_activations a;
  a.narrow_bias32 = row;
  a.wide_bias32 = a.narrow_bias32 + groups;
  a.narrow_bias16 = a.wide_bias32 + groups;
  a.wide_bias16 = a.narrow_bias16 + 2 * groups;
  a.narrow_scales = (float *)(void *)(a.wide_bias16 + 2 * groups);
  a.wide_scales = a.narrow_scales + groups;
  a.high = (int8_t *)(a.wide_scales + groups);
  a.low = a.high + columns;
  return a;
}

/* Bytes of a row of any instruction set, a multiple of 64: as many as floats take. AVX2 has the most,
 * 3.9 a column. */
static inline size_t ck_activations_bytes(size_t columns) { return (4 * columns + 63) / 64 * 64; }

#endif

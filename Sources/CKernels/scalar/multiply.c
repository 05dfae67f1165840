/* The definition of the matrix product: dequantised weights times float32 activations, summed in
 * double precision. */
#include "scalar.h"

#include "../internal/decode.h"

/* Eight sums, element i into sum i % 8: fixed for a pair of row and token, and the compiler can keep
 * several in flight. */
enum { LANES = 8, TOKEN_GROUP = 8 };

static void accumulate(const float *w, const float *x, size_t count, double sums[LANES]) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (int lane = 0; lane < LANES; lane++) {
      sums[lane] += (double)w[i + (size_t)lane] * (double)x[i + (size_t)lane];
    }
  }
  for (; i < count; i++) sums[i % LANES] += (double)w[i] * (double)x[i];
}

static double total(const double sums[LANES]) {
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static void multiply_row(const ck_type *type, const uint8_t *row, size_t columns, const float *x,
                         size_t x_stride, size_t tokens, float *out, size_t out_stride) {
  float weights[CK_SUPER];
  double sums[TOKEN_GROUP][LANES] = {{0}};
  for (size_t done = 0; done < columns; done += CK_SUPER) {
    const size_t count = columns - done < CK_SUPER ? columns - done : CK_SUPER;
    type->decode(row + ck_bytes_of(type, done), count, weights);
    for (size_t t = 0; t < tokens; t++) accumulate(weights, x + t * x_stride + done, count, sums[t]);
  }
  for (size_t t = 0; t < tokens; t++) out[t * out_stride] = (float)total(sums[t]);
}

void ck_scalar_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                        size_t out_stride) {
  const ck_type *type = ck_find_type(w.type);
  for (size_t r = 0; r < w.rows; r++) {
    const uint8_t *row = (const uint8_t *)w.base + r * w.stride_bytes;
    for (size_t t = 0; t < tokens; t += TOKEN_GROUP) {
      const size_t group = tokens - t < TOKEN_GROUP ? tokens - t : TOKEN_GROUP;
      multiply_row(type, row, w.columns, x + t * x_stride, x_stride, group,
                   out + t * out_stride + r, out_stride);
    }
  }
}

float ck_scalar_dot(const float *a, const float *b, size_t count) {
  double sums[LANES] = {0};
  accumulate(a, b, count, sums);
  return (float)total(sums);
}

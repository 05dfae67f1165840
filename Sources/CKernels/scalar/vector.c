/* Operations on float vectors. Sums and transcendental functions are in double precision. */
#include "scalar.h"

#include <math.h>

static double sum_of_squares(const float *x, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
  return sum;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

void ck_scalar_add_scaled(float *y, float factor, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += factor * x[i];
}

void ck_scalar_add(float *y, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += x[i];
}

void ck_scalar_rms_norm(const float *x, const float *weight, float epsilon, float *out,
                        size_t count) {
  const double scale = 1 / sqrt(sum_of_squares(x, count) / (double)count + (double)epsilon);
  for (size_t i = 0; i < count; i++) {
    out[i] = (float)((double)x[i] * scale * (weight ? (double)weight[i] : 1));
  }
}

void ck_scalar_l2_normalize(const float *x, float epsilon, float *out, size_t count) {
  const double scale = 1 / sqrt(sum_of_squares(x, count) + (double)epsilon);
  for (size_t i = 0; i < count; i++) out[i] = (float)((double)x[i] * scale);
}

void ck_scalar_silu_multiply(const float *gate, const float *up, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const double g = (double)gate[i];
    out[i] = (float)(g * sigmoid(g) * (double)up[i]);
  }
}

void ck_scalar_sigmoid_multiply(float *y, const float *gate, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = (float)((double)y[i] * sigmoid((double)gate[i]));
}

void ck_scalar_softmax(float *x, size_t count) {
  float largest = -INFINITY;
  for (size_t i = 0; i < count; i++) largest = x[i] > largest ? x[i] : largest;
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += exp((double)x[i] - (double)largest);
  for (size_t i = 0; i < count; i++) {
    x[i] = (float)(exp((double)x[i] - (double)largest) / sum);
  }
}

void ck_scalar_rotate_pairs(float *x, const float *cosines, const float *sines, size_t half) {
  for (size_t i = 0; i < half; i++) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = a * sines[i] + b * cosines[i];
  }
}

static const ck_kernels kernels = {
    .multiply = ck_scalar_multiply,
    .dot = ck_scalar_dot,
    .add_scaled = ck_scalar_add_scaled,
    .add = ck_scalar_add,
    .rms_norm = ck_scalar_rms_norm,
    .l2_normalize = ck_scalar_l2_normalize,
    .silu_multiply = ck_scalar_silu_multiply,
    .sigmoid_multiply = ck_scalar_sigmoid_multiply,
    .attend = ck_scalar_attend,
    .softmax = ck_scalar_softmax,
    .rotate_pairs = ck_scalar_rotate_pairs,
    .convolve_silu = ck_scalar_convolve_silu,
    .delta_steps = ck_scalar_delta_steps,
};

const ck_kernels *ck_scalar_kernels(void) { return &kernels; }

/* Steps of the gated delta net: its causal convolution and its state update (Yang et al., "Gated
 * Delta Networks", arXiv:2412.06464, eq. 10). Sums are in double precision. */
#include "scalar.h"

#include "../internal/delta_state.h"

#include <math.h>

void ck_scalar_convolve_silu(const float *taps, const float *const *history, size_t width,
                             float *out, size_t channels) {
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    for (size_t j = 0; j < width; j++) sum += (double)taps[c * width + j] * (double)history[j][c];
    out[c] = (float)(sum / (1 + exp(-sum)));
  }
}

/* Value indices are independent of each other; eight at a time use a cache line of the state. */
enum { COLUMNS = 8 };

static void delta_step(float *state, const float *q, const float *k, const float *v, float gate,
                       float beta, float *out, size_t dim) {
  const double decay = exp((double)gate), scale = 1 / sqrt((double)dim);
  for (size_t first = 0; first < dim; first += COLUMNS) {
    const size_t columns = dim - first < COLUMNS ? dim - first : COLUMNS;
    double sums[COLUMNS] = {0}, u[COLUMNS];
    for (size_t i = 0; i < dim; i++) {
      const float *row = state + i * dim + first;
      for (size_t j = 0; j < columns; j++) sums[j] += decay * (double)row[j] * (double)k[i];
    }
    for (size_t j = 0; j < columns; j++) {
      u[j] = (double)beta * ((double)v[first + j] - sums[j]);
      sums[j] = 0;
    }
    for (size_t i = 0; i < dim; i++) {
      float *row = state + i * dim + first;
      for (size_t j = 0; j < columns; j++) {
        row[j] = (float)(decay * (double)row[j] + (double)k[i] * u[j]);
        sums[j] += (double)row[j] * (double)q[i];
      }
    }
    for (size_t j = 0; j < columns; j++) out[first + j] = (float)(sums[j] * scale);
  }
}

/* No token waits here. */
void ck_scalar_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  const ck_delta_state s = ck_delta_state_at(state, dim);
  for (size_t t = 0; t < tokens.count; t++) {
    const size_t at = t * tokens.stride, gate = t * tokens.gate_stride;
    delta_step(s.values, tokens.q + at, tokens.k + at, tokens.v + at, tokens.gate[gate],
               tokens.beta[gate], tokens.out + t * tokens.out_stride, dim);
  }
}

size_t ck_delta_state_floats(size_t dim) {
  return (dim * (dim + 2 * (size_t)CK_DELTA_CHUNK) + CK_DELTA_CHUNK + 2 + 15) / 16 * 16;
}

void ck_delta_associations(const float *state, size_t dim, float *out) {
  const ck_delta_state s = ck_delta_state_at((float *)(uintptr_t)state, dim);
  const size_t waiting = (size_t)*s.count;
  for (size_t i = 0; i < dim; i++) {
    for (size_t j = 0; j < dim; j++) {
      double sum = (waiting ? (double)*s.keep : 1) * (double)s.values[i * dim + j];
      for (size_t t = 0; t < waiting; t++) {
        sum += (double)s.decays[t] * (double)s.keys[t * dim + i] * (double)s.updates[t * dim + j];
      }
      out[i * dim + j] = (float)sum;
    }
  }
}

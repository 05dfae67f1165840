/* Operations on float vectors against double precision, within the bounds of KernelsTests. Buffers end
 * at guarded pages and stay until the program ends. */
#include "check.h"

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 33, 100, 255, 256, 1000, 4096};
enum { SIZES = sizeof sizes / sizeof *sizes };

static bool is_close(float value, double expected, double relative, double absolute) {
  return fabs((double)value - expected) <= fabs(expected) * relative + absolute;
}

static double sigmoid(float x) { return 1 / (1 + exp(-(double)x)); }

/* A sum of `count` float32 terms in 32 chains, and a few more roundings. */
static double sum_error(size_t count) { return ((double)(count / 32) + 8) * 0x1p-24; }

static float *copy_of(const float *x, size_t count) {
  return memcpy(guarded(count * 4), x, count * 4);
}

static float *random_vector(random_source *random, size_t count) {
  float *x = guarded(count * 4);
  fill_floats(random, x, count);
  return x;
}

static void check_sums(random_source *random, size_t n) {
  float *a = random_vector(random, n), *b = random_vector(random, n);
  double sum = 0, magnitude = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)a[i] * (double)b[i];
    magnitude += fabs((double)a[i] * (double)b[i]);
    squares += (double)a[i] * (double)a[i];
  }
  const float dot = kernels->dot(a, b, n);
  expect(fabs((double)dot - sum) <= sum_error(n) * magnitude, "dot of %zu", n);
  digest(&dot, 4);
  float *scaled = copy_of(b, n), *added = copy_of(b, n), *weighed = guarded(n * 4);
  float *plain = copy_of(a, n), *unit = guarded(n * 4);
  kernels->add_scaled(scaled, 0.7f, a, n);
  kernels->add(added, a, n);
  kernels->rms_norm(a, b, 1e-6f, weighed, n);
  kernels->rms_norm(plain, NULL, 1e-6f, plain, n);
  kernels->l2_normalize(a, 1e-6f, unit, n);
  const double rms = 1 / sqrt(squares / (double)n + (double)1e-6f);
  const double norm = 1 / sqrt(squares + (double)1e-6f);
  for (size_t i = 0; i < n; i++) {
    const double exact = (double)b[i] + (double)0.7f * (double)a[i];
    expect(fabs((double)scaled[i] - exact) <= 0x1p-23, "add_scaled of %zu at %zu", n, i);
    expect(added[i] == a[i] + b[i], "add of %zu at %zu", n, i);
    expect(is_close(plain[i], (double)a[i] * rms, sum_error(n), 0x1p-140),
           "rms_norm of %zu at %zu", n, i);
    expect(is_close(weighed[i], (double)a[i] * rms * (double)b[i], sum_error(n), 0x1p-140),
           "weighed rms_norm of %zu at %zu", n, i);
    expect(is_close(unit[i], (double)a[i] * norm, sum_error(n), 0x1p-140),
           "l2_normalize of %zu at %zu", n, i);
  }
  digest(scaled, n * 4);
  digest(weighed, n * 4);
  digest(unit, n * 4);
  memset(a, 0, n * 4);
  kernels->l2_normalize(a, 1e-6f, unit, n);
  for (size_t i = 0; i < n; i++) expect(unit[i] == 0, "l2_normalize of %zu zeros", n);
}

static void check_gates(random_source *random, size_t n) {
  static const float ends[] = {0, 87, -87, 90, -90, 1e30f, -1e30f};
  float *gate = random_vector(random, n), *up = random_vector(random, n);
  for (size_t i = 0; i < n; i++) gate[i] *= 20;
  for (size_t i = 0; i < 7 && i < n; i++) gate[n - 1 - i] = ends[i];
  float *silu = guarded(n * 4), *gated = copy_of(up, n);
  kernels->silu_multiply(gate, up, silu, n);
  kernels->sigmoid_multiply(gated, gate, n);
  for (size_t i = 0; i < n; i++) {
    const double s = sigmoid(gate[i]);
    /* The exponential is good to 2 ulp, each further step to half an ulp. Gates below -88 are taken
     * as -88.3: the sigmoid is then 5e-39 where less would be right. */
    const double floor = gate[i] < -88 ? 5e-39 : 0x1p-140;
    expect(is_close(gated[i], s * (double)up[i], 0x1p-21, floor),
           "sigmoid_multiply of %zu at %zu", n, i);
    expect(is_close(silu[i], (double)gate[i] * s * (double)up[i], 0x1p-21,
                    floor * fmax(1, fabs((double)gate[i]))),
           "silu_multiply of %zu at %zu", n, i);
    float alone;
    kernels->silu_multiply(gate + i, up + i, &alone, 1);
    expect(is_same(alone, silu[i]), "silu_multiply of %zu at %zu: other bits alone", n, i);
  }
  digest(silu, n * 4);
  digest(gated, n * 4);
}

static void check_softmax(random_source *random, size_t n) {
  float *x = random_vector(random, n), top = -INFINITY;
  for (size_t i = 0; i < n; i++) x[i] = x[i] * 30 + 500;
  if (n > 2) x[n / 2] = -INFINITY;
  for (size_t i = 0; i < n; i++) top = fmaxf(top, x[i]);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - (double)top);
  float *out = copy_of(x, n);
  kernels->softmax(out, n);
  for (size_t i = 0; i < n; i++) {
    expect(is_close(out[i], exp((double)x[i] - (double)top) / sum, 0x1p-21, 0x1p-140),
           "softmax of %zu at %zu", n, i);
  }
  expect(n <= 2 || out[n / 2] == 0, "softmax of %zu: masked position", n);
  digest(out, n * 4);
}

/* A NaN is never hidden. */
static void check_not_a_number(void) {
  for (size_t place = 0; place < 10; place += 9) {
    float x[10], ones[10], out[10];
    for (size_t i = 0; i < 10; i++) x[i] = ones[i] = 1;
    x[place] = NAN;
    memcpy(out, x, sizeof x);
    kernels->softmax(out, 10);
    for (size_t i = 0; i < 10; i++) expect(isnan(out[i]), "softmax hides a NaN");
    kernels->silu_multiply(x, ones, out, 10);
    for (size_t i = 0; i < 10; i++) expect(isnan(out[i]) == (i == place), "silu_multiply and a NaN");
    memcpy(out, ones, sizeof ones);
    kernels->sigmoid_multiply(out, x, 10);
    for (size_t i = 0; i < 10; i++) expect(isnan(out[i]) == (i == place), "sigmoid_multiply and a NaN");
    kernels->rms_norm(x, NULL, 1e-6f, out, 10);
    for (size_t i = 0; i < 10; i++) expect(isnan(out[i]), "rms_norm hides a NaN");
  }
}

static void check_rotation(random_source *random, size_t half) {
  float *x = random_vector(random, 2 * half), *out = copy_of(x, 2 * half);
  float *cosines = guarded(half * 4), *sines = guarded(half * 4);
  for (size_t i = 0; i < half; i++) {
    const double angle = 4 * (double)next_float(random);
    cosines[i] = (float)cos(angle);
    sines[i] = (float)sin(angle);
  }
  kernels->rotate_pairs(out, cosines, sines, half);
  for (size_t i = 0; i < half; i++) {
    const double a = x[i], b = x[i + half], c = cosines[i], s = sines[i];
    expect(fabs((double)out[i] - (a * c - b * s)) <= 0x1p-22, "rotate_pairs of %zu at %zu", half, i);
    expect(fabs((double)out[i + half] - (a * s + b * c)) <= 0x1p-22, "rotate_pairs of %zu at %zu",
           half, i + half);
  }
}

static void check_convolution(random_source *random, size_t channels, size_t width) {
  float *taps = random_vector(random, channels * width), *out = guarded(channels * 4);
  const float *history[5];
  for (size_t j = 0; j < width; j++) history[j] = random_vector(random, channels);
  kernels->convolve_silu(taps, history, width, out, channels);
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    for (size_t j = 0; j < width; j++) sum += (double)taps[c * width + j] * (double)history[j][c];
    expect(fabs((double)out[c] - sum / (1 + exp(-sum))) <= 0x1p-20,
           "convolve_silu, %zu of %zu, width %zu", c, channels, width);
  }
  digest(out, channels * 4);
}

/* One step in double precision; `state` is [key index, value index]. */
static void step_exactly(double *state, const float *q, const float *k, const float *v, float gate,
                         float beta, double *out, size_t d) {
  for (size_t i = 0; i < d * d; i++) state[i] *= exp((double)gate);
  for (size_t j = 0; j < d; j++) {
    double recalled = 0;
    for (size_t i = 0; i < d; i++) recalled += state[i * d + j] * (double)k[i];
    const double u = (double)beta * ((double)v[j] - recalled);
    out[j] = 0;
    for (size_t i = 0; i < d; i++) {
      state[i * d + j] += (double)k[i] * u;
      out[j] += state[i * d + j] * (double)q[i] / sqrt((double)d);
    }
  }
}

static void check_delta_rule(random_source *random, size_t d) {
  float *state = guarded(ck_delta_state_floats(d) * 4), *out = guarded(d * 4);
  float *associations = guarded(d * d * 4);
  double *exact = calloc(d * d, 8), *expected = malloc(d * 8);
  for (int token = 0; token < 40; token++) {
    float *q = random_vector(random, d), *k = random_vector(random, d), *v = random_vector(random, d);
    for (size_t i = 0; i < d; i++) {
      q[i] /= sqrtf((float)d);
      k[i] /= sqrtf((float)d);
    }
    const float gate = next_float(random) - 1, beta = (next_float(random) + 1) / 2;
    const ck_delta_tokens token = {
        .count = 1, .q = q, .k = k, .v = v, .gate = &gate, .beta = &beta, .out = out};
    kernels->delta_steps(state, token, d);
    step_exactly(exact, q, k, v, gate, beta, expected, d);
    ck_delta_associations(state, d, associations);
    /* Values of order one; d terms a sum, the error of tokens before decays with them. */
    for (size_t i = 0; i < d; i++) {
      expect(fabs((double)out[i] - expected[i]) < 2e-6, "delta_steps of %zu: result %zu", d, i);
    }
    for (size_t i = 0; i < d * d; i++) {
      expect(fabs((double)associations[i] - exact[i]) < 2e-6, "delta_steps of %zu: state %zu", d, i);
    }
    digest(out, d * 4);
  }
  free(exact);
  free(expected);
}

void check_vectors(void) {
  static const size_t halves[] = {1, 3, 8, 16, 33};
  static const size_t shapes[][2] = {{1, 4}, {7, 4}, {8, 4}, {9, 3}, {100, 4}, {33, 1}, {24, 5}, {96, 4}};
  static const size_t dimensions[] = {1, 5, 8, 24, 32, 64, 128};
  random_source random = {20};
  expect(kernels->dot(guarded(0), guarded(0), 0) == 0, "dot of nothing");
  for (size_t i = 0; i < SIZES; i++) {
    check_sums(&random, sizes[i]);
    check_gates(&random, sizes[i]);
    check_softmax(&random, sizes[i]);
  }
  check_not_a_number();
  for (size_t i = 0; i < 5; i++) check_rotation(&random, halves[i]);
  for (size_t i = 0; i < 8; i++) check_convolution(&random, shapes[i][0], shapes[i][1]);
  for (size_t i = 0; i < 7; i++) check_delta_rule(&random, dimensions[i]);
}

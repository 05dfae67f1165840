/* Operations on float vectors. An element's result does not depend on where in the vector it lies:
 * a tail of fewer than eight elements takes the same instructions with the other lanes idle. */
#include "avx2_vector.h"
#include "amx.h"

#if defined(__x86_64__)

#include <math.h>

/* For each eight elements from `i` on, then for the `left` last ones. */
#define FOR_EACH_8(count, FULL, LAST)         \
  size_t i = 0;                               \
  for (; i + 8 <= (count); i += 8) { FULL }   \
  if (i < (count)) {                          \
    const size_t left = (count)-i;            \
    LAST                                      \
  }

static float dot(const float *a, const float *b, size_t count) {
  return ck_avx2_dot_F32((const void *)a, count, b);
}

CK_AVX2 static void add_scaled(float *y, float factor, const float *x, size_t count) {
  const __m256 f = _mm256_set1_ps(factor);
  FOR_EACH_8(
      count,
      _mm256_storeu_ps(y + i, _mm256_fmadd_ps(f, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
      , ck_store_first(y + i, left,
                       _mm256_fmadd_ps(f, ck_load_first(x + i, left), ck_load_first(y + i, left)));)
}

/* out = x * scale * weight */
CK_AVX2 static void scale_by(const float *x, float scale, const float *weight, float *out,
                             size_t count) {
  const __m256 s = _mm256_set1_ps(scale), one = _mm256_set1_ps(1);
  FOR_EACH_8(
      count,
      const __m256 w = weight ? _mm256_loadu_ps(weight + i) : one;
      _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), s), w));
      , const __m256 w = weight ? ck_load_first(weight + i, left) : one;
      ck_store_first(out + i, left, _mm256_mul_ps(_mm256_mul_ps(ck_load_first(x + i, left), s), w));)
}

static void rms_norm(const float *x, const float *weight, float epsilon, float *out, size_t count) {
  const double mean = (double)dot(x, x, count) / (double)count;
  scale_by(x, (float)(1 / sqrt(mean + (double)epsilon)), weight, out, count);
}

static void l2_normalize(const float *x, float epsilon, float *out, size_t count) {
  scale_by(x, (float)(1 / sqrt((double)dot(x, x, count) + (double)epsilon)), NULL, out, count);
}

CK_AVX2_INLINE __m256 silu_times(__m256 gate, __m256 up) {
  return _mm256_mul_ps(_mm256_mul_ps(gate, ck_sigmoid8(gate)), up);
}

CK_AVX2 static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
  FOR_EACH_8(
      count,
      _mm256_storeu_ps(out + i, silu_times(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
      , ck_store_first(out + i, left,
                       silu_times(ck_load_first(gate + i, left), ck_load_first(up + i, left)));)
}

CK_AVX2 static void sigmoid_multiply(float *y, const float *gate, size_t count) {
  FOR_EACH_8(
      count,
      _mm256_storeu_ps(
          y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), ck_sigmoid8(_mm256_loadu_ps(gate + i))));
      , ck_store_first(y + i, left, _mm256_mul_ps(ck_load_first(y + i, left),
                                                  ck_sigmoid8(ck_load_first(gate + i, left))));)
}

CK_AVX2 static void softmax(float *x, size_t count) {
  float largest = -INFINITY;
  for (size_t i = 0; i < count; i++) largest = x[i] > largest ? x[i] : largest;
  const __m256 top = _mm256_set1_ps(largest);
  /* Sums in double: a context of 10^5 positions would cost a float sum several digits. */
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  FOR_EACH_8(
      count, const __m256 e = ck_exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), top));
      _mm256_storeu_ps(x + i, e);
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(e)));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1)));
      , __m256 e = ck_exp8(_mm256_sub_ps(ck_load_first(x + i, left), top));
      e = _mm256_and_ps(e, _mm256_castsi256_ps(ck_first_lanes(left)));
      ck_store_first(x + i, left, e);
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(e)));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1)));)
  double sums[4];
  _mm256_storeu_pd(sums, _mm256_add_pd(low, high));
  scale_by(x, (float)(1 / ((sums[0] + sums[1]) + (sums[2] + sums[3]))), NULL, x, count);
}

/* What the compiler's baseline code does at memory speed is taken from the scalar kernels. */
#define VECTOR_KERNELS                                                                         \
  .dot = dot, .add_scaled = add_scaled, .add = ck_scalar_add,                                  \
  .rms_norm = rms_norm, .l2_normalize = l2_normalize, .silu_multiply = silu_multiply,          \
  .sigmoid_multiply = sigmoid_multiply, .softmax = softmax,                                    \
  .rotate_pairs = ck_scalar_rotate_pairs

#define VECTOR_KERNELS_512                                                                     \
  VECTOR_KERNELS, .attend = ck_avx512_attend, .convolve_silu = ck_avx512_convolve_silu,        \
  .delta_steps = ck_avx512_delta_steps

static const ck_kernels kernels = {
    VECTOR_KERNELS,
    .attend = ck_avx2_attend,
    .convolve_silu = ck_avx2_convolve_silu,
    .delta_steps = ck_avx2_delta_steps,
    .multiply = ck_avx2_multiply,
    .quantize = ck_avx2_quantize,
    .multiply_quantized = ck_avx2_multiply_quantized,
};

/* Wider vectors pay in products; the rest waits for memory. */
static const ck_kernels wide_kernels = {
    VECTOR_KERNELS_512,
    .multiply = ck_avx2_multiply,
    .quantize = ck_avx512_quantize,
    .multiply_quantized = ck_avx512_multiply_quantized,
};

static const ck_kernels tile_kernels = {
    VECTOR_KERNELS_512,
    .multiply = ck_amx_multiply,
    .quantize = ck_avx512_quantize,
    .multiply_quantized = ck_amx_multiply_quantized,
};

const ck_kernels *ck_avx2_kernels(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("f16c")
             ? &kernels
             : NULL;
}

const ck_kernels *ck_avx512_kernels(void) {
  return ck_avx2_kernels() && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") &&
                 __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni")
             ? &wide_kernels
             : NULL;
}

const ck_kernels *ck_amx_kernels(void) {
  return ck_avx512_kernels() && ck_amx_is_available() ? &tile_kernels : NULL;
}

#else

const ck_kernels *ck_avx2_kernels(void) { return NULL; }
const ck_kernels *ck_avx512_kernels(void) { return NULL; }
const ck_kernels *ck_amx_kernels(void) { return NULL; }

#endif

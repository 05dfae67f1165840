/* Operations on float vectors. An element's result does not depend on where in the vector it lies:
 * a tail of fewer than four elements takes the same instructions with the other lanes idle. */
#include "exponential.h"

#if defined(__aarch64__)

#include <math.h>

/* For each four elements from `i` on, then for the `left` last ones. */
#define FOR_EACH_4(count, FULL, LAST)         \
  size_t i = 0;                               \
  for (; i + 4 <= (count); i += 4) { FULL }   \
  if (i < (count)) {                          \
    const size_t left = (count)-i;            \
    LAST                                      \
  }

static float dot(const float *a, const float *b, size_t count) {
  return ck_neon_dot_F32((const void *)a, count, b);
}

static void add_scaled(float *y, float factor, const float *x, size_t count) {
  const float32x4_t f = vdupq_n_f32(factor);
  FOR_EACH_4(count, vst1q_f32(y + i, vfmaq_f32(vld1q_f32(y + i), f, vld1q_f32(x + i)));
             , ck_store_first(y + i, left, vfmaq_f32(ck_load_first(y + i, left), f,
                                                     ck_load_first(x + i, left)));)
}

/* out = x * scale * weight */
static void scale_by(const float *x, float scale, const float *weight, float *out, size_t count) {
  const float32x4_t one = vdupq_n_f32(1);
  FOR_EACH_4(count, const float32x4_t w = weight ? vld1q_f32(weight + i) : one;
             vst1q_f32(out + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), scale), w));
             , const float32x4_t w = weight ? ck_load_first(weight + i, left) : one;
             ck_store_first(out + i, left,
                            vmulq_f32(vmulq_n_f32(ck_load_first(x + i, left), scale), w));)
}

static void rms_norm(const float *x, const float *weight, float epsilon, float *out, size_t count) {
  const double mean = (double)dot(x, x, count) / (double)count;
  scale_by(x, (float)(1 / sqrt(mean + (double)epsilon)), weight, out, count);
}

static void l2_normalize(const float *x, float epsilon, float *out, size_t count) {
  scale_by(x, (float)(1 / sqrt((double)dot(x, x, count) + (double)epsilon)), NULL, out, count);
}

CK_NEON_INLINE float32x4_t silu_times(float32x4_t gate, float32x4_t up) {
  return vmulq_f32(vmulq_f32(gate, ck_sigmoid4(gate)), up);
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
  FOR_EACH_4(count, vst1q_f32(out + i, silu_times(vld1q_f32(gate + i), vld1q_f32(up + i)));
             , ck_store_first(out + i, left, silu_times(ck_load_first(gate + i, left),
                                                        ck_load_first(up + i, left)));)
}

static void sigmoid_multiply(float *y, const float *gate, size_t count) {
  FOR_EACH_4(count,
             vst1q_f32(y + i, vmulq_f32(vld1q_f32(y + i), ck_sigmoid4(vld1q_f32(gate + i))));
             , ck_store_first(y + i, left, vmulq_f32(ck_load_first(y + i, left),
                                                     ck_sigmoid4(ck_load_first(gate + i, left))));)
}

CK_NEON_INLINE void add_doubles(float64x2_t sums[2], float32x4_t v) {
  sums[0] = vaddq_f64(sums[0], vcvt_f64_f32(vget_low_f32(v)));
  sums[1] = vaddq_f64(sums[1], vcvt_high_f64_f32(v));
}

static void softmax(float *x, size_t count) {
  float largest = -INFINITY;
  for (size_t i = 0; i < count; i++) largest = x[i] > largest ? x[i] : largest;
  const float32x4_t top = vdupq_n_f32(largest);
  /* Sums in double: a context of 10^5 positions would cost a float sum several digits. Vectors take
   * turns with two sums of four. */
  float64x2_t sums[2][2];
  for (int i = 0; i < 4; i++) sums[i / 2][i % 2] = vdupq_n_f64(0);
  FOR_EACH_4(count, const float32x4_t e = ck_exp4(vsubq_f32(vld1q_f32(x + i), top));
             vst1q_f32(x + i, e); add_doubles(sums[i / 4 % 2], e);
             , float kept[4] = {0};
             ck_store_first(kept, left, ck_exp4(vsubq_f32(ck_load_first(x + i, left), top)));
             memcpy(x + i, kept, left * sizeof *x); add_doubles(sums[i / 4 % 2], vld1q_f32(kept));)
  const double total = vaddvq_f64(vaddq_f64(sums[0][0], sums[1][0])) +
                       vaddvq_f64(vaddq_f64(sums[0][1], sums[1][1]));
  scale_by(x, (float)(1 / total), NULL, x, count);
}

/* What the compiler's baseline code does at memory speed is taken from the scalar kernels. */
#define KERNELS(QUANTIZED)                                                                     \
  {                                                                                            \
    .multiply = ck_neon_multiply, .quantize = ck_neon_quantize,                                \
    .multiply_quantized = QUANTIZED, .dot = dot, .add_scaled = add_scaled,                     \
    .add = ck_scalar_add, .rms_norm = rms_norm, .l2_normalize = l2_normalize,                  \
    .silu_multiply = silu_multiply, .sigmoid_multiply = sigmoid_multiply,                      \
    .attend = ck_neon_attend, .softmax = softmax,                                              \
    .rotate_pairs = ck_scalar_rotate_pairs, .convolve_silu = ck_neon_convolve_silu,            \
    .delta_steps = ck_neon_delta_steps,                                                        \
  }

static const ck_kernels kernels = KERNELS(ck_neon_multiply_quantized);
static const ck_kernels dotprod_kernels = KERNELS(ck_dotprod_multiply_quantized);
static const ck_kernels i8mm_kernels = KERNELS(ck_i8mm_multiply_quantized);

#if defined(__APPLE__)

#include <sys/sysctl.h>

static bool is_set(const char *name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

static bool has_dotprod(void) { return is_set("hw.optional.arm.FEAT_DotProd"); }
static bool has_i8mm(void) { return is_set("hw.optional.arm.FEAT_I8MM"); }

#elif defined(__linux__)

#include <sys/auxv.h>

/* Older headers lack these. */
#if !defined(HWCAP_ASIMDDP)
#define HWCAP_ASIMDDP (1 << 20)
#endif
#if !defined(HWCAP2_I8MM)
#define HWCAP2_I8MM (1 << 13)
#endif

static bool has_dotprod(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
static bool has_i8mm(void) { return getauxval(AT_HWCAP2) & HWCAP2_I8MM; }

#else

static bool has_dotprod(void) { return false; }
static bool has_i8mm(void) { return false; }

#endif

const ck_kernels *ck_neon_kernels(void) {
  if (!has_dotprod()) return &kernels;
  return has_i8mm() ? &i8mm_kernels : &dotprod_kernels;
}

#else

const ck_kernels *ck_neon_kernels(void) { return NULL; }

#endif

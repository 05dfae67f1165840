/* What the AVX-512 kernels share. Every function here is inlined into one that has the target
 * attribute, so no file needs a flag and the binary runs on any x86-64. */
#ifndef CK_AVX512_H
#define CK_AVX512_H

#include "../internal/activations.h"
#include "../internal/levels.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Ice Lake and later, Zen 4 and later. VNNI multiplies bytes, VBMI looks tables up and pulls bit
 * fields out, GFNI puts bits where they belong. */
#define CK_AVX512_FEATURES \
  "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,gfni"
#define CK_AVX512 __attribute__((target(CK_AVX512_FEATURES)))
#define CK_AVX512_INLINE static inline __attribute__((always_inline, target(CK_AVX512_FEATURES)))

/* Types whose product with one token has a function of its own: those of super-blocks, those of blocks of 32 for
 * multiples of 128 columns, and those that take the one of any type; as CK_EACH_LEVEL_TYPE. */
#define CK_EACH_SUPER_TYPE(X)                                                                 \
  X(Q4_K, 32, true) X(Q5_K, 32, true) X(Q6_K, 16, false) X(IQ3_XXS, 32, false) X(IQ4_XS, 32, false) \
  X(IQ1_S, 32, false) X(IQ1_M, 16, false) X(IQ2_XXS, 32, false) X(IQ2_XS, 16, false) X(IQ2_S, 16, false)
#define CK_EACH_OWN_TYPE(X) \
  X(Q4_0, 32, false) X(Q8_0, 32, false) X(IQ4_NL, 32, false) X(MXFP4, 32, false)
#define CK_EACH_ANY_TYPE(X)                                                                   \
  X(Q4_1, 32, true) X(Q5_0, 32, false) X(Q5_1, 32, true) X(Q2_K, 16, true)                    \
  X(Q3_K, 16, false) X(IQ3_S, 32, false) X(NVFP4, 16, false) X(TQ1_0, 32, false)              \
  X(TQ2_0, 32, false)

void ck_avx512_quantize(const float *x, size_t x_stride, size_t columns, size_t rows, bool is_wide,
                        void *out);
void ck_avx512_multiply_quantized(ck_matrix w, const void *x, const int32_t *rows, size_t tokens,
                                  bool is_wide, float *out, size_t out_stride);
void ck_avx512_attend(const ck_attention *attention, float *scratch);
void ck_avx512_convolve_silu(const float *taps, const float *const *history, size_t width, float *out,
                             size_t channels);
void ck_avx512_delta_steps(float *state, ck_delta_tokens tokens, size_t dim);

#endif
#endif

/* AVX2 steps of the gated delta net; see scalar/recurrent.c for the definition. */
#include "avx2_vector.h"

#if defined(__x86_64__)

#include <math.h>

CK_AVX2_INLINE __m256 silu8(__m256 x) { return _mm256_mul_ps(x, ck_sigmoid8(x)); }

CK_AVX2 void ck_avx2_convolve_silu(const float *taps, const float *const *history, size_t width,
                                   float *out, size_t channels) {
  const __m256i channel = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                             _mm256_set1_epi32((int)width));
  size_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t j = 0; j < width; j++) {
      const __m256 tap = _mm256_i32gather_ps(taps + c * width + j, channel, 4);
      sum = _mm256_fmadd_ps(tap, _mm256_loadu_ps(history[j] + c), sum);
    }
    _mm256_storeu_ps(out + c, silu8(sum));
  }
  for (; c < channels; c++) {
    float sum = 0;
    for (size_t j = 0; j < width; j++) sum = fmaf(taps[c * width + j], history[j][c], sum);
    out[c] = _mm256_cvtss_f32(silu8(_mm256_set1_ps(sum)));
  }
}

/* The delta rule: delta_chunk.h with eight lanes. */
#define VECTOR __m256
#define LANES 8
#define INLINE CK_AVX2_INLINE
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define SET(x) _mm256_set1_ps(x)
#define MULTIPLY(a, b) _mm256_mul_ps(a, b)
#define SUBTRACT(a, b) _mm256_sub_ps(a, b)
#define MULTIPLY_ADD(a, b, sum) _mm256_fmadd_ps(a, b, sum)
#define SUMS8 ck_dot8
enum { TILE_TOKENS = 3, TILE_COLUMNS = 16 };
#include "../internal/delta_chunk.h"

CK_AVX2 void ck_avx2_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 8) {
    ck_scalar_delta_steps(state, tokens, dim);
  } else {
    delta_steps(state, tokens, dim);
  }
}

#endif

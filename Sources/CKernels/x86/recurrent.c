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

/* `vectors` (a constant) times eight value indices: one sum each, over key indices in order. The
 * decayed state is computed in both passes rather than stored in between. */
CK_AVX2_INLINE void delta_columns(float *state, size_t stride, const float *q, const float *k,
                                  const float *v, float decay, float beta, float scale, float *out,
                                  size_t dim, const int vectors) {
  __m256 sums[4], u[4];
  const __m256 keep = _mm256_set1_ps(decay);
  for (int j = 0; j < vectors; j++) sums[j] = _mm256_setzero_ps();
  for (size_t i = 0; i < dim; i++) {
    const __m256 key = _mm256_set1_ps(k[i]);
    for (int j = 0; j < vectors; j++) {
      const __m256 s = _mm256_mul_ps(keep, _mm256_loadu_ps(state + i * stride + 8 * j));
      sums[j] = _mm256_fmadd_ps(key, s, sums[j]);
    }
  }
  for (int j = 0; j < vectors; j++) {
    const __m256 error = _mm256_sub_ps(_mm256_loadu_ps(v + 8 * j), sums[j]);
    u[j] = _mm256_mul_ps(_mm256_set1_ps(beta), error);
    sums[j] = _mm256_setzero_ps();
  }
  for (size_t i = 0; i < dim; i++) {
    const __m256 key = _mm256_set1_ps(k[i]), query = _mm256_set1_ps(q[i]);
    for (int j = 0; j < vectors; j++) {
      float *p = state + i * stride + 8 * j;
      const __m256 s = _mm256_fmadd_ps(key, u[j], _mm256_mul_ps(keep, _mm256_loadu_ps(p)));
      _mm256_storeu_ps(p, s);
      sums[j] = _mm256_fmadd_ps(query, s, sums[j]);
    }
  }
  for (int j = 0; j < vectors; j++) {
    _mm256_storeu_ps(out + 8 * j, _mm256_mul_ps(_mm256_set1_ps(scale), sums[j]));
  }
}

/* Value indices whose part of the state a token after the other works on, in the first cache: 16 KiB at
 * 128 key indices. */
enum { DELTA_COLUMNS = 32, DELTA_KEYS = 128 };

/* All tokens by `columns` value indices from `c` on. */
CK_AVX2_INLINE void delta_block(float *state, size_t stride, ck_delta_tokens tokens, size_t c,
                                size_t dim, const int vectors) {
  const float scale = (float)(1 / sqrt((double)dim));
  for (size_t t = 0; t < tokens.count; t++) {
    const size_t at = t * tokens.stride, gate = t * tokens.gate_stride;
    const float decay = (float)exp((double)tokens.gate[gate]);
    delta_columns(state, stride, tokens.q + at, tokens.k + at, tokens.v + at + c, decay,
                  tokens.beta[gate], scale, tokens.out + t * tokens.out_stride + c, dim, vectors);
  }
}

CK_AVX2 void ck_avx2_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 8) {
    ck_scalar_delta_steps(state, tokens, dim);
    return;
  }
  size_t c = 0;
  for (; c + DELTA_COLUMNS <= dim; c += DELTA_COLUMNS) {
    if (tokens.count == 1 || dim > DELTA_KEYS) {
      delta_block(state + c, dim, tokens, c, dim, 4);
      continue;
    }
    /* Rows of the state lie `dim` floats apart, which puts them into few sets of the cache. */
    _Alignas(32) float part[DELTA_KEYS][DELTA_COLUMNS];
    for (size_t i = 0; i < dim; i++) memcpy(part[i], state + i * dim + c, sizeof part[i]);
    delta_block(part[0], DELTA_COLUMNS, tokens, c, dim, 4);
    for (size_t i = 0; i < dim; i++) memcpy(state + i * dim + c, part[i], sizeof part[i]);
  }
  for (; c < dim; c += 8) delta_block(state + c, dim, tokens, c, dim, 1);
}

#endif

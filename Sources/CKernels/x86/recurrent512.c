/* AVX-512 steps of the gated delta net, to the same bits as AVX2's; see scalar/recurrent.c for the definition. */
#include "avx2_vector.h"
#include "avx512.h"

#if defined(__x86_64__)

/* ck_exp8 for sixteen. */
CK_AVX512_INLINE __m512 exp16(__m512 x) {
  const __m512 lowest = _mm512_set1_ps(-87.3f);
  const __mmask16 is_zero = _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ);
  x = _mm512_min_ps(_mm512_set1_ps(88.3f), _mm512_max_ps(lowest, x));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e400p-1f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
  static const float coefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
  __m512 p = _mm512_set1_ps(1.0f / 5040);
  for (int i = 0; i < 7; i++) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(coefficients[i]));
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  const __m512 power = _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
  return _mm512_mask_mul_ps(_mm512_setzero_ps(), (__mmask16)~is_zero, p, power);
}

CK_AVX512_INLINE __m512 silu16(__m512 x) {
  const __m512 e = exp16(_mm512_xor_ps(x, _mm512_set1_ps(-0.0f)));
  return _mm512_mul_ps(x, _mm512_div_ps(_mm512_set1_ps(1), _mm512_add_ps(_mm512_set1_ps(1), e)));
}

/* Taps of sixteen channels, four a channel: taps[j] has tap j of each. */
CK_AVX512_INLINE void load_taps(const float *from, __m512 taps[4]) {
  const __m512i all = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  __m512 v[4], pairs[4]; /* pairs[2 * k + i]: taps 2 * k and 2 * k + 1 of channels 8 * i ..< 8 * i + 8 */
  for (int i = 0; i < 4; i++) v[i] = _mm512_loadu_ps(from + 16 * i);
  for (int k = 0; k < 2; k++) {
    const __m512i here = _mm512_add_epi32(all, _mm512_set1_epi32(2 * k));
    for (int i = 0; i < 2; i++) pairs[2 * k + i] = _mm512_permutex2var_ps(v[2 * i], here, v[2 * i + 1]);
    taps[2 * k] = _mm512_shuffle_f32x4(pairs[2 * k], pairs[2 * k + 1], 0x44);
    taps[2 * k + 1] = _mm512_shuffle_f32x4(pairs[2 * k], pairs[2 * k + 1], 0xee);
  }
}

CK_AVX512 void ck_avx512_convolve_silu(const float *taps, const float *const *history, size_t width, float *out,
                                       size_t channels) {
  if (width != 4 || channels % 16) {
    ck_avx2_convolve_silu(taps, history, width, out, channels);
    return;
  }
  for (size_t c = 0; c < channels; c += 16) {
    __m512 own[4], sum = _mm512_setzero_ps();
    load_taps(taps + 4 * c, own);
    for (int j = 0; j < 4; j++) sum = _mm512_fmadd_ps(own[j], _mm512_loadu_ps(history[j] + c), sum);
    _mm512_storeu_ps(out + c, silu16(sum));
  }
}

/* The delta rule: delta_chunk.h with sixteen lanes. */
#define VECTOR __m512
#define LANES 16
#define INLINE CK_AVX512_INLINE
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define SET(x) _mm512_set1_ps(x)
#define MULTIPLY(a, b) _mm512_mul_ps(a, b)
#define SUBTRACT(a, b) _mm512_sub_ps(a, b)
#define MULTIPLY_ADD(a, b, sum) _mm512_fmadd_ps(a, b, sum)
#define SUMS8 ck_dot8
enum { TILE_TOKENS = 4, TILE_COLUMNS = 32 };
#include "../internal/delta_chunk.h"

CK_AVX512 void ck_avx512_delta_steps(float *state, ck_delta_tokens tokens, size_t dim) {
  if (dim % 16) {
    ck_avx2_delta_steps(state, tokens, dim);
  } else {
    delta_steps(state, tokens, dim);
  }
}

#endif

/* Activations to 8-bit integers with a scale for 32 neighbours (the reference's Q8_0 rule, with a
 * float32 scale): scale = largest magnitude / 127, values rounded to the nearest. */
#include "avx512.h"

#include <math.h>

#if defined(__x86_64__)

CK_AVX512_INLINE int32_t sum16(__m512i v) { return _mm512_reduce_add_epi32(v); }

CK_AVX512 void ck_avx512_quantize(const float *x, size_t x_stride, size_t columns, size_t rows,
                                  void *out) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  for (size_t r = 0; r < rows; r++, x += x_stride) {
    uint8_t *row = (uint8_t *)out + r * ck_activations_bytes(columns);
    const ck_activations to = ck_activations_at(row, columns);
    int8_t *values = (int8_t *)row;
    float *scales = (float *)(uintptr_t)to.scales, *sums32 = (float *)(uintptr_t)to.sums32;
    float *sums16 = (float *)(uintptr_t)to.sums16;
    int32_t *bias32 = (int32_t *)(uintptr_t)to.bias32, *bias16 = (int32_t *)(uintptr_t)to.bias16;
    for (size_t g = 0; g < columns / 32; g++) {
      const __m512 low = _mm512_loadu_ps(x + 32 * g), high = _mm512_loadu_ps(x + 32 * g + 16);
      /* As integers, so that what is not a number is the largest and cannot get lost. */
      const __m512i largest = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                               _mm512_and_si512(_mm512_castps_si512(high), magnitude));
      const float top = ck_float_from_bits((uint32_t)_mm512_reduce_max_epi32(largest));
      /* Below the first bound the inverse overflows, and nothing is lost. */
      const bool is_number = top < INFINITY, is_zero = top < 0x1p-110f;
      const float inverse = is_zero || !is_number ? 0 : 127 / top;
      const float scale = is_number ? (is_zero ? 0 : top / 127) : NAN;
      const __m512 factor = _mm512_set1_ps(inverse);
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, factor));
      const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(high, factor));
      const __m512i none = _mm512_setzero_si512();
      const __m512i first = is_number ? a : none, second = is_number ? b : none;
      _mm_storeu_si128((__m128i *)(void *)(values + 32 * g), _mm512_cvtepi32_epi8(first));
      _mm_storeu_si128((__m128i *)(void *)(values + 32 * g + 16), _mm512_cvtepi32_epi8(second));
      const int32_t left = sum16(first), right = sum16(second);
      scales[g] = scale;
      bias16[2 * g] = -128 * left;
      bias16[2 * g + 1] = -128 * right;
      bias32[g] = -128 * (left + right);
      sums16[2 * g] = scale * (float)left;
      sums16[2 * g + 1] = scale * (float)right;
      sums32[g] = scale * (float)(left + right);
    }
  }
}

#endif

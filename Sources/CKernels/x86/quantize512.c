/* Activations to integers with a scale for 32 neighbours: 16 bits, whose upper byte is the nearest
 * 8-bit form (the reference's Q8_0 rule, with a float32 scale). */
#include "avx512.h"

#if defined(__x86_64__)

/* Writes 16 values and returns the sums of their upper bytes and of the values themselves. */
CK_AVX512_INLINE void put16(int8_t *high, int8_t *low, __m512i values, int32_t *high_sum,
                            int32_t *sum) {
  const __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(values, _mm512_set1_epi32(128)), 8);
  const __m512i lower = _mm512_sub_epi32(values, _mm512_slli_epi32(upper, 8));
  _mm_storeu_si128((__m128i *)(void *)high, _mm512_cvtepi32_epi8(upper));
  _mm_storeu_si128((__m128i *)(void *)low, _mm512_cvtepi32_epi8(lower));
  *high_sum = _mm512_reduce_add_epi32(upper);
  *sum = _mm512_reduce_add_epi32(values);
}

/* Both widths are written: the products of each read their own parts. */
CK_AVX512 void ck_avx512_quantize(const float *x, size_t x_stride, size_t columns, size_t rows,
                                  bool is_wide __attribute__((unused)), void *out) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  for (size_t r = 0; r < rows; r++, x += x_stride) {
    const ck_activations to =
        ck_activations_at((uint8_t *)out + r * ck_activations_bytes(columns), columns);
    for (size_t g = 0; g < columns / 32; g++) {
      const __m512 left = _mm512_loadu_ps(x + 32 * g), right = _mm512_loadu_ps(x + 32 * g + 16);
      /* As integers, so that what is not a number is the largest and cannot get lost. */
      const __m512i largest =
          _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(left), magnitude),
                           _mm512_and_si512(_mm512_castps_si512(right), magnitude));
      const float top = ck_float_from_bits((uint32_t)_mm512_reduce_max_epi32(largest));
      const ck_activation_scale rule = ck_scale_activations(top);
      const float scale = rule.scale;
      const __mmask16 kept = rule.factor != 0 ? 0xffff : 0;
      const __m512 factor = _mm512_set1_ps(rule.factor);
      const __m512i a = _mm512_maskz_cvtps_epi32(kept, _mm512_mul_ps(left, factor));
      const __m512i b = _mm512_maskz_cvtps_epi32(kept, _mm512_mul_ps(right, factor));
      int32_t high_sums[2], sums[2];
      put16(to.high + 32 * g, to.low + 32 * g, a, &high_sums[0], &sums[0]);
      put16(to.high + 32 * g + 16, to.low + 32 * g + 16, b, &high_sums[1], &sums[1]);
      to.wide_scales[g] = scale;
      to.narrow_scales[g] = 256 * scale;
      for (int i = 0; i < 2; i++) {
        to.narrow_bias16[2 * g + (size_t)i] = -128 * high_sums[i];
        to.wide_bias16[2 * g + (size_t)i] = -128 * sums[i];
      }
      to.narrow_bias32[g] = -128 * (high_sums[0] + high_sums[1]);
      to.wide_bias32[g] = -128 * (sums[0] + sums[1]);
    }
  }
}

#endif

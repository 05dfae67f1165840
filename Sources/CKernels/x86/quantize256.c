/* Activations to integers with a scale for 32 neighbours. The values and scales are those of
 * quantize512.c, to the bit. */
#include "activations256.h"
#include "avx2.h"
#include "../internal/activations.h"

#if defined(__x86_64__)

CK_AVX2_INLINE int32_t largest_of8(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_unpackhi_epi64(m, m));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 1)));
}

CK_AVX2_INLINE int32_t sum_of8(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

/* Eight values of 16 bits, or the nearest ones of 8. */
CK_AVX2_INLINE __m256i to_steps(__m256 x, __m256 factor, __m256i kept, bool is_wide) {
  const __m256i v = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(x, factor)), kept);
  return is_wide ? v : _mm256_srai_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(128)), 8);
}

/* 32 values in order, 8 bits each. */
CK_AVX2_INLINE void put_bytes(int8_t *to, const __m256i v[4]) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permutevar8x32_epi32(bytes, order));
}

/* Sixteen 32-bit values in order to the even ones and the odd ones, 16 bits each. */
CK_AVX2_INLINE void put16(int16_t *even, int16_t *odd, __m256i a, __m256i b) {
  const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1,
                                         4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const __m256i parted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(both, order), 0xd8);
  _mm_storeu_si128((__m128i *)(void *)even, _mm256_castsi256_si128(parted));
  _mm_storeu_si128((__m128i *)(void *)odd, _mm256_extracti128_si256(parted, 1));
}

CK_AVX2 void ck_avx2_quantize(const float *x, size_t x_stride, size_t columns, size_t rows,
                              bool is_wide, void *out) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  for (size_t r = 0; r < rows; r++, x += x_stride) {
    const ck_activations256 to =
        ck_activations256_at((uint8_t *)out + r * ck_activations_bytes(columns), columns);
    for (size_t g = 0; g < columns / 32; g++) {
      __m256 part[4];
      __m256i largest = _mm256_setzero_si256();
      for (int i = 0; i < 4; i++) {
        part[i] = _mm256_loadu_ps(x + 32 * g + 8 * (size_t)i);
        /* As integers, so that what is not a number is the largest and cannot get lost. */
        largest =
            _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(part[i]), magnitude));
      }
      const float top = ck_float_from_bits((uint32_t)largest_of8(largest));
      const ck_activation_scale rule = ck_scale_activations(top);
      const float scale = is_wide ? rule.scale : 256 * rule.scale;
      const __m256i kept = _mm256_set1_epi32(rule.factor != 0 ? -1 : 0);
      const __m256 factor = _mm256_set1_ps(rule.factor);
      __m256i v[4];
      for (int i = 0; i < 4; i++) v[i] = to_steps(part[i], factor, kept, is_wide);
      int16_t *values = to.values + 32 * g;
      put16(values, values + 16, v[0], v[1]);
      put16(values + 8, values + 24, v[2], v[3]);
      if (!is_wide) put_bytes(to.bytes + 32 * g, v);
      const int32_t head = sum_of8(_mm256_add_epi32(v[0], v[1]));
      const int32_t tail = sum_of8(_mm256_add_epi32(v[2], v[3]));
      to.scales[g] = scale;
      to.whole16[2 * g] = head;
      to.whole16[2 * g + 1] = tail;
      to.whole32[g] = head + tail;
      to.sums16[2 * g] = scale * (float)head;
      to.sums16[2 * g + 1] = scale * (float)tail;
      to.sums32[g] = scale * (float)(head + tail);
    }
  }
}

#endif

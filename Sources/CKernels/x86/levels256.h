/* What the AVX2 decoders to levels share. */
#ifndef CK_LEVELS256_H
#define CK_LEVELS256_H

#include "../internal/levels.h"
#include "../internal/tables.h"
#include "avx2.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256i ck_load32(const void *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

CK_AVX2_INLINE void ck_put32(int8_t *levels, __m256i v) {
  _mm256_storeu_si256((__m256i *)(void *)levels, v);
}

CK_AVX2_INLINE float ck_half(uint16_t h) { return _mm256_cvtss_f32(ck_half8(h)); }

/* A table of sixteen bytes, once in each lane. */
CK_AVX2_INLINE __m256i ck_table16(const int8_t values[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values));
}

CK_AVX2_INLINE __m256i ck_low_nibbles32(__m256i v) {
  return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

CK_AVX2_INLINE __m256i ck_high_nibbles32(__m256i v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* Byte i all ones if bit i of the 32 bits, which every 32-bit lane of `bits` holds, is set. */
CK_AVX2_INLINE __m256i ck_spread_bits(__m256i bits) {
  const __m256i own_byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i own_bit = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
  const __m256i bytes = _mm256_shuffle_epi8(bits, own_byte);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own_bit), own_bit);
}

/* -v where the mask is set. */
CK_AVX2_INLINE __m256i ck_negate_where(__m256i v, __m256i is_negative) {
  return _mm256_sub_epi8(_mm256_xor_si256(v, is_negative), is_negative);
}

/* factor * each of eight bytes, which have no sign. */
CK_AVX2_INLINE void ck_put_scales8(float *scales, uint64_t bytes, __m256 factor) {
  const __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
  _mm256_storeu_ps(scales, _mm256_mul_ps(factor, _mm256_cvtepi32_ps(v)));
}

#endif
#endif

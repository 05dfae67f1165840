/* What the kernels of the quantised types share to decode 32 weights at a time. */
#ifndef CK_LEVELS256_H
#define CK_LEVELS256_H

#include "../internal/levels.h"
#include "tile256.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256i ck_load32(const void *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

CK_AVX2_INLINE void ck_put32(int8_t *levels, __m256i v) {
  _mm256_storeu_si256((__m256i *)(void *)levels, v);
}

CK_AVX2_INLINE __m256i ck_shift_right(__m256i v, int bits) {
  return _mm256_srl_epi16(v, _mm_cvtsi32_si128(bits));
}

/* Low nibbles of 32 bytes, or high ones. */
CK_AVX2_INLINE __m256i ck_nibbles32(const uint8_t *qs, bool are_high) {
  return _mm256_and_si256(ck_shift_right(ck_load32(qs), are_high ? 4 : 0), _mm256_set1_epi8(15));
}

/* 16 bytes to 32 nibbles, the low ones first. */
CK_AVX2_INLINE __m256i ck_nibbles16(const uint8_t *qs) {
  const __m256i q = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)qs));
  const __m256i both = _mm256_srlv_epi64(q, _mm256_setr_epi64x(0, 0, 4, 4));
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

CK_AVX2_INLINE float ck_half(uint16_t h) { return _mm256_cvtss_f32(ck_half8(h)); }

/* The value tables of tables.h, made positive: 128 and 12 added. */
static const _Alignas(16) uint8_t ck_iq4_codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                      129, 141, 153, 166, 181, 197, 217, 241};
static const _Alignas(16) uint8_t ck_fp4_codes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                      12, 11, 10, 9,  8,  6,  4,  0};

/* A table of sixteen bytes, once in each lane. */
CK_AVX2_INLINE __m256i ck_table16(const uint8_t values[16]) {
  return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)values));
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

/* Rows are fetched ahead, from memory to the second cache and from there to the first: the hardware alone
 * does not keep up, and the first cache alone can have too few misses under way (Q8_0, one core of Zen 4,
 * 31 GB/s read: 9 GB/s without, 14.6 with the near fetch, 20.5 with both). */
CK_AVX2_INLINE void ck_fetch_ahead(const void *blocks, size_t bytes) {
  for (size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch((const char *)blocks + 1024 + line, _MM_HINT_T0);
    _mm_prefetch((const char *)blocks + 8192 + line, _MM_HINT_T1);
  }
}

/* What a block says once, for its groups. */
typedef union {
  _Alignas(64) uint32_t signs[8];
  uint8_t codes[CK_SUPER];
} ck_block_note;

#endif
#endif

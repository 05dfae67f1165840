/* Levels with AVX-512: types with 32 weights a block. Each is the function of its name in
 * scalar/levels_*.c. */
#include "avx512.h"

#include "../internal/tables.h"

#if defined(__x86_64__)

/* 16 bytes to 32 nibbles, the low ones first. */
CK_AVX512_INLINE __m256i nibbles(const uint8_t *qs) {
  const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)qs);
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(q), _mm_srli_epi16(q, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

CK_AVX512_INLINE void put32(int8_t *levels, __m256i v) {
  _mm256_storeu_si256((__m256i *)(void *)levels, v);
}

CK_AVX512_INLINE __m256i table16(const int8_t values[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values));
}

CK_AVX512 CK_LEVELS(avx512_levels_Q8_0) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_loadu_si256((const __m256i *)(const void *)b->qs));
    *scales++ = _cvtsh_ss(b->d);
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_Q4_0) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_sub_epi8(nibbles(b->qs), _mm256_set1_epi8(8)));
    *scales++ = _cvtsh_ss(b->d);
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_IQ4_NL) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  const __m256i values = table16(ck_iq4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    *scales++ = _cvtsh_ss(b->d);
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_MXFP4) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  const __m256i values = table16(ck_fp4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    *scales++ = ck_float_from_half_e8m0(b->e);
  }
}

#endif

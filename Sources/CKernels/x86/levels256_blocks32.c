/* Levels with AVX2: types with 32 weights a block. Each is the function of its name in
 * scalar/levels_*.c. */
#include "levels256.h"

#if defined(__x86_64__)

/* 16 bytes to 32 nibbles, the low ones first. */
CK_AVX2_INLINE __m256i nibbles(const uint8_t *qs) {
  const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)qs);
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(q), _mm_srli_epi16(q, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

CK_AVX2 CK_LEVELS(avx2_levels_Q8_0) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, ck_load32(b->qs));
    *scales++ = ck_half(b->d);
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q4_0) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, _mm256_sub_epi8(nibbles(b->qs), _mm256_set1_epi8(8)));
    *scales++ = ck_half(b->d);
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q4_1) {
  const ck_block_Q4_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, nibbles(b->qs));
    *scales++ = ck_half(b->d);
    *minima++ = -ck_half(b->m);
  }
}

/* 16 in each byte whose bit of the 32 is set. */
CK_AVX2_INLINE __m256i fifth_bits(const uint8_t high[4]) {
  return _mm256_and_si256(ck_spread_bits(_mm256_set1_epi32((int)ck_load_u32(high))),
                          _mm256_set1_epi8(16));
}

CK_AVX2 CK_LEVELS(avx2_levels_Q5_0) {
  const ck_block_Q5_0 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    const __m256i q = _mm256_or_si256(nibbles(b->qs), fifth_bits(b->qh));
    ck_put32(levels, _mm256_sub_epi8(q, _mm256_set1_epi8(16)));
    *scales++ = ck_half(b->d);
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_Q5_1) {
  const ck_block_Q5_1 *b = (const void *)blocks;
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, _mm256_or_si256(nibbles(b->qs), fifth_bits(b->qh)));
    *scales++ = ck_half(b->d);
    *minima++ = -ck_half(b->m);
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_IQ4_NL) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  const __m256i values = ck_table16(ck_iq4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    *scales++ = ck_half(b->d);
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_MXFP4) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  const __m256i values = ck_table16(ck_fp4_values);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    ck_put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    *scales++ = ck_float_from_half_e8m0(b->e);
  }
}

/* 64 weights a block: within each 16, low nibbles are the first eight. */
CK_AVX2 CK_LEVELS(avx2_levels_NVFP4) {
  const ck_block_NVFP4 *b = (const void *)blocks;
  const __m256i values = ck_table16(ck_fp4_values);
  for (; count >= 64; count -= 64, b++, levels += 64) {
    for (int half = 0; half < 2; half++) {
      const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(b->qs + 16 * half));
      const __m128i low = _mm_and_si128(q, _mm_set1_epi8(15));
      const __m128i high = _mm_and_si128(_mm_srli_epi16(q, 4), _mm_set1_epi8(15));
      const __m256i codes = _mm256_inserti128_si256(
          _mm256_castsi128_si256(_mm_unpacklo_epi64(low, high)), _mm_unpackhi_epi64(low, high), 1);
      ck_put32(levels + 32 * half, _mm256_shuffle_epi8(values, codes));
    }
    for (int j = 0; j < 4; j++) *scales++ = ck_float_from_half_e4m3(b->d[j]);
  }
}

#endif

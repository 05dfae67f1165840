/* What the kernels of types with code books share. */
#ifndef CK_LEVELS_BOOK_H
#define CK_LEVELS_BOOK_H

#include "define_levels.h"

#if defined(__x86_64__)

/* Rows of the books, eight values a row, as bytes; those of IQ1 eightfold, so that the eighth of its offset is a
 * whole number. Aligned to 64 bytes. */
extern const uint64_t ck_iq1_rows[2048], ck_iq2_xxs_rows[256], ck_iq2_xs_rows[512], ck_iq2_s_rows[1024];

/* The signs of 32 7-bit indices, one a byte: the eighth makes their number even, it is the parity of the
 * others. */
CK_AVX2_INLINE __m256i ck_even_signs32(__m256i index) {
  /* 0x80 for nibbles with an odd number of bits. */
  const __m128i odd = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128,
                                    -128, 0);
  const __m256i odds = _mm256_broadcastsi128_si256(odd), nibble = _mm256_set1_epi8(15);
  const __m256i low = _mm256_shuffle_epi8(odds, _mm256_and_si256(index, nibble));
  const __m256i high =
      _mm256_shuffle_epi8(odds, _mm256_and_si256(_mm256_srli_epi16(index, 4), nibble));
  return _mm256_or_si256(index, _mm256_xor_si256(low, high));
}

/* The same of 32-bit groups whose lowest 28 bits are four indices. */
CK_AVX2_INLINE __m256i ck_even_signs4(__m256i packed) {
  const __m256i index = _mm256_or_si256(
      _mm256_or_si256(
          _mm256_and_si256(packed, _mm256_set1_epi32(0x7f)),
          _mm256_and_si256(_mm256_slli_epi32(packed, 1), _mm256_set1_epi32(0x7f00))),
      _mm256_or_si256(
          _mm256_and_si256(_mm256_slli_epi32(packed, 2), _mm256_set1_epi32(0x7f0000)),
          _mm256_and_si256(_mm256_slli_epi32(packed, 3), _mm256_set1_epi32(0x7f000000))));
  return ck_even_signs32(index);
}

#endif
#endif

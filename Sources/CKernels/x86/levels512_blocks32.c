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

CK_AVX512_INLINE void put_eight_halves(float *scales, __m128i halves) {
  _mm256_storeu_ps(scales, _mm256_cvtph_ps(halves));
}

/* 16-bit words number `at`, `at + step`, ... of the 64 at `p`; those past the eighth do not matter. */
CK_AVX512_INLINE __m128i pick_words(const void *p, short at, short step) {
  const __m512i low = _mm512_loadu_si512(p);
  const __m512i high = _mm512_loadu_si512((const uint8_t *)p + 64);
  const __m128i index = _mm_add_epi16(
      _mm_set1_epi16(at), _mm_mullo_epi16(_mm_set1_epi16(step), _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7)));
  return _mm512_castsi512_si128(
      _mm512_permutex2var_epi16(low, _mm512_castsi128_si512(index), high));
}

/* Whole tiles have their eight scales picked out together: one by one they would take longer than the
 * weights. */
CK_AVX512 CK_LEVELS(avx512_levels_Q8_0) {
  const ck_block_Q8_0 *b = (const void *)blocks;
  const bool is_whole = count == CK_TILE_COLUMNS;
  if (is_whole) {
    const __m128i first = pick_words(b, 0, 17);
    const __m128i second = pick_words((const uint8_t *)b + 128, 4, 17);
    put_eight_halves(scales, _mm_unpacklo_epi64(first, second));
  }
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_loadu_si256((const __m256i *)(const void *)b->qs));
    if (!is_whole) *scales++ = _cvtsh_ss(b->d);
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_Q4_0) {
  const ck_block_Q4_0 *b = (const void *)blocks;
  const bool is_whole = count == CK_TILE_COLUMNS;
  if (is_whole) put_eight_halves(scales, pick_words(b, 0, 9));
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_sub_epi8(nibbles(b->qs), _mm256_set1_epi8(8)));
    if (!is_whole) *scales++ = _cvtsh_ss(b->d);
  }
}

CK_AVX512 CK_LEVELS(avx512_levels_IQ4_NL) {
  const ck_block_IQ4_NL *b = (const void *)blocks;
  const __m256i values = table16(ck_iq4_values);
  const bool is_whole = count == CK_TILE_COLUMNS;
  if (is_whole) put_eight_halves(scales, pick_words(b, 0, 9));
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    if (!is_whole) *scales++ = _cvtsh_ss(b->d);
  }
}

/* `ck_float_from_half_e8m0` of eight exponents, 17 bytes apart. */
CK_AVX512_INLINE void put_exponents(float *scales, const ck_block_MXFP4 *b) {
  const __m512i low = _mm512_loadu_si512(b);
  const __m512i high = _mm512_loadu_si512((const uint8_t *)b + 64);
  const __m512i index =
      _mm512_castsi128_si512(_mm_setr_epi8(0, 17, 34, 51, 68, 85, 102, 119, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i e = _mm256_cvtepu8_epi32(
      _mm512_castsi512_si128(_mm512_permutex2var_epi8(low, index, high)));
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
  const __mmask8 is_subnormal = _mm256_cmplt_epu32_mask(e, _mm256_set1_epi32(2));
  _mm256_storeu_ps(scales,
                   _mm256_castsi256_ps(_mm256_mask_blend_epi32(is_subnormal, normal, subnormal)));
}

CK_AVX512 CK_LEVELS(avx512_levels_MXFP4) {
  const ck_block_MXFP4 *b = (const void *)blocks;
  const __m256i values = table16(ck_fp4_values);
  const bool is_whole = count == CK_TILE_COLUMNS;
  if (is_whole) put_exponents(scales, b);
  for (; count >= 32; count -= 32, b++, levels += 32) {
    put32(levels, _mm256_shuffle_epi8(values, nibbles(b->qs)));
    if (!is_whole) *scales++ = ck_float_from_half_e8m0(b->e);
  }
}

#endif

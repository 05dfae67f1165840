/* IQ3_XXS with AVX-512, whose byte permutations look the book up in registers. The layout is that of
 * decode_iq.c. */
#include "iq3_book512.h"

#if defined(__x86_64__)

typedef ck_block_IQ3_XXS ck_block_IQ3_XXS_512;

/* Four indices' weights in a lane: of each two groups the first four, the next, and so on. */
CK_AVX512_INLINE void put_codes(uint8_t codes[CK_SUPER], const __m512i planes[4]) {
  const __m512i even01 = _mm512_unpacklo_epi8(planes[0], planes[1]);
  const __m512i even23 = _mm512_unpacklo_epi8(planes[2], planes[3]);
  const __m512i odd01 = _mm512_unpackhi_epi8(planes[0], planes[1]);
  const __m512i odd23 = _mm512_unpackhi_epi8(planes[2], planes[3]);
  const __m512i even[2] = {_mm512_unpacklo_epi16(even01, even23), _mm512_unpackhi_epi16(even01, even23)};
  const __m512i odd[2] = {_mm512_unpacklo_epi16(odd01, odd23), _mm512_unpackhi_epi16(odd01, odd23)};
  for (int i = 0; i < 2; i++) {
    _mm512_store_si512(codes + 128 * i, _mm512_unpacklo_epi32(even[i], odd[i]));
    _mm512_store_si512(codes + 128 * i + 64, _mm512_unpackhi_epi32(even[i], odd[i]));
  }
}

CK_AVX512_INLINE void IQ3_XXS_512_scales(const ck_block_IQ3_XXS *b, float *scales, float *minima,
                                         ck_block_note *note) {
  (void)minima;
  const __m512i packed = ck_iq3_packed(b);
  const __m256i words =
      _mm256_loadu_si256((const __m256i *)(const void *)b->scales_and_signs);
  const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(words, 28));
  _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_set1_ps(0.5f * _cvtsh_ss(b->d)),
                                         _mm256_add_ps(small, _mm256_set1_ps(0.5f))));
  __m512i planes[4];
  ck_iq3_planes(planes, b->qs, packed);
  put_codes(note->codes, planes);
}

CK_AVX512_INLINE __m256i IQ3_XXS_512_codes(const ck_block_IQ3_XXS *b, int g,
                                           const ck_block_note *note) {
  (void)b;
  const uint8_t *first = note->codes + 128 * (g % 2) + 16 * (g / 2);
  return ck_two_halves(first, first + 64);
}

CK_AVX512_INLINE __m256i as_it_is(__m256i codes) { return codes; }

CK_AVX512 CK_DEFINE_TILE(ck_avx512_tile_IQ3_XXS, IQ3_XXS_512, 256, 32, false, as_it_is,
                         ck_put_turned_bytes, 128)

#endif

/* AVX2 and AVX-512 kernels of the types with code books, and of IQ4_XS. The layouts are those of
 * decode_iq.c and decode_table.c. */
#include "levels_book.h"

#include "../internal/codebooks.h"

#if defined(__x86_64__)

/* Rows of the books as bytes. A look-up is one load; gathers are no faster (Zen 4). */
#define ROW4(VALUE, code)                                                       \
  (uint32_t)(VALUE((code) & 7)) | (uint32_t)(VALUE((code) >> 3 & 7)) << 8 |     \
      (uint32_t)(VALUE((code) >> 6 & 7)) << 16 | (uint32_t)(VALUE((code) >> 9 & 7)) << 24,
#define XXS3(code) ROW4(CK_IQ3_XXS_VALUE, code)
#define S3(code) ROW4(CK_IQ3_S_VALUE, code)
static const _Alignas(64) uint32_t iq3_xxs_rows[256 + 3] = {CK_IQ3_XXS_CODES(XXS3)};
static const _Alignas(64) uint32_t iq3_s_rows[512 + 3] = {CK_IQ3_S_CODES(S3)};

/* Two look-ups side by side; the book has twelve bytes behind its last row. */
CK_AVX2_INLINE __m128i two_rows(const uint32_t *book, size_t first, size_t second) {
  const __m128i a = _mm_cvtsi32_si128((int)book[first]);
  return _mm_unpacklo_epi32(a, _mm_loadu_si128((const __m128i *)(const void *)(book + second)));
}

CK_AVX2_INLINE __m256i eight_rows(const uint32_t *book, const size_t at[8]) {
  const __m128i low = _mm_unpacklo_epi64(two_rows(book, at[0], at[1]), two_rows(book, at[2], at[3]));
  const __m128i high = _mm_unpacklo_epi64(two_rows(book, at[4], at[5]), two_rows(book, at[6], at[7]));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

CK_AVX2_INLINE void IQ3_XXS_scales(const ck_block_IQ3_XXS *b, float *scales, float *minima,
                                   ck_block_note *note) {
  (void)minima;
  const __m256i packed = ck_load32(b->scales_and_signs);
  _mm256_store_si256((__m256i *)(void *)note->signs, ck_even_signs4(packed));
  const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
  const __m256 half = _mm256_set1_ps(0.5f);
  _mm256_storeu_ps(
      scales, _mm256_mul_ps(_mm256_mul_ps(ck_half8(b->d), _mm256_add_ps(half, small)), half));
}

CK_AVX2_INLINE __m256i IQ3_XXS_codes(const ck_block_IQ3_XXS *b, int g, const ck_block_note *note) {
  const uint64_t q = ck_load_u64(b->qs + 8 * g);
  const size_t at[8] = {q & 255,       q >> 8 & 255,  q >> 16 & 255, q >> 24 & 255,
                        q >> 32 & 255, q >> 40 & 255, q >> 48 & 255, q >> 56};
  const __m256i signs = _mm256_set1_epi32((int)note->signs[g]);
  return ck_negate_where(eight_rows(iq3_xxs_rows, at), ck_spread_bits(signs));
}

CK_DEFINE_AVX2_LEVELS(IQ3_XXS, 256, 32, false, CK_SIGNED) /* AVX-512: levels_iq3_512.c */

CK_AVX2_INLINE void IQ3_S_scales(const ck_block_IQ3_S *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const __m256i nibble = _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales)),
                                           _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  const __m256i small = _mm256_and_si256(nibble, _mm256_set1_epi32(15));
  const __m256i odd = _mm256_add_epi32(_mm256_add_epi32(small, small), _mm256_set1_epi32(1));
  _mm256_storeu_ps(scales, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(odd)));
}

CK_AVX2_INLINE __m256i IQ3_S_codes(const ck_block_IQ3_S *b, int g, const ck_block_note *note) {
  (void)note;
  const uint64_t q = ck_load_u64(b->qs + 8 * g);
  const size_t high = (size_t)b->qh[g] << 8;
  const size_t at[8] = {
      (q & 255) | (high & 256),           (q >> 8 & 255) | (high >> 1 & 256),
      (q >> 16 & 255) | (high >> 2 & 256), (q >> 24 & 255) | (high >> 3 & 256),
      (q >> 32 & 255) | (high >> 4 & 256), (q >> 40 & 255) | (high >> 5 & 256),
      (q >> 48 & 255) | (high >> 6 & 256), (q >> 56) | (high >> 7 & 256)};
  const uint32_t signs = ck_load_u32(b->signs + 4 * g);
  return ck_negate_where(eight_rows(iq3_s_rows, at), ck_spread_bits(_mm256_set1_epi32((int)signs)));
}

CK_DEFINE_LEVELS(IQ3_S, 256, 32, false, CK_SIGNED)

CK_AVX2_INLINE void IQ4_XS_scales(const ck_block_IQ4_XS *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const __m256i steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales_l)),
                                        _mm256_slli_epi32(steps, 2));
  const __m256i high =
      _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_h), _mm256_slli_epi32(steps, 1));
  const __m256i scale =
      _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                      _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
  const __m256i centred = _mm256_sub_epi32(scale, _mm256_set1_epi32(32));
  _mm256_storeu_ps(scales, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(centred)));
}

CK_AVX2_INLINE __m256i IQ4_XS_codes(const ck_block_IQ4_XS *b, int g, const ck_block_note *note) {
  (void)note;
  return _mm256_shuffle_epi8(ck_table16(ck_iq4_codes), ck_nibbles16(b->qs + 16 * g));
}

CK_DEFINE_AVX2_LEVELS(IQ4_XS, 256, 32, false, 128)

#endif

/* Levels with AVX2: the types with code books, and IQ4_XS. Each is the function of its name in
 * scalar/levels_iq.c. */
#include "levels256.h"

#include "../internal/codebooks.h"

#if defined(__x86_64__)

/* Rows of the books as bytes. A look-up is one load; gathers are no faster (Zen 4). */
#define ROW4(VALUE, code)                                                       \
  (uint32_t)(VALUE((code) & 7)) | (uint32_t)(VALUE((code) >> 3 & 7)) << 8 |     \
      (uint32_t)(VALUE((code) >> 6 & 7)) << 16 | (uint32_t)(VALUE((code) >> 9 & 7)) << 24,
#define XXS3(code) ROW4(CK_IQ3_XXS_VALUE, code)
#define S3(code) ROW4(CK_IQ3_S_VALUE, code)
static const _Alignas(64) uint32_t iq3_xxs_rows[256] = {CK_IQ3_XXS_CODES(XXS3)};
static const _Alignas(64) uint32_t iq3_s_rows[512] = {CK_IQ3_S_CODES(S3)};

CK_AVX2_INLINE __m256i eight_rows(const uint32_t a[8]) {
  return _mm256_setr_epi32((int)a[0], (int)a[1], (int)a[2], (int)a[3], (int)a[4], (int)a[5],
                           (int)a[6], (int)a[7]);
}

/* The signs of 32-bit groups whose lowest 28 bits are four 7-bit indices: one bit a weight. The
 * eighth sign of an index makes their number even. */
CK_AVX2_INLINE __m256i even_signs(__m256i packed) {
  const __m256i index = _mm256_or_si256(
      _mm256_or_si256(
          _mm256_and_si256(packed, _mm256_set1_epi32(0x7f)),
          _mm256_and_si256(_mm256_slli_epi32(packed, 1), _mm256_set1_epi32(0x7f00))),
      _mm256_or_si256(
          _mm256_and_si256(_mm256_slli_epi32(packed, 2), _mm256_set1_epi32(0x7f0000)),
          _mm256_and_si256(_mm256_slli_epi32(packed, 3), _mm256_set1_epi32(0x7f000000))));
  /* 0x80 for nibbles with an odd number of bits. */
  const __m256i odd = _mm256_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0,
                                       -128, -128, 0, 0, -128, -128, 0, -128, 0, 0, -128, -128, 0,
                                       0, -128, 0, -128, -128, 0);
  const __m256i parity = _mm256_xor_si256(_mm256_shuffle_epi8(odd, ck_low_nibbles32(index)),
                                          _mm256_shuffle_epi8(odd, ck_high_nibbles32(index)));
  return _mm256_or_si256(index, parity);
}

CK_AVX2 CK_LEVELS(avx2_levels_IQ3_XXS) {
  const ck_block_IQ3_XXS *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    const __m256i packed = ck_load32(b->scales_and_signs);
    const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
    const __m256 half = _mm256_set1_ps(0.5f);
    _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_mul_ps(ck_half8(b->d), _mm256_add_ps(half, small)),
                                           half));
    uint32_t signs[8];
    ck_put32((int8_t *)signs, even_signs(packed));
    for (int g = 0; g < 8; g++) {
      const uint64_t q = ck_load_u64(b->qs + 8 * g);
      const uint32_t rows[8] = {iq3_xxs_rows[q & 255],       iq3_xxs_rows[q >> 8 & 255],
                                iq3_xxs_rows[q >> 16 & 255], iq3_xxs_rows[q >> 24 & 255],
                                iq3_xxs_rows[q >> 32 & 255], iq3_xxs_rows[q >> 40 & 255],
                                iq3_xxs_rows[q >> 48 & 255], iq3_xxs_rows[q >> 56]};
      const __m256i is_negative = ck_spread_bits(_mm256_set1_epi32((int)signs[g]));
      ck_put32(levels + 32 * g, ck_negate_where(eight_rows(rows), is_negative));
    }
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_IQ3_S) {
  const ck_block_IQ3_S *b = (const void *)blocks;
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    const __m256i nibble = _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales)),
                                             _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    const __m256i small = _mm256_and_si256(nibble, _mm256_set1_epi32(15));
    const __m256i odd = _mm256_add_epi32(_mm256_add_epi32(small, small), _mm256_set1_epi32(1));
    _mm256_storeu_ps(scales, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(odd)));
    for (int g = 0; g < 8; g++) {
      const uint64_t q = ck_load_u64(b->qs + 8 * g);
      const uint32_t high = b->qh[g];
      uint32_t rows[8];
      for (int i = 0; i < 8; i++) rows[i] = iq3_s_rows[(q >> (8 * i) & 255) | (high >> i & 1) << 8];
      const __m256i is_negative =
          ck_spread_bits(_mm256_set1_epi32((int)ck_load_u32(b->signs + 4 * g)));
      ck_put32(levels + 32 * g, ck_negate_where(eight_rows(rows), is_negative));
    }
  }
}

CK_AVX2 CK_LEVELS(avx2_levels_IQ4_XS) {
  const ck_block_IQ4_XS *b = (const void *)blocks;
  const __m256i values = ck_table16(ck_iq4_values);
  const __m256i steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (; count >= CK_SUPER; count -= CK_SUPER, b++, levels += CK_SUPER, scales += 8) {
    const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales_l)),
                                          _mm256_slli_epi32(steps, 2));
    const __m256i high =
        _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_h), _mm256_slli_epi32(steps, 1));
    const __m256i scale =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                        _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
    _mm256_storeu_ps(
        scales, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(_mm256_sub_epi32(
                                                  scale, _mm256_set1_epi32(32)))));
    for (int pair = 0; pair < 4; pair++) {
      /* Groups 2 * pair and 2 * pair + 1, one a lane. */
      const __m256i q = ck_load32(b->qs + 32 * pair);
      const __m256i head = _mm256_shuffle_epi8(values, ck_low_nibbles32(q));
      const __m256i tail = _mm256_shuffle_epi8(values, ck_high_nibbles32(q));
      ck_put32(levels + 64 * pair, _mm256_permute2x128_si256(head, tail, 0x20));
      ck_put32(levels + 64 * pair + 32, _mm256_permute2x128_si256(head, tail, 0x31));
    }
  }
}

#endif

/* AVX2 and AVX-512 kernels of the K types. The layouts are those of decode_k.c. */
#include "define_levels.h"

#if defined(__x86_64__)

CK_AVX2_INLINE void Q2_K_scales(const ck_block_Q2_K *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  const uint64_t nibbles = 0x0f0f0f0f0f0f0f0f;
  for (int half = 0; half < 2; half++) {
    const uint64_t packed = ck_load_u64(b->scales + 8 * half);
    ck_put_scales8(scales + 8 * half, packed & nibbles, ck_half8(b->d));
    ck_put_scales8(minima + 8 * half, packed >> 4 & nibbles, ck_half8(b->dmin));
  }
}

CK_AVX2_INLINE __m256i Q2_K_codes(const ck_block_Q2_K *b, int g, const ck_block_note *note) {
  (void)note;
  return _mm256_and_si256(ck_shift_right(ck_load32(b->qs + g / 4 * 32), g % 4 * 2),
                          _mm256_set1_epi8(3));
}

CK_DEFINE_LEVELS(Q2_K, 256, 16, true, 0)

/* Sixteen 6-bit scales less 32: their upper bits are pairs in the last four bytes, the lowest pairs
 * those of the first four scales, and so on. */
CK_AVX2_INLINE void Q3_K_scales(const ck_block_Q3_K *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const uint64_t nibbles = 0x0f0f0f0f0f0f0f0f, low = ck_load_u64(b->scales);
  const uint64_t high = ck_load_u32(b->scales + 8);
  const uint64_t upper[2] = {(high << 4 & 0x30303030) | (high << 34 & 0x3030303000000000),
                             (high & 0x30303030) | (high << 30 & 0x3030303000000000)};
  const uint64_t lower[2] = {low & nibbles, low >> 4 & nibbles};
  for (int i = 0; i < 2; i++) {
    const __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(lower[i] | upper[i])));
    const __m256i centred = _mm256_sub_epi32(v, _mm256_set1_epi32(32));
    _mm256_storeu_ps(scales + 8 * i, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(centred)));
  }
}

CK_AVX2_INLINE __m256i Q3_K_codes(const ck_block_Q3_K *b, int g, const ck_block_note *note) {
  (void)note;
  const __m256i low = _mm256_and_si256(
      ck_shift_right(ck_load32(b->qs + g / 4 * 32), g % 4 * 2), _mm256_set1_epi8(3));
  const __m256i bits = ck_shift_right(ck_load32(b->hmask), g);
  const __m256i high = _mm256_and_si256(_mm256_slli_epi16(bits, 2), _mm256_set1_epi8(4));
  return _mm256_or_si256(low, high);
}

CK_DEFINE_LEVELS(Q3_K, 256, 16, false, 4)

CK_AVX2_INLINE void put_k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], float *scales,
                                 float *minima) {
  uint64_t scale_bytes, minimum_bytes;
  ck_unpack_k_scales(packed, &scale_bytes, &minimum_bytes);
  ck_put_scales8(scales, scale_bytes, ck_half8(d));
  ck_put_scales8(minima, minimum_bytes, ck_half8(dmin));
}

CK_AVX2_INLINE void Q4_K_scales(const ck_block_Q4_K *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  put_k_scales(b->d, b->dmin, b->scales, scales, minima);
}

CK_AVX2_INLINE __m256i Q4_K_codes(const ck_block_Q4_K *b, int g, const ck_block_note *note) {
  (void)note;
  return ck_nibbles32(b->qs + g / 2 * 32, g % 2);
}

CK_DEFINE_AVX2_LEVELS(Q4_K, 256, 32, true, 0)

CK_AVX2_INLINE void Q5_K_scales(const ck_block_Q5_K *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  put_k_scales(b->d, b->dmin, b->scales, scales, minima);
}

CK_AVX2_INLINE __m256i Q5_K_codes(const ck_block_Q5_K *b, int g, const ck_block_note *note) {
  (void)note;
  const __m256i bit = _mm256_and_si256(ck_shift_right(ck_load32(b->qh), g), _mm256_set1_epi8(1));
  return _mm256_or_si256(ck_nibbles32(b->qs + g / 2 * 32, g % 2), _mm256_slli_epi16(bit, 4));
}

CK_DEFINE_AVX2_LEVELS(Q5_K, 256, 32, true, 0)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_Q5_K, Q5_K, 256, 32, true, 0)

CK_AVX2_INLINE void Q6_K_scales(const ck_block_Q6_K *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const __m128i small = _mm_loadu_si128((const __m128i *)(const void *)b->scales);
  const __m256 d = ck_half8(b->d);
  const __m256i low = _mm256_cvtepi8_epi32(small);
  const __m256i high = _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(small, small));
  _mm256_storeu_ps(scales, _mm256_mul_ps(d, _mm256_cvtepi32_ps(low)));
  _mm256_storeu_ps(scales + 8, _mm256_mul_ps(d, _mm256_cvtepi32_ps(high)));
}

CK_AVX2_INLINE __m256i Q6_K_codes(const ck_block_Q6_K *b, int g, const ck_block_note *note) {
  (void)note;
  const int half = g / 4, quarter = g % 4;
  const __m256i low = ck_nibbles32(b->ql + 64 * half + quarter % 2 * 32, quarter / 2);
  const __m256i bits = _mm256_and_si256(
      ck_shift_right(ck_load32(b->qh + 32 * half), 2 * quarter), _mm256_set1_epi8(3));
  return _mm256_or_si256(low, _mm256_slli_epi16(bits, 4));
}

CK_DEFINE_AVX2_LEVELS(Q6_K, 256, 16, false, 32)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_Q6_K, Q6_K, 256, 16, false, 32)

#endif

/* AVX2 and AVX-512 kernels of the types with 32 or 64 weights a block. The layouts are those of
 * decode_blocks32.c and decode_table.c. */
#include "define_levels.h"

#if defined(__x86_64__)

CK_AVX2_INLINE void Q8_0_scales(const ck_block_Q8_0 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  *scales = ck_half(b->d);
}

CK_AVX2_INLINE __m256i Q8_0_codes(const ck_block_Q8_0 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return _mm256_xor_si256(ck_load32(b->qs), _mm256_set1_epi8((char)0x80));
}

CK_DEFINE_LEVELS(Q8_0, 32, 32, false, 128)

CK_AVX2_INLINE void Q4_0_scales(const ck_block_Q4_0 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  *scales = ck_half(b->d);
}

CK_AVX2_INLINE __m256i Q4_0_codes(const ck_block_Q4_0 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return ck_nibbles16(b->qs);
}

CK_DEFINE_PACKED_LEVELS(Q4_0, 32, 32, false, 8)

CK_AVX2_INLINE void Q4_1_scales(const ck_block_Q4_1 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  *scales = ck_half(b->d);
  *minima = -ck_half(b->m);
}

CK_AVX2_INLINE __m256i Q4_1_codes(const ck_block_Q4_1 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return ck_nibbles16(b->qs);
}

CK_DEFINE_LEVELS(Q4_1, 32, 32, true, 0)

/* 16 in each byte whose bit of the 32 is set. */
CK_AVX2_INLINE __m256i fifth_bits(const uint8_t high[4]) {
  return _mm256_and_si256(ck_spread_bits(_mm256_set1_epi32((int)ck_load_u32(high))),
                          _mm256_set1_epi8(16));
}

CK_AVX2_INLINE void Q5_0_scales(const ck_block_Q5_0 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  *scales = ck_half(b->d);
}

CK_AVX2_INLINE __m256i Q5_0_codes(const ck_block_Q5_0 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return _mm256_or_si256(ck_nibbles16(b->qs), fifth_bits(b->qh));
}

CK_DEFINE_LEVELS(Q5_0, 32, 32, false, 16)

CK_AVX2_INLINE void Q5_1_scales(const ck_block_Q5_1 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  *scales = ck_half(b->d);
  *minima = -ck_half(b->m);
}

CK_AVX2_INLINE __m256i Q5_1_codes(const ck_block_Q5_1 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return _mm256_or_si256(ck_nibbles16(b->qs), fifth_bits(b->qh));
}

CK_DEFINE_LEVELS(Q5_1, 32, 32, true, 0)

CK_AVX2_INLINE void IQ4_NL_scales(const ck_block_IQ4_NL *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  *scales = ck_half(b->d);
}

CK_AVX2_INLINE __m256i IQ4_NL_codes(const ck_block_IQ4_NL *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return _mm256_shuffle_epi8(ck_table16(ck_iq4_codes), ck_nibbles16(b->qs));
}

CK_DEFINE_PACKED_LEVELS(IQ4_NL, 32, 32, false, 128)

CK_AVX2_INLINE void MXFP4_scales(const ck_block_MXFP4 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  *scales = ck_float_from_half_e8m0(b->e);
}

CK_AVX2_INLINE __m256i MXFP4_codes(const ck_block_MXFP4 *b, int g, const ck_block_note *note) {
  (void)note;
  (void)g;
  return _mm256_shuffle_epi8(ck_table16(ck_fp4_codes), ck_nibbles16(b->qs));
}

CK_DEFINE_PACKED_LEVELS(MXFP4, 32, 32, false, 12)

CK_AVX2_INLINE void NVFP4_scales(const ck_block_NVFP4 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const __m128i bytes = _mm_cvtsi32_si128((int)ck_load_u32(b->d));
  const __m128i is_nan = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)); /* 0 in ggml */
  const __m128i values = _mm_andnot_si128(is_nan, _mm_and_si128(bytes, _mm_set1_epi8(0x7f)));
  /* Exponent and mantissa go where a float16 has them, whose bias is 8 more: 2^7 and not 2^8 gives half of the
   * value. Subnormals are those of float16. */
  const __m128i halves = _mm_slli_epi16(_mm_cvtepu8_epi16(values), 7);
  _mm_storeu_ps(scales, _mm_mul_ps(_mm_cvtph_ps(halves), _mm_set1_ps(0x1p7f)));
}

/* Within each 16, low nibbles are the first eight. */
CK_AVX2_INLINE __m256i NVFP4_codes(const ck_block_NVFP4 *b, int g, const ck_block_note *note) {
  (void)note;
  const __m256i codes = _mm256_permute4x64_epi64(ck_nibbles16(b->qs + 16 * g), 0xd8);
  return _mm256_shuffle_epi8(ck_table16(ck_fp4_codes), codes);
}

CK_DEFINE_LEVELS(NVFP4, 64, 16, false, 12)

#endif

/* AVX2 rows of the types with blocks of 32: one scale, 4-, 5- or 8-bit codes. */
#include "avx2.h"

#if defined(__x86_64__)

#include "../internal/tables.h"

/* The scale of a block, in all lanes. */
typedef __m256 Q8_0_scales, Q4_0_scales, Q5_0_scales, IQ4_NL_scales, MXFP4_scales;

CK_AVX2_INLINE __m256 Q8_0_prepare(const ck_block_Q8_0 *b) { return ck_half8(b->d); }

CK_AVX2_INLINE void Q8_0_group(const ck_block_Q8_0 *b, const __m256 *scale, int group, __m256 w[4]) {
  (void)group;
  for (int i = 0; i < 4; i++) w[i] = _mm256_mul_ps(ck_widen_i8(b->qs + 8 * i), *scale);
}

CK_DEFINE_AVX2_ROW(Q8_0, 32)

CK_AVX2_INLINE __m256 Q4_0_prepare(const ck_block_Q4_0 *b) { return ck_half8(b->d); }

CK_AVX2_INLINE void Q4_0_group(const ck_block_Q4_0 *b, const __m256 *scale, int group, __m256 w[4]) {
  (void)group;
  const __m128i eight = _mm_set1_epi8(8);
  ck_scale_i8(_mm_sub_epi8(ck_low_nibbles(b->qs), eight), *scale, w);
  ck_scale_i8(_mm_sub_epi8(ck_high_nibbles(b->qs), eight), *scale, w + 2);
}

CK_DEFINE_AVX2_ROW(Q4_0, 32)

CK_AVX2_INLINE __m256 Q5_0_prepare(const ck_block_Q5_0 *b) { return ck_half8(b->d); }

CK_AVX2_INLINE void Q5_0_group(const ck_block_Q5_0 *b, const __m256 *scale, int group, __m256 w[4]) {
  (void)group;
  /* Bit i of the high bits to byte i: copy its byte there, keep its bit. */
  const __m256i copies = _mm256_shuffle_epi8(
      _mm256_set1_epi32((int)ck_load_u32(b->qh)),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
  const __m256i is_clear =
      _mm256_cmpeq_epi8(_mm256_and_si256(copies, bits), _mm256_setzero_si256());
  /* q - 16 is the nibble when the fifth bit is set, and the nibble with 0xf0 above it when not. */
  const __m256i high = _mm256_and_si256(is_clear, _mm256_set1_epi8((char)0xf0));
  ck_scale_i8(_mm_or_si128(ck_low_nibbles(b->qs), _mm256_castsi256_si128(high)), *scale, w);
  ck_scale_i8(_mm_or_si128(ck_high_nibbles(b->qs), _mm256_extracti128_si256(high, 1)), *scale,
              w + 2);
}

CK_DEFINE_AVX2_ROW(Q5_0, 32)

/* scale * values[code] for the 32 codes of 16 bytes. */
CK_AVX2_INLINE void look_up(const int8_t values[16], const uint8_t *qs, __m256 scale, __m256 w[4]) {
  const __m128i table = _mm_loadu_si128((const void *)values);
  ck_scale_i8(_mm_shuffle_epi8(table, ck_low_nibbles(qs)), scale, w);
  ck_scale_i8(_mm_shuffle_epi8(table, ck_high_nibbles(qs)), scale, w + 2);
}

CK_AVX2_INLINE __m256 IQ4_NL_prepare(const ck_block_IQ4_NL *b) { return ck_half8(b->d); }

CK_AVX2_INLINE void IQ4_NL_group(const ck_block_IQ4_NL *b, const __m256 *scale, int group,
                                 __m256 w[4]) {
  (void)group;
  look_up(ck_iq4_values, b->qs, *scale, w);
}

CK_DEFINE_AVX2_ROW(IQ4_NL, 32)

CK_AVX2_INLINE __m256 MXFP4_prepare(const ck_block_MXFP4 *b) {
  return _mm256_set1_ps(ck_float_from_half_e8m0(b->e));
}

CK_AVX2_INLINE void MXFP4_group(const ck_block_MXFP4 *b, const __m256 *scale, int group,
                                __m256 w[4]) {
  (void)group;
  look_up(ck_fp4_values, b->qs, *scale, w);
}

CK_DEFINE_AVX2_ROW(MXFP4, 32)

/* IQ4_XS: eight groups as in IQ4_NL with 6-bit scales. */
typedef struct {
  float group[8];
} IQ4_XS_scales;

CK_AVX2_INLINE IQ4_XS_scales IQ4_XS_prepare(const ck_block_IQ4_XS *b) {
  const __m256i by_group = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256i low = _mm256_and_si256(
      _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales_l)), by_group),
      _mm256_set1_epi32(15));
  /* Two bits a group: shifted so that they land on bits 4 and 5. */
  const __m256i high = _mm256_and_si256(
      _mm256_srlv_epi32(_mm256_set1_epi32((int)b->scales_h << 4), _mm256_srli_epi32(by_group, 1)),
      _mm256_set1_epi32(0x30));
  const __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
  IQ4_XS_scales s;
  _mm256_storeu_ps(s.group, _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(scale)));
  return s;
}

CK_AVX2_INLINE void IQ4_XS_group(const ck_block_IQ4_XS *b, const IQ4_XS_scales *s, int group,
                                 __m256 w[4]) {
  look_up(ck_iq4_values, b->qs + 16 * group, _mm256_set1_ps(s->group[group]), w);
}

CK_DEFINE_AVX2_ROW(IQ4_XS, 256)

#endif

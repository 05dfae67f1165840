/* AVX2 rows of Q4_K, Q5_K and Q6_K. */
#include "avx2.h"

#if defined(__x86_64__)

/* Scale and minimum of each group of 32. */
typedef struct {
  float scale[8], minimum[8];
} Q4_K_scales, Q5_K_scales;

CK_AVX2_INLINE Q4_K_scales k_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12]) {
  uint64_t scales, minima;
  ck_unpack_k_scales(packed, &scales, &minima);
  Q4_K_scales s;
  const __m256 scale =
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)scales)));
  const __m256 minimum =
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)minima)));
  _mm256_storeu_ps(s.scale, _mm256_mul_ps(ck_half8(d), scale));
  _mm256_storeu_ps(s.minimum, _mm256_mul_ps(ck_half8(dmin), minimum));
  return s;
}

/* Eight bytes of 4-bit codes as 32-bit lanes: the low nibbles (even groups) or the high ones. */
CK_AVX2_INLINE __m256i nibbles8(const uint8_t *qs, int group) {
  const __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)qs));
  return group % 2 ? _mm256_srli_epi32(bytes, 4) : _mm256_and_si256(bytes, _mm256_set1_epi32(15));
}

CK_AVX2_INLINE Q4_K_scales Q4_K_prepare(const ck_block_Q4_K *b) {
  return k_scales(b->d, b->dmin, b->scales);
}

/* scale * q - minimum is fused here and rounded twice in the definition: an ulp of the product. */
CK_AVX2_INLINE void Q4_K_group(const ck_block_Q4_K *b, const Q4_K_scales *s, int group,
                               __m256 w[4]) {
  const __m256 scale = _mm256_set1_ps(s->scale[group]);
  const __m256 minimum = _mm256_set1_ps(s->minimum[group]);
  const uint8_t *qs = b->qs + group / 2 * 32;
  for (int i = 0; i < 4; i++) {
    const __m256 q = _mm256_cvtepi32_ps(nibbles8(qs + 8 * i, group));
    w[i] = _mm256_fmsub_ps(scale, q, minimum);
  }
}

CK_DEFINE_AVX2_ROW(Q4_K, 256)

CK_AVX2_INLINE Q5_K_scales Q5_K_prepare(const ck_block_Q5_K *b) {
  return k_scales(b->d, b->dmin, b->scales);
}

CK_AVX2_INLINE void Q5_K_group(const ck_block_Q5_K *b, const Q5_K_scales *s, int group,
                               __m256 w[4]) {
  const __m256 scale = _mm256_set1_ps(s->scale[group]);
  const __m256 minimum = _mm256_set1_ps(s->minimum[group]);
  const uint8_t *qs = b->qs + group / 2 * 32;
  for (int i = 0; i < 4; i++) {
    const __m256i high = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(b->qh + 8 * i)));
    const __m256i at4 = group < 4 ? _mm256_slli_epi32(high, 4 - group)
                                  : _mm256_srli_epi32(high, group - 4);
    const __m256i q = _mm256_or_si256(nibbles8(qs + 8 * i, group),
                                      _mm256_and_si256(at4, _mm256_set1_epi32(16)));
    w[i] = _mm256_fmsub_ps(scale, _mm256_cvtepi32_ps(q), minimum);
  }
}

CK_DEFINE_AVX2_ROW(Q5_K, 256)

/* One scale for 16 elements. */
typedef struct {
  float scale[16];
} Q6_K_scales;

CK_AVX2_INLINE Q6_K_scales Q6_K_prepare(const ck_block_Q6_K *b) {
  const __m256 d = ck_half8(b->d);
  Q6_K_scales s;
  _mm256_storeu_ps(s.scale, _mm256_mul_ps(d, ck_widen_i8(b->scales)));
  _mm256_storeu_ps(s.scale + 8, _mm256_mul_ps(d, ck_widen_i8(b->scales + 8)));
  return s;
}

CK_AVX2_INLINE void Q6_K_group(const ck_block_Q6_K *b, const Q6_K_scales *s, int group,
                               __m256 w[4]) {
  const int half = group / 4, quarter = group % 4;
  const __m256i ql = _mm256_loadu_si256((const void *)(b->ql + 64 * half + quarter % 2 * 32));
  const __m256i qh = _mm256_loadu_si256((const void *)(b->qh + 32 * half));
  const __m256i low =
      _mm256_and_si256(quarter < 2 ? ql : _mm256_srli_epi16(ql, 4), _mm256_set1_epi8(15));
  const __m256i at4 = quarter < 2 ? _mm256_slli_epi16(qh, 4 - 2 * quarter)
                                  : _mm256_srli_epi16(qh, 2 * quarter - 4);
  const __m256i high = _mm256_and_si256(at4, _mm256_set1_epi8(0x30));
  const __m256i q = _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
  ck_scale_i8(_mm256_castsi256_si128(q), _mm256_set1_ps(s->scale[2 * group]), w);
  ck_scale_i8(_mm256_extracti128_si256(q, 1), _mm256_set1_ps(s->scale[2 * group + 1]), w + 2);
}

CK_DEFINE_AVX2_ROW(Q6_K, 256)

#endif

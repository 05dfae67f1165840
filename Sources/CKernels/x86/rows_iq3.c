/* AVX2 rows of IQ3_XXS and IQ3_S. The code books are kept as floats, so that a look-up is a load
 * and nothing has to be widened or converted: 4 KiB and 8 KiB, which stay in the first cache. */
#include "avx2.h"

#if defined(__x86_64__)

#include "../internal/codebooks.h"

#define XXS(code) {CK_IQ3_XXS_VALUE((code) & 7), CK_IQ3_XXS_VALUE((code) >> 3 & 7), \
                   CK_IQ3_XXS_VALUE((code) >> 6 & 7), CK_IQ3_XXS_VALUE((code) >> 9)},
#define S(code) {CK_IQ3_S_VALUE((code) & 7), CK_IQ3_S_VALUE((code) >> 3 & 7), \
                 CK_IQ3_S_VALUE((code) >> 6 & 7), CK_IQ3_S_VALUE((code) >> 9)},

static const _Alignas(64) float xxs_book[256][4] = {CK_IQ3_XXS_CODES(XXS)};
static const _Alignas(64) float s_book[512][4] = {CK_IQ3_S_CODES(S)};

/* Sign bits of the eight floats of every 7-bit sign index, 4 KiB. */
#define PARITY(i) (((i) ^ (i) >> 1 ^ (i) >> 2 ^ (i) >> 3 ^ (i) >> 4 ^ (i) >> 5 ^ (i) >> 6) & 1)
#define SIGN(bits, j) ((uint32_t)((bits) >> (j) & 1) << 31)
#define SIGNS(i) {SIGN(i, 0), SIGN(i, 1), SIGN(i, 2), SIGN(i, 3), \
                  SIGN(i, 4), SIGN(i, 5), SIGN(i, 6), SIGN(PARITY(i), 0)},
#define SIGNS4(i) SIGNS(i) SIGNS((i) + 1) SIGNS((i) + 2) SIGNS((i) + 3)
#define SIGNS16(i) SIGNS4(i) SIGNS4((i) + 4) SIGNS4((i) + 8) SIGNS4((i) + 12)
#define SIGNS64(i) SIGNS16(i) SIGNS16((i) + 16) SIGNS16((i) + 32) SIGNS16((i) + 48)

static const _Alignas(64) uint32_t even_signs[128][8] = {SIGNS64(0) SIGNS64(64)};

/* Two rows of a book side by side. */
CK_AVX2_INLINE __m256 pair(const float first[4], const float second[4]) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(first)), _mm_load_ps(second), 1);
}

typedef struct {
  float group[8];
} IQ3_XXS_scales, IQ3_S_scales;

CK_AVX2_INLINE IQ3_XXS_scales IQ3_XXS_prepare(const ck_block_IQ3_XXS *b) {
  const __m256i packed = _mm256_loadu_si256((const void *)b->scales_and_signs);
  const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
  const __m256 d = ck_half8(b->d);
  IQ3_XXS_scales s;
  _mm256_storeu_ps(
      s.group, _mm256_mul_ps(_mm256_mul_ps(d, _mm256_add_ps(_mm256_set1_ps(0.5f), small)),
                             _mm256_set1_ps(0.5f)));
  return s;
}

CK_AVX2_INLINE void IQ3_XXS_group(const ck_block_IQ3_XXS *b, const IQ3_XXS_scales *s, int group,
                                  __m256 w[4]) {
  const __m256 scale = _mm256_set1_ps(s->group[group]);
  const uint32_t packed = ck_load_u32(b->scales_and_signs + 4 * group);
  /* One load for the eight indices: loads are what bounds this loop. */
  const uint64_t qs = ck_load_u64(b->qs + 8 * group);
  for (int i = 0; i < 4; i++) {
    const __m256 values = pair(xxs_book[qs >> (16 * i) & 255], xxs_book[qs >> (16 * i + 8) & 255]);
    const __m256 signs = _mm256_load_ps((const void *)even_signs[packed >> (7 * i) & 127]);
    w[i] = _mm256_mul_ps(scale, _mm256_xor_ps(values, signs));
  }
}

CK_DEFINE_AVX2_ROW(IQ3_XXS, 256)

CK_AVX2_INLINE IQ3_S_scales IQ3_S_prepare(const ck_block_IQ3_S *b) {
  const __m256i small = _mm256_and_si256(
      _mm256_srlv_epi32(_mm256_set1_epi32((int)ck_load_u32(b->scales)),
                        _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28)),
      _mm256_set1_epi32(15));
  const __m256i odd = _mm256_add_epi32(_mm256_add_epi32(small, small), _mm256_set1_epi32(1));
  IQ3_S_scales s;
  _mm256_storeu_ps(s.group,
                   _mm256_mul_ps(ck_half8(b->d), _mm256_cvtepi32_ps(odd)));
  return s;
}

CK_AVX2_INLINE void IQ3_S_group(const ck_block_IQ3_S *b, const IQ3_S_scales *s, int group,
                                __m256 w[4]) {
  const __m256 scale = _mm256_set1_ps(s->group[group]);
  const __m256i signs = _mm256_set1_epi32((int)ck_load_u32(b->signs + 4 * group));
  const __m256i lanes = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
  const uint8_t *qs = b->qs + 8 * group;
  const uint32_t high = b->qh[group];
  for (int i = 0; i < 4; i++) {
    const __m256 values = pair(s_book[qs[2 * i] | (high >> (2 * i) & 1) << 8],
                               s_book[qs[2 * i + 1] | (high >> (2 * i + 1) & 1) << 8]);
    /* Sign bit 8 * i + lane to bit 31 of that lane. */
    const __m256i moved = _mm256_sllv_epi32(signs, _mm256_sub_epi32(lanes, _mm256_set1_epi32(8 * i)));
    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(moved), _mm256_set1_ps(-0.0f));
    w[i] = _mm256_mul_ps(scale, _mm256_xor_ps(values, sign));
  }
}

CK_DEFINE_AVX2_ROW(IQ3_S, 256)

#endif

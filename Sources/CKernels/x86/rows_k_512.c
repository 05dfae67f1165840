/* One token by rows of Q4_K and Q5_K with AVX-512. The layouts are those of decode_k.c. */
#include "rows_block512.h"

#if defined(__x86_64__)

/* Groups 0 and 2, 1 and 3, 4 and 6, 5 and 7: what the low and the high nibbles of 64 bytes are. */
CK_AVX512_INLINE void load_pairs(__m512i to[4], const int8_t *values) {
  static const int firsts[4] = {0, 32, 128, 160};
  for (int i = 0; i < 4; i++) {
    const int8_t *first = values + firsts[i];
    to[i] = _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)first)),
        _mm256_loadu_si256((const __m256i *)(const void *)(first + 64)), 1);
  }
}

/* Scales and minima of eight rows, `heads` their blocks' first 16 bytes (ck_unpack_k_scales). */
CK_AVX512_INLINE void put_scales(columns256 *c, const uint8_t *const heads[CK_HALF_ROWS]) {
  __m256i a[4];
  for (int i = 0; i < 4; i++) a[i] = ck_two_halves(heads[i], heads[i + 4]);
  const __m256i low01 = _mm256_unpacklo_epi32(a[0], a[1]), low23 = _mm256_unpacklo_epi32(a[2], a[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(a[0], a[1]);
  const __m256i high23 = _mm256_unpackhi_epi32(a[2], a[3]);
  const __m256i halves = _mm256_unpacklo_epi64(low01, low23);
  const __m256i first = _mm256_unpackhi_epi64(low01, low23);
  const __m256i second = _mm256_unpacklo_epi64(high01, high23);
  const __m256i third = _mm256_unpackhi_epi64(high01, high23);
  const __m256 d = _mm256_cvtph_ps(_mm256_cvtepi32_epi16(halves));
  const __m256 dmin = _mm256_cvtph_ps(_mm256_cvtepi32_epi16(_mm256_srli_epi32(halves, 16)));
  const __m256i six = _mm256_set1_epi32(0x3f3f3f3f), four = _mm256_set1_epi32(0x0f0f0f0f);
  const __m256i two = _mm256_set1_epi32(0x30303030), byte = _mm256_set1_epi32(255);
  const __m256i scales[2] = {
      _mm256_and_si256(first, six),
      _mm256_or_si256(_mm256_and_si256(third, four),
                      _mm256_and_si256(_mm256_srli_epi32(first, 2), two))};
  const __m256i minima[2] = {
      _mm256_and_si256(second, six),
      _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(third, 4), four),
                      _mm256_and_si256(_mm256_srli_epi32(second, 2), two))};
  for (int g = 0; g < GROUPS; g++) {
    const __m256i scale = _mm256_srli_epi32(scales[g / 4], 8 * (g % 4));
    const __m256i minimum = _mm256_srli_epi32(minima[g / 4], 8 * (g % 4));
    c->scales[g] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_and_si256(scale, byte)));
    c->minima[g] = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_and_si256(minimum, byte)));
  }
}

/* Codes of high nibbles stay where they are, sixteen times what they stand for. */
CK_AVX512_INLINE void Q4_K_columns(const ck_block_Q4_K *const b[CK_HALF_ROWS],
                                   const activations256 *x, columns256 *c, const bool is_wide) {
  const __m512i low = _mm512_set1_epi8(0x0f), high = _mm512_set1_epi8((char)0xf0);
  put_scales(c, (const uint8_t *const *)(const void *)b);
  for (int half = 0; half < 2; half++) {
    __m512i even[CK_HALF_ROWS], odd[CK_HALF_ROWS];
    for (int r = 0; r < CK_HALF_ROWS; r++) {
      const __m512i q = load64(b[r]->qs + 64 * half);
      even[r] = multiply_one(_mm512_and_si512(q, low), x, 2 * half, is_wide);
      odd[r] = multiply_one(_mm512_and_si512(q, high), x, 2 * half + 1, is_wide);
    }
    __m256i *whole = c->whole + 4 * half;
    put_halves(&whole[0], &whole[2], even);
    put_halves(&whole[1], &whole[3], odd);
    whole[1] = _mm256_srai_epi32(whole[1], 4);
    whole[3] = _mm256_srai_epi32(whole[3], 4);
  }
}

CK_AVX512_INLINE void Q5_K_columns(const ck_block_Q5_K *const b[CK_HALF_ROWS],
                                   const activations256 *x, columns256 *c, const bool is_wide) {
  const __m512i low = _mm512_set1_epi8(0x0f), sixteen = _mm512_set1_epi8(16);
  put_scales(c, (const uint8_t *const *)(const void *)b);
  for (int half = 0; half < 2; half++) {
    /* The fifth bit of group g is bit g of a byte. */
    const __m512i even_bit = _mm512_inserti64x4(_mm512_set1_epi8((char)(1 << 4 * half)),
                                                _mm256_set1_epi8((char)(4 << 4 * half)), 1);
    const __m512i odd_bit = _mm512_add_epi8(even_bit, even_bit);
    __m512i even[CK_HALF_ROWS], odd[CK_HALF_ROWS];
    for (int r = 0; r < CK_HALF_ROWS; r++) {
      const __m512i q = load64(b[r]->qs + 64 * half);
      const __m512i fifth = _mm512_broadcast_i64x4(
          _mm256_loadu_si256((const __m256i *)(const void *)b[r]->qh));
      const __m512i e = _mm512_and_si512(q, low);
      const __m512i o = _mm512_and_si512(_mm512_srli_epi16(q, 4), low);
      even[r] = multiply_one(
          _mm512_or_si512(e, _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(fifth, even_bit), sixteen)), x,
          2 * half, is_wide);
      odd[r] = multiply_one(
          _mm512_or_si512(o, _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(fifth, odd_bit), sixteen)), x,
          2 * half + 1, is_wide);
    }
    __m256i *whole = c->whole + 4 * half;
    put_halves(&whole[0], &whole[2], even);
    put_halves(&whole[1], &whole[3], odd);
  }
}

CK_DEFINE_BLOCK_ROWS(ck_avx512_rows_Q4_K, ck_avx512_any_rows_Q4_K, Q4_K, load_pairs, 256, true, 0, true)
CK_DEFINE_BLOCK_ROWS(ck_avx512_narrow_rows_Q4_K, ck_avx512_any_narrow_rows_Q4_K, Q4_K, load_pairs, 256,
                     true, 0, false)
CK_DEFINE_BLOCK_ROWS(ck_avx512_rows_Q5_K, ck_avx512_any_rows_Q5_K, Q5_K, load_pairs, 256, true, 0, true)
CK_DEFINE_BLOCK_ROWS(ck_avx512_narrow_rows_Q5_K, ck_avx512_any_narrow_rows_Q5_K, Q5_K, load_pairs, 256,
                     true, 0, false)

#endif

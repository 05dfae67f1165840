/* One token by rows of the types with 16 bytes for 32 weights of 4 bits, IQ4_XS, IQ4_NL, MXFP4 and Q4_0, with
 * AVX-512. The layouts are those of decode_table.c and decode_blocks32.c. */
#include "rows_block512.h"

#if defined(__x86_64__)

/* Of four groups the first sixteen columns, then the last sixteen: what low and high nibbles are. */
CK_AVX512_INLINE void load_quarters(__m512i to[4], const int8_t *values) {
  for (int half = 0; half < 2; half++) {
    const __m512i a = load64(values + 128 * half), b = load64(values + 128 * half + 64);
    to[2 * half] = _mm512_shuffle_i32x4(a, b, 0x88);
    to[2 * half + 1] = _mm512_shuffle_i32x4(a, b, 0xdd);
  }
}

CK_AVX512_INLINE __m512i low_nibbles(__m512i q) { return _mm512_and_si512(q, _mm512_set1_epi8(15)); }

CK_AVX512_INLINE __m512i high_nibbles(__m512i q) { return low_nibbles(_mm512_srli_epi16(q, 4)); }

CK_AVX512_INLINE __m512i table(const uint8_t codes[16]) {
  return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)codes));
}

/* Products of 128 columns from the nibbles `q` of four groups; `values` has what they stand for, 16 nibbles
 * themselves need no table. */
CK_AVX512_INLINE __m512i multiply_nibbles(__m512i q, __m512i values, const bool has_table,
                                          const activations256 *x, int half, const bool is_wide) {
  __m512i low = low_nibbles(q), high = high_nibbles(q);
  if (has_table) {
    low = _mm512_shuffle_epi8(values, low);
    high = _mm512_shuffle_epi8(values, high);
  }
  return multiply_two(low, high, x, 2 * half, is_wide);
}

CK_AVX512_INLINE void IQ4_XS_columns(const ck_block_IQ4_XS *const b[CK_HALF_ROWS],
                                     const activations256 *x, columns256 *c, const bool is_wide) {
  /* A block's first eight bytes: the half, eight times 2 high bits, eight times 4 low ones. */
  uint64_t heads[CK_HALF_ROWS];
  for (int r = 0; r < CK_HALF_ROWS; r++) heads[r] = ck_load_u64(b[r]);
  const __m512i all = _mm512_loadu_si512(heads);
  const __m256i first = _mm512_cvtepi64_epi32(all);
  const __m256i lows = _mm512_cvtepi64_epi32(_mm512_srli_epi64(all, 32));
  const __m256i highs = _mm256_srli_epi32(first, 16);
  const __m256 d = _mm256_cvtph_ps(_mm256_cvtepi32_epi16(first));
  for (int g = 0; g < GROUPS; g++) {
    const __m256i low = _mm256_and_si256(_mm256_srli_epi32(lows, 4 * g), _mm256_set1_epi32(15));
    const __m256i high = _mm256_and_si256(
        g < 2 ? _mm256_slli_epi32(highs, 4 - 2 * g) : _mm256_srli_epi32(highs, 2 * g - 4),
        _mm256_set1_epi32(48));
    const __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    c->scales[g] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale));
  }
  const __m512i values = table(ck_iq4_codes);
  for (int half = 0; half < 2; half++) {
    __m512i v[CK_HALF_ROWS];
    for (int r = 0; r < CK_HALF_ROWS; r++) {
      v[r] = multiply_nibbles(load64(b[r]->qs + 64 * half), values, true, x, half, is_wide);
    }
    put_lanes(c->whole + 4 * half, v);
  }
}

/* The nibbles of four blocks, which are `stride` bytes apart. */
CK_AVX512_INLINE __m512i four_blocks(const uint8_t *qs, size_t stride) {
  const __m128i *p[4];
  for (size_t i = 0; i < 4; i++) p[i] = (const __m128i *)(const void *)(qs + i * stride);
  __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(p[0]));
  v = _mm512_inserti32x4(v, _mm_loadu_si128(p[1]), 1);
  v = _mm512_inserti32x4(v, _mm_loadu_si128(p[2]), 2);
  return _mm512_inserti32x4(v, _mm_loadu_si128(p[3]), 3);
}

/* Eight halves 18 bytes apart. */
CK_AVX512_INLINE __m256 eight_halves(const uint8_t *blocks) {
  const __m128i places = _mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63);
  const __m512i words = _mm512_permutex2var_epi16(
      load64(blocks), _mm512_castsi128_si512(places), load64(blocks + 64));
  return _mm256_cvtph_ps(_mm512_castsi512_si128(words));
}

/* Eight exponents 17 bytes apart (ck_float_from_half_e8m0). */
CK_AVX512_INLINE __m256 eight_exponents(const uint8_t *blocks) {
  const __m128i places =
      _mm_setr_epi8(0, 17, 34, 51, 68, 85, 102, 119, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512i bytes = _mm512_permutex2var_epi8(load64(blocks), _mm512_castsi128_si512(places),
                                                 load64(blocks + 64));
  const __m256i e = _mm256_cvtepu8_epi32(_mm512_castsi512_si128(bytes));
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
  return _mm256_castsi256_ps(_mm256_mask_blend_epi32(
      _mm256_cmplt_epu32_mask(e, _mm256_set1_epi32(2)), normal, subnormal));
}

/* Scales row by row, then side by side. */
#define PUT_SCALES(EIGHT)                                                             \
  do {                                                                                \
    float by_row[CK_HALF_ROWS][GROUPS];                                               \
    for (int r = 0; r < CK_HALF_ROWS; r++) {                                          \
      _mm256_storeu_ps(by_row[r], EIGHT((const uint8_t *)b[r]));                      \
    }                                                                                 \
    __m256i turned[GROUPS];                                                           \
    ck_transpose8(turned, by_row, sizeof by_row[0]);                                  \
    for (int g = 0; g < GROUPS; g++) c->scales[g] = _mm256_castsi256_ps(turned[g]);   \
  } while (0)

/* A type of blocks of 32: its scales by EIGHT, its CODES, or the nibbles themselves. */
#define COLUMNS(NAME, EIGHT, CODES, HAS_TABLE)                                                      \
  CK_AVX512_INLINE void NAME##_columns(const ck_block_##NAME *const b[CK_HALF_ROWS],                \
                                       const activations256 *x, columns256 *c, const bool is_wide) { \
    PUT_SCALES(EIGHT);                                                                              \
    const __m512i values = table(CODES);                                                            \
    for (int half = 0; half < 2; half++) {                                                          \
      __m512i v[CK_HALF_ROWS];                                                                      \
      for (int r = 0; r < CK_HALF_ROWS; r++) {                                                      \
        v[r] = multiply_nibbles(four_blocks(b[r][4 * half].qs, sizeof *b[r]), values, HAS_TABLE, x, \
                                half, is_wide);                                                     \
      }                                                                                             \
      put_lanes(c->whole + 4 * half, v);                                                            \
    }                                                                                               \
  }

COLUMNS(MXFP4, eight_exponents, ck_fp4_codes, true)
COLUMNS(IQ4_NL, eight_halves, ck_iq4_codes, true)
COLUMNS(Q4_0, eight_halves, ck_iq4_codes, false)

#define BOTH(NAME, ELEMENTS, OFFSET)                                                                    \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_rows_##NAME, ck_avx512_any_rows_##NAME, NAME, load_quarters, ELEMENTS, \
                       false, OFFSET, true)                                                             \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_narrow_rows_##NAME, ck_avx512_any_narrow_rows_##NAME, NAME,            \
                       load_quarters, ELEMENTS, false, OFFSET, false)

BOTH(IQ4_XS, 256, 128)
BOTH(IQ4_NL, 32, 128)
BOTH(MXFP4, 32, 12)
BOTH(Q4_0, 32, 8)

#endif

/* AVX2 and AVX-512 kernels of the types of one and two bits: IQ1, IQ2 and TQ. The layouts are those of
 * decode_iq.c and decode_table.c. */
#include "levels_book.h"

#include "../internal/codebooks.h"

#if defined(__x86_64__)

/* Rows of the books, eight values a row, as bytes. */
#define BYTE(VALUE, code, j) (uint64_t)(uint8_t)(VALUE((code) >> (2 * (j)) & 3)) << (8 * (j))
#define ROW8(VALUE, code)                                                                            \
  BYTE(VALUE, code, 0) | BYTE(VALUE, code, 1) | BYTE(VALUE, code, 2) | BYTE(VALUE, code, 3) |        \
      BYTE(VALUE, code, 4) | BYTE(VALUE, code, 5) | BYTE(VALUE, code, 6) | BYTE(VALUE, code, 7),
#define ROW_IQ2(code) ROW8(CK_IQ2_VALUE, code)
/* Eight times the value, so that the eighth of IQ1's offset is a whole number. */
#define EIGHTFOLD(code) (8 * CK_IQ1_VALUE(code))
#define ROW_IQ1(code) ROW8(EIGHTFOLD, code)
const _Alignas(64) uint64_t ck_iq2_xxs_rows[] = {CK_IQ2_XXS_CODES(ROW_IQ2)};
const _Alignas(64) uint64_t ck_iq2_xs_rows[] = {CK_IQ2_XS_CODES(ROW_IQ2)};
const _Alignas(64) uint64_t ck_iq2_s_rows[] = {CK_IQ2_S_CODES(ROW_IQ2)};
const _Alignas(64) uint64_t ck_iq1_rows[] = {CK_IQ1_CODES(ROW_IQ1)};

CK_AVX2_INLINE __m256i four_rows(const uint64_t *book, size_t a, size_t b, size_t c, size_t d) {
  return _mm256_setr_epi64x((long long)book[a], (long long)book[b], (long long)book[c],
                            (long long)book[d]);
}

CK_AVX2_INLINE __m256i with_signs(__m256i rows, uint32_t signs) {
  return ck_negate_where(rows, ck_spread_bits(_mm256_set1_epi32((int)signs)));
}

/* d * (0.5 + nibble) / 4 of sixteen nibbles, the low one of a byte first. */
CK_AVX2_INLINE void put_nibble_scales(float *scales, uint16_t d, const uint8_t packed[8]) {
  const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)packed);
  const __m128i nibbles = _mm_and_si128(_mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4)),
                                        _mm_set1_epi8(15));
  for (int i = 0; i < 2; i++) {
    const __m256i v = _mm256_cvtepu8_epi32(i ? _mm_unpackhi_epi64(nibbles, nibbles) : nibbles);
    const __m256 half = _mm256_add_ps(_mm256_set1_ps(0.5f), _mm256_cvtepi32_ps(v));
    _mm256_storeu_ps(scales + 8 * i, _mm256_mul_ps(_mm256_mul_ps(ck_half8(d), half),
                                                   _mm256_set1_ps(0.25f)));
  }
}

/* Of every eight bytes the last four are four 7-bit sign indices and a 4-bit scale. */
CK_AVX2_INLINE void IQ2_XXS_scales(const ck_block_IQ2_XXS *b, float *scales, float *minima,
                                   ck_block_note *note) {
  (void)minima;
  const __m256 low = _mm256_castsi256_ps(ck_load32(b->qs));
  const __m256 high = _mm256_castsi256_ps(ck_load32(b->qs + 32));
  const __m256i packed =
      _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd)), 0xd8);
  ck_put32((int8_t *)note->signs, ck_even_signs4(packed));
  const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
  const __m256 half = _mm256_add_ps(_mm256_set1_ps(0.5f), small);
  _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_mul_ps(ck_half8(b->d), half),
                                         _mm256_set1_ps(0.25f)));
}

CK_AVX2_INLINE __m256i IQ2_XXS_codes(const ck_block_IQ2_XXS *b, int g, const ck_block_note *note) {
  const uint32_t q = ck_load_u32(b->qs + 8 * g);
  return with_signs(four_rows(ck_iq2_xxs_rows, q & 255, q >> 8 & 255, q >> 16 & 255, q >> 24),
                    note->signs[g]);
}

CK_DEFINE_AVX2_LEVELS(IQ2_XXS, 256, 32, false, CK_SIGNED)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_IQ2_XXS, IQ2_XXS, 256, 32, false, CK_SIGNED)

/* A word is nine bits of index and a 7-bit sign index. */
CK_AVX2_INLINE void IQ2_XS_scales(const ck_block_IQ2_XS *b, float *scales, float *minima,
                                  ck_block_note *note) {
  (void)minima;
  const __m256i low = _mm256_srli_epi16(ck_load32(b->qs), 9);
  const __m256i high = _mm256_srli_epi16(ck_load32(b->qs + 16), 9);
  const __m256i index = _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8);
  ck_put32((int8_t *)note->signs, ck_even_signs32(index));
  put_nibble_scales(scales, b->d, b->scales);
}

CK_AVX2_INLINE __m256i IQ2_XS_codes(const ck_block_IQ2_XS *b, int g, const ck_block_note *note) {
  const uint64_t q = ck_load_u64(b->qs + 4 * g);
  return with_signs(
      four_rows(ck_iq2_xs_rows, q & 511, q >> 16 & 511, q >> 32 & 511, q >> 48 & 511), note->signs[g]);
}

CK_DEFINE_AVX2_LEVELS(IQ2_XS, 256, 16, false, CK_SIGNED)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_IQ2_XS, IQ2_XS, 256, 16, false, CK_SIGNED)

CK_AVX2_INLINE void IQ2_S_scales(const ck_block_IQ2_S *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  put_nibble_scales(scales, b->d, b->scales);
}

CK_AVX2_INLINE __m256i IQ2_S_codes(const ck_block_IQ2_S *b, int g, const ck_block_note *note) {
  (void)note;
  const uint32_t q = ck_load_u32(b->qs + 4 * g), high = b->qh[g];
  return with_signs(
      four_rows(ck_iq2_s_rows, (q & 255) | (high << 8 & 0x300), (q >> 8 & 255) | (high << 6 & 0x300),
                (q >> 16 & 255) | (high << 4 & 0x300), q >> 24 | (high << 2 & 0x300)),
      ck_load_u32(b->signs + 4 * g));
}

CK_DEFINE_AVX2_LEVELS(IQ2_S, 256, 16, false, CK_SIGNED)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_IQ2_S, IQ2_S, 256, 16, false, CK_SIGNED)

/* d * (2 * small + 1) / 8 */
CK_AVX2_INLINE float iq1_scale(float d, unsigned small) { return d * (float)(2 * small + 1) * 0.125f; }

CK_AVX2_INLINE void IQ1_S_scales(const ck_block_IQ1_S *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  for (int g = 0; g < 8; g++) scales[g] = iq1_scale(ck_half(b->d), b->qh[g] >> 12 & 7u);
}

CK_AVX2_INLINE __m256i IQ1_S_codes(const ck_block_IQ1_S *b, int g, const ck_block_note *note) {
  (void)note;
  const uint32_t q = ck_load_u32(b->qs + 4 * g), high = b->qh[g];
  const __m256i rows = four_rows(
      ck_iq1_rows, (q & 255) | (high << 8 & 0x700), (q >> 8 & 255) | (high << 5 & 0x700),
      (q >> 16 & 255) | (high << 2 & 0x700), q >> 24 | (high >> 1 & 0x700));
  return _mm256_add_epi8(rows, _mm256_set1_epi8(high & 0x8000 ? -1 : 1));
}

CK_DEFINE_AVX2_LEVELS(IQ1_S, 256, 32, false, CK_SIGNED)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_IQ1_S, IQ1_S, 256, 32, false, CK_SIGNED)

/* The float16 is spread over the top nibbles of four words, whose other bits are scales of 3 bits. */
CK_AVX2_INLINE void IQ1_M_scales(const ck_block_IQ1_M *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  const int bits = b->scales[0] >> 12 | (b->scales[1] >> 12) << 4 | (b->scales[2] >> 12) << 8 |
                   (b->scales[3] >> 12) << 12;
  const float d = ck_half((uint16_t)bits);
  for (int j = 0; j < 16; j++) scales[j] = iq1_scale(d, b->scales[j / 4] >> (j % 4 * 3) & 7u);
}

/* A nibble for every eight weights: three bits of index, and the side of the offset. */
CK_AVX2_INLINE __m256i IQ1_M_codes(const ck_block_IQ1_M *b, int g, const ck_block_note *note) {
  (void)note;
  const uint32_t q = ck_load_u32(b->qs + 4 * g);
  const uint32_t high = b->qh[2 * g] | (uint32_t)b->qh[2 * g + 1] << 8;
  const __m256i rows = four_rows(
      ck_iq1_rows, (q & 255) | (high << 8 & 0x700), (q >> 8 & 255) | (high << 4 & 0x700),
      (q >> 16 & 255) | (high & 0x700), q >> 24 | (high >> 4 & 0x700));
  /* Bit 3 of each nibble, in every 64-bit lane at the top of its word. */
  const __m256i sides = _mm256_sllv_epi64(_mm256_set1_epi64x((long long)high),
                                          _mm256_setr_epi64x(60, 56, 52, 48));
  const __m256i is_below = _mm256_cmpgt_epi64(_mm256_setzero_si256(), sides);
  return _mm256_add_epi8(rows, _mm256_or_si256(is_below, _mm256_set1_epi8(1)));
}

CK_DEFINE_AVX2_LEVELS(IQ1_M, 256, 16, false, CK_SIGNED)
CK_DEFINE_AVX512_TILE(ck_avx512_tile_IQ1_M, IQ1_M, 256, 16, false, CK_SIGNED)

CK_AVX2_INLINE void TQ2_0_scales(const ck_block_TQ2_0 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  _mm256_storeu_ps(scales, ck_half8(b->d));
}

CK_AVX2_INLINE __m256i TQ2_0_codes(const ck_block_TQ2_0 *b, int g, const ck_block_note *note) {
  (void)note;
  return _mm256_and_si256(ck_shift_right(ck_load32(b->qs + g / 4 * 32), g % 4 * 2),
                          _mm256_set1_epi8(3));
}

CK_DEFINE_LEVELS(TQ2_0, 256, 32, false, 1)

CK_AVX2_INLINE void TQ1_0_scales(const ck_block_TQ1_0 *b, float *scales, float *minima,
                                 ck_block_note *note) {
  (void)note;
  (void)minima;
  _mm256_storeu_ps(scales, ck_half8(b->d));
}

/* Digits of 32 bytes that are base-3 fractions of 256, at the places whose powers of three `factors` has:
 * the byte times the power, modulo 256, holds the digit's third of the range. */
CK_AVX2_INLINE __m256i ternary_digits(__m256i bytes, __m256i factors) {
  const __m256i mask = _mm256_set1_epi16(255);
  const __m256i even = _mm256_mullo_epi16(_mm256_and_si256(bytes, mask), _mm256_and_si256(factors, mask));
  const __m256i odd = _mm256_mullo_epi16(_mm256_srli_epi16(bytes, 8), _mm256_srli_epi16(factors, 8));
  const __m256i v = _mm256_or_si256(_mm256_and_si256(even, mask), _mm256_slli_epi16(odd, 8));
  /* v * 3 >> 8: 1 from 86 on, 2 from 171 on. */
  const __m256i one = _mm256_cmpeq_epi8(_mm256_max_epu8(v, _mm256_set1_epi8(86)), v);
  const __m256i two = _mm256_cmpeq_epi8(_mm256_max_epu8(v, _mm256_set1_epi8((char)171)), v);
  return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(one, two));
}

/* 32 bytes of five digits, digit by digit; then 16 bytes of five; then four bytes of four. */
CK_AVX2_INLINE __m256i TQ1_0_codes(const ck_block_TQ1_0 *b, int g, const ck_block_note *note) {
  (void)note;
  static const int8_t powers[5] = {1, 3, 9, 27, 81};
  if (g < 5) return ternary_digits(ck_load32(b->qs), _mm256_set1_epi8(powers[g]));
  const __m128i tail = _mm_loadu_si128((const __m128i *)(const void *)(b->qs + 32));
  if (g < 7) {
    const __m128i low = _mm_set1_epi8(powers[2 * (g - 5)]);
    const __m128i high = _mm_set1_epi8(powers[2 * (g - 5) + 1]);
    return ternary_digits(_mm256_broadcastsi128_si256(tail),
                          _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
  }
  const __m128i last = _mm_set1_epi32((int)ck_load_u32(b->qh));
  const __m256i factors = _mm256_setr_epi8(81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81,
                                           81, 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27);
  return ternary_digits(_mm256_inserti128_si256(_mm256_castsi128_si256(tail), last, 1), factors);
}

CK_DEFINE_LEVELS(TQ1_0, 256, 32, false, 1)

#endif

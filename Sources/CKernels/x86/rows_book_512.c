/* One token by rows of IQ1 and IQ2 with AVX-512: eight rows of the book are gathered at once (4.5 cycles on Emerald
 * Rapids), at indices that are put together 32 at a time. The layouts are those of decode_iq.c. */
#include "levels_book.h"
#include "rows_block512.h"

#if defined(__x86_64__)

/* A unit is eight columns, a row of the book. These are the `k`th eight units, in 64-bit lanes: one after the other
 * where 16 columns share a scale. Where 32 do, products `k` and `k` + 1 are added and a lane of 16 bytes is to have
 * one group. */
CK_AVX512_INLINE __m512i units_of(const int k, const size_t group) {
  if (group == 16) {
    return _mm512_add_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(8 * k));
  }
  return _mm512_add_epi64(_mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13),
                          _mm512_set1_epi64(16 * (k / 2) + 2 * (k % 2)));
}

/* 256 activations in the order of these units. */
CK_AVX512_INLINE void load_pairs(__m512i to[4], const int8_t *values) {
  for (int k = 0; k < 4; k++) {
    const __m512i first = load64(values + 128 * (k / 2)), second = load64(values + 128 * (k / 2) + 64);
    to[k] = _mm512_permutex2var_epi64(first, units_of(k % 2, 32), second);
  }
}

/* The book's rows of the `k`th units; `index` has 32 words, one a unit. */
CK_AVX512_INLINE __m512i rows_of(const uint64_t *book, __m512i index, const int k, const size_t group) {
  return _mm512_i64gather_epi64(
      _mm512_maskz_permutexvar_epi16(0x11111111, units_of(k, group), index), book, 8);
}

/* Words of the `k`th units, in all four words of a lane. */
CK_AVX512_INLINE __m512i spread_words(__m512i words, const int k, const size_t group) {
  const __m512i units = units_of(k, group);
  const __m512i two = _mm512_or_si512(units, _mm512_slli_epi64(units, 16));
  return _mm512_permutexvar_epi16(_mm512_or_si512(two, _mm512_slli_epi64(two, 32)), words);
}

CK_AVX512_INLINE __m512i words_of(const uint8_t bytes[32]) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)bytes));
}

/* Codes, 128 and the value, of the values in `rows`; those whose bit is in `signs` are negative. */
CK_AVX512_INLINE __m512i with_sign_bits(__m512i rows, uint64_t signs) {
  const __m512i middle = _mm512_set1_epi8((char)128);
  return _mm512_mask_sub_epi8(_mm512_add_epi8(middle, rows), signs, middle, rows);
}

/* Words 0, 0, 0, 0, 1, 1, 1, 1 and so on of eight. */
CK_AVX512_INLINE __m512i four_times(__m128i words) {
  const __m512i places = _mm512_srli_epi16(
      _mm512_cvtepu8_epi16(_mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
                                            19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)),
      2);
  return _mm512_permutexvar_epi16(places, _mm512_castsi128_si512(words));
}

/* What units' indices have above their lower byte, in place: of a group's four units, unit i has it in its word from
 * the bit on that the ith 16 bits of `right` (a constant) say; `mask` is where it belongs. */
CK_AVX512_INLINE __m512i upper_bits(__m512i words, const int64_t right, const short mask) {
  const __m512i low = _mm512_srlv_epi16(words, _mm512_set1_epi64(right));
  return _mm512_and_si512(_mm512_slli_epi16(low, 8), _mm512_set1_epi16(mask));
}

/* IQ1: eight times the book's value, and 1 or -1; codes have 9 added. */
enum { IQ1_OFFSET = 9 };

/* `is_below` has bit 15 of a word where the 1 is taken away. */
CK_AVX512_INLINE __m512i iq1_offsets(__m512i is_below) {
  const __m512i one = _mm512_or_si512(_mm512_srai_epi16(is_below, 15), _mm512_set1_epi8(1));
  return _mm512_add_epi8(one, _mm512_set1_epi8(IQ1_OFFSET));
}

CK_AVX512_INLINE void IQ1_S_codes512(const ck_block_IQ1_S *b, __m512i codes[4]) {
  const __m512i high = four_times(_mm_loadu_si128((const __m128i *)(const void *)b->qh));
  const __m512i index =
      _mm512_or_si512(words_of(b->qs), upper_bits(high, 0x0009000600030000, 0x700));
  const __m512i offsets = iq1_offsets(high);
  for (int k = 0; k < 4; k++) {
    codes[k] = _mm512_add_epi8(rows_of(ck_iq1_rows, index, k, 32), spread_words(offsets, k, 32));
  }
}

CK_AVX512_INLINE void IQ1_M_codes512(const ck_block_IQ1_M *b, __m512i codes[4]) {
  const __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)b->qh);
  const __m128i upper = _mm_srli_epi16(packed, 4);
  const __m512i high = _mm512_cvtepu8_epi16(
      _mm256_setr_m128i(_mm_unpacklo_epi8(packed, upper), _mm_unpackhi_epi8(packed, upper)));
  const __m512i index = _mm512_or_si512(words_of(b->qs), upper_bits(high, 0, 0x700));
  const __m512i offsets = iq1_offsets(_mm512_slli_epi16(high, 12));
  for (int k = 0; k < 4; k++) {
    codes[k] = _mm512_add_epi8(rows_of(ck_iq1_rows, index, k, 16), spread_words(offsets, k, 16));
  }
}

/* The signs of eight columns by the lower seven bits of each of a lane's bytes, which are the same number: the
 * eighth makes the number of signs even. */
CK_AVX512_INLINE uint64_t even_signs(__m512i bytes) {
  /* A row of the matrix for each bit, the eighth first: the sum of the others. */
  const __m512i with_eighth =
      _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x010204081020407f), 0);
  return _mm512_test_epi8_mask(with_eighth, _mm512_set1_epi64((long long)0x8040201008040201));
}

/* Of a group's 64 bits the first four bytes are indices, then come four times seven bits of signs, and a scale. */
CK_AVX512_INLINE void IQ2_XXS_codes512(const ck_block_IQ2_XXS *b, __m512i codes[4]) {
  const __m512i q = load64(b->qs), seven = _mm512_set1_epi64(0x0707070707070707);
  for (int k = 0; k < 4; k++) {
    const __m512i units = units_of(k, 32), in_group = _mm512_and_si512(units, _mm512_set1_epi64(3));
    /* Byte 8 * (u / 4) + u % 4 of unit u. */
    const __m512i at = _mm512_add_epi64(units, _mm512_and_si512(units, _mm512_set1_epi64(28)));
    const __m512i index = _mm512_maskz_permutexvar_epi8(0x0101010101010101, at, q);
    const __m512i groups = _mm512_permutexvar_epi64(_mm512_srli_epi64(units, 2), q);
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi8(32), _mm512_mullo_epi64(in_group, seven));
    codes[k] = with_sign_bits(_mm512_i64gather_epi64(index, ck_iq2_xxs_rows, 8),
                              even_signs(_mm512_multishift_epi64_epi8(first, groups)));
  }
}

/* Nine bits of index, seven of signs. */
CK_AVX512_INLINE void IQ2_XS_codes512(const ck_block_IQ2_XS *b, __m512i codes[4]) {
  const __m512i q = load64(b->qs), index = _mm512_and_si512(q, _mm512_set1_epi16(511));
  for (int k = 0; k < 4; k++) {
    const __m512i signs = _mm512_multishift_epi64_epi8(_mm512_set1_epi8(9), spread_words(q, k, 16));
    codes[k] = with_sign_bits(rows_of(ck_iq2_xs_rows, index, k, 16), even_signs(signs));
  }
}

CK_AVX512_INLINE void IQ2_S_codes512(const ck_block_IQ2_S *b, __m512i codes[4]) {
  const __m512i high = four_times(_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)b->qh)));
  const __m512i index =
      _mm512_or_si512(words_of(b->qs), upper_bits(high, 0x0006000400020000, 0x300));
  for (int k = 0; k < 4; k++) {
    codes[k] = with_sign_bits(rows_of(ck_iq2_s_rows, index, k, 16), ck_load_u64(b->signs + 8 * k));
  }
}

/* What sixteen blocks have besides codes: words by row, of which each type copies its own, and halves. */
typedef struct {
  _Alignas(64) uint32_t words[8][CK_TILE_ROWS];
  _Alignas(32) uint16_t halves[CK_TILE_ROWS];
} block_heads;

CK_AVX512_INLINE void IQ1_S_head(block_heads *h, int r, const ck_block_IQ1_S *b) {
  for (int i = 0; i < 4; i++) copy_word(&h->words[i][r], b->qh + 2 * i);
  copy_half(&h->halves[r], &b->d);
}

CK_AVX512_INLINE void IQ1_M_head(block_heads *h, int r, const ck_block_IQ1_M *b) {
  for (int i = 0; i < 2; i++) copy_word(&h->words[i][r], b->scales + 2 * i);
}

CK_AVX512_INLINE void IQ2_XXS_head(block_heads *h, int r, const ck_block_IQ2_XXS *b) {
  for (int g = 0; g < 8; g++) copy_word(&h->words[g][r], b->qs + 8 * g + 4);
  copy_half(&h->halves[r], &b->d);
}

#define NIBBLE_HEAD(NAME)                                                              \
  CK_AVX512_INLINE void NAME##_head(block_heads *h, int r, const ck_block_##NAME *b) { \
    for (int i = 0; i < 2; i++) copy_word(&h->words[i][r], b->scales + 4 * i);         \
    copy_half(&h->halves[r], &b->d);                                                   \
  }
NIBBLE_HEAD(IQ2_XS)
NIBBLE_HEAD(IQ2_S)

/* d * (2 * small + 1) / 8 of the three bits from `shift` on. */
CK_AVX512_INLINE __m512 iq1_scales(__m512 d, __m512i words, unsigned shift) {
  const __m512i small = _mm512_and_si512(_mm512_srli_epi32(words, shift), _mm512_set1_epi32(7));
  const __m512i odd = _mm512_add_epi32(_mm512_add_epi32(small, small), _mm512_set1_epi32(1));
  return _mm512_mul_ps(_mm512_mul_ps(d, _mm512_cvtepi32_ps(odd)), _mm512_set1_ps(0.125f));
}

/* d * (0.5 + small) / 4 of the four bits from `shift` on. */
CK_AVX512_INLINE __m512 iq2_scales(__m512 d, __m512i words, unsigned shift) {
  const __m512i small = _mm512_and_si512(_mm512_srli_epi32(words, shift), _mm512_set1_epi32(15));
  const __m512 half = _mm512_add_ps(_mm512_set1_ps(0.5f), _mm512_cvtepi32_ps(small));
  return _mm512_mul_ps(_mm512_mul_ps(d, half), _mm512_set1_ps(0.25f));
}

CK_AVX512_INLINE void IQ1_S_put_scales(__m512 *scales, const block_heads *h) {
  const __m512 d = from_halves(h->halves);
  for (int g = 0; g < 8; g++) {
    scales[g] = iq1_scales(d, _mm512_load_si512(h->words[g / 2]), 16 * (unsigned)(g % 2) + 12);
  }
}

/* The half is in the top nibbles of the four 16-bit words. */
CK_AVX512_INLINE void IQ1_M_put_scales(__m512 *scales, const block_heads *h) {
  const __m512i nibble = _mm512_set1_epi32(0xf000);
  __m512i bits = _mm512_setzero_si512();
  for (int i = 0; i < 4; i++) {
    const __m512i word = _mm512_load_si512(h->words[i / 2]);
    const __m512i top = _mm512_and_si512(i % 2 ? _mm512_srli_epi32(word, 16) : word, nibble);
    bits = _mm512_or_si512(bits, _mm512_srli_epi32(top, 12 - 4 * (unsigned)i));
  }
  const __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits));
  for (int g = 0; g < 16; g++) {
    const unsigned shift = 16 * (unsigned)(g / 4 % 2) + 3 * (unsigned)(g % 4);
    scales[g] = iq1_scales(d, _mm512_load_si512(h->words[g / 8]), shift);
  }
}

CK_AVX512_INLINE void IQ2_XXS_put_scales(__m512 *scales, const block_heads *h) {
  const __m512 d = from_halves(h->halves);
  for (int g = 0; g < 8; g++) scales[g] = iq2_scales(d, _mm512_load_si512(h->words[g]), 28);
}

CK_AVX512_INLINE void put_nibble_scales(__m512 *scales, const block_heads *h) {
  const __m512 d = from_halves(h->halves);
  for (int g = 0; g < 16; g++) {
    scales[g] = iq2_scales(d, _mm512_load_si512(h->words[g / 8]), 4 * (unsigned)(g % 8));
  }
}
#define IQ2_XS_put_scales put_nibble_scales
#define IQ2_S_put_scales put_nibble_scales

/* A type whose weights share a scale by 16 or 32; how often sums of two 8-bit products fit into 16 bits (PACKS). */
#define BOOK_COLUMNS(NAME, GROUP, PACKS)                                                                  \
  CK_AVX512_INLINE void NAME##_columns(blocks16 b, const activations256 *x, columns256 *c,                \
                                       const bool is_wide) {                                              \
    enum { SUMS = (GROUP) == 32 ? 2 : 4 };                                                                \
    block_heads heads;                                                                                    \
    for (int r = 0; r < CK_TILE_ROWS; r++) NAME##_head(&heads, r, row_at(b, r));                          \
    __m512i sums[SUMS][4];                                                                                \
    for (int i = 0; i < 4; i++) {                                                                         \
      __m512i v[SUMS][4];                                                                                 \
      for (int r = 0; r < 4; r++) {                                                                       \
        __m512i codes[4];                                                                                 \
        NAME##_codes512(take_row(b, 4 * i + r, sizeof(ck_block_##NAME)), codes);                          \
        for (int k = 0; k < SUMS; k++) {                                                                  \
          v[k][r] = (GROUP) == 32 ? multiply_two(codes[2 * k % 4], codes[(2 * k + 1) % 4], x, 2 * k % 4, is_wide) \
                                  : multiply_one(codes[k], x, k, is_wide);                                \
        }                                                                                                 \
      }                                                                                                   \
      for (int k = 0; k < SUMS; k++) sums[k][i] = add_rows(v[k], is_wide ? 0 : (PACKS));                  \
    }                                                                                                     \
    for (int k = 0; k < SUMS; k++) put_lanes(c->whole + 4 * k, 1, sums[k]);                               \
    NAME##_put_scales(c->scales, &heads);                                                                 \
  }

BOOK_COLUMNS(IQ1_S, 32, 1)
BOOK_COLUMNS(IQ1_M, 16, 2)
BOOK_COLUMNS(IQ2_XXS, 32, 0)
BOOK_COLUMNS(IQ2_XS, 16, 0)
BOOK_COLUMNS(IQ2_S, 16, 0)

CK_DEFINE_BOTH_ROWS(IQ1_S, load_pairs, 32, false, IQ1_OFFSET)
CK_DEFINE_BOTH_ROWS(IQ1_M, load_in_order, 16, false, IQ1_OFFSET)
CK_DEFINE_BOTH_ROWS(IQ2_XXS, load_pairs, 32, false, 128)
CK_DEFINE_BOTH_ROWS(IQ2_XS, load_in_order, 16, false, 128)
CK_DEFINE_BOTH_ROWS(IQ2_S, load_in_order, 16, false, 128)

#endif

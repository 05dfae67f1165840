/* The book of IQ3_XXS in registers, with AVX-512's byte permutations. The layout is that of decode_iq.c. */
#ifndef CK_IQ3_BOOK512_H
#define CK_IQ3_BOOK512_H

#include "turn512.h"

#include "../internal/codebooks.h"

#if defined(__x86_64__)

/* A plane for each two of a row's four values: the number of the first one's magnitude in the low nibble,
 * that of the second in the high one. */
#define CK_PAIR0(code) ((code) & 7) | ((code) >> 3 & 7) << 4,
#define CK_PAIR1(code) ((code) >> 6 & 7) | ((code) >> 9 & 7) << 4,
static const _Alignas(64) uint8_t ck_iq3_pairs[2][256] = {{CK_IQ3_XXS_CODES(CK_PAIR0)},
                                                          {CK_IQ3_XXS_CODES(CK_PAIR1)}};

/* The values, 128 added: magnitudes, then negative ones. */
#define CK_POSITIVE(n) 128 + CK_IQ3_XXS_VALUE(n)
#define CK_NEGATIVE(n) 128 - CK_IQ3_XXS_VALUE(n)
static const _Alignas(16) uint8_t ck_iq3_values[16] = {
    CK_POSITIVE(0), CK_POSITIVE(1), CK_POSITIVE(2), CK_POSITIVE(3), CK_POSITIVE(4), CK_POSITIVE(5),
    CK_POSITIVE(6), CK_POSITIVE(7), CK_NEGATIVE(0), CK_NEGATIVE(1), CK_NEGATIVE(2), CK_NEGATIVE(3),
    CK_NEGATIVE(4), CK_NEGATIVE(5), CK_NEGATIVE(6), CK_NEGATIVE(7)};

/* A sign from its byte, as a row of a bit matrix; the eighth makes the number of signs even. */
#define CK_SIGN(n) ((n) < 7 ? 1LL << (n) : 0x7fLL)
/* The matrix that takes two signs to the top bits of the two nibbles: `gf2p8affineqb` wants the row of bit i in
 * byte 7 - i. */
#define CK_TWO_SIGNS(first, second) (CK_SIGN(first) << 32 | CK_SIGN(second))

/* The weights of 64 indices, 128 added: planes[j] has value j of each. A lookup is two of 128 entries, chosen by
 * the index' top bit; they take twice as long as other shuffles, so each brings two values. `signs` are sign
 * bytes: the even eight bytes of both are indices that take the low four signs, the odd eight those that take the
 * high four. */
CK_AVX512_INLINE void ck_iq3_look_up(__m512i planes[4], __m512i index, __m512i signs) {
  const __m512i values =
      _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)ck_iq3_values));
  const __m512i places[2] = {
      _mm512_broadcast_i32x4(_mm_set_epi64x(CK_TWO_SIGNS(4, 5), CK_TWO_SIGNS(0, 1))),
      _mm512_broadcast_i32x4(_mm_set_epi64x(CK_TWO_SIGNS(6, 7), CK_TWO_SIGNS(2, 3)))};
  const __mmask64 is_upper = _mm512_movepi8_mask(index);
  for (int i = 0; i < 2; i++) {
    const uint8_t *book = ck_iq3_pairs[i];
    const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(book), index,
                                                 _mm512_load_si512(book + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(book + 128), index,
                                                  _mm512_load_si512(book + 192));
    const __m512i numbers = _mm512_or_si512(_mm512_mask_blend_epi8(is_upper, low, high),
                                            _mm512_gf2p8affine_epi64_epi8(signs, places[i], 0));
    /* In a table that repeats itself no more than the low nibble counts. */
    planes[2 * i] = _mm512_permutexvar_epi8(numbers, values);
    planes[2 * i + 1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(numbers, 4), values);
  }
}

/* Sign bytes of each 32-bit word: the four 7-bit indices of signs. Their top bits are anything. */
CK_AVX512_INLINE __m512i ck_iq3_signs(__m512i words) {
  return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x352e2720150e0700LL), words);
}

/* What sixteen blocks have besides indices: the words of scales and signs by group, and the halves. */
typedef struct {
  _Alignas(64) uint32_t words[8][CK_TILE_ROWS];
  _Alignas(32) uint16_t halves[CK_TILE_ROWS];
} ck_iq3_heads;

CK_AVX512_INLINE void ck_iq3_copy_head(ck_iq3_heads *heads, int r, const ck_block_IQ3_XXS *b) {
  for (int g = 0; g < 8; g++) copy_word(&heads->words[g][r], b->scales_and_signs + 4 * g);
  copy_half(&heads->halves[r], &b->d);
}

/* Scales are in the upper four bits of words. */
CK_AVX512_INLINE void ck_iq3_put_scales(__m512 scales[8], const ck_iq3_heads *heads) {
  const __m512 half = _mm512_set1_ps(0.5f);
  const __m512 d = _mm512_mul_ps(half, from_halves(heads->halves));
  for (int g = 0; g < 8; g++) {
    const __m512i word = _mm512_load_si512(heads->words[g]);
    const __m512 small = _mm512_cvtepi32_ps(_mm512_srli_epi32(word, 28));
    scales[g] = _mm512_mul_ps(d, _mm512_add_ps(small, half));
  }
}

#endif
#endif

/* The book of IQ3_XXS in registers, with AVX-512's byte permutations. The layout is that of decode_iq.c. */
#ifndef CK_IQ3_BOOK512_H
#define CK_IQ3_BOOK512_H

#include "define_levels.h"

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

/* Even indices of each 16 bytes, two groups, then odd ones: eight indices that take the low four signs of a
 * byte, and eight that take the high four. */
#define CK_IQ3_ORDER 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15

/* A sign from its byte, as a row of a bit matrix; the eighth makes the number of signs even. */
#define CK_SIGN(n) ((n) < 7 ? 1LL << (n) : 0x7fLL)
/* The matrix that takes two signs to the top bits of the two nibbles: `gf2p8affineqb` wants the row of bit i in
 * byte 7 - i. */
#define CK_TWO_SIGNS(first, second) (CK_SIGN(first) << 32 | CK_SIGN(second))

/* The 256 weights of a block, 128 added: planes[j] has value j of the 64 indices in CK_IQ3_ORDER. A lookup is
 * two of 128 entries, chosen by the index' top bit; they take twice as long as other shuffles, so each brings
 * two values. `packed` has the scales and signs, of each two groups twice. */
CK_AVX512_INLINE void ck_iq3_planes(__m512i planes[4], const uint8_t qs[64], __m512i packed) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(CK_IQ3_ORDER));
  const __m512i values =
      _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)ck_iq3_values));
  const __m512i index = _mm512_shuffle_epi8(_mm512_loadu_si512(qs), order);
  const __mmask64 is_upper = _mm512_movepi8_mask(index);
  /* Of each 32-bit word the four 7-bit indices of signs. */
  const __m512i signs =
      _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x352e2720150e0700LL), packed);
  const __m512i places[2] = {
      _mm512_broadcast_i32x4(_mm_set_epi64x(CK_TWO_SIGNS(4, 5), CK_TWO_SIGNS(0, 1))),
      _mm512_broadcast_i32x4(_mm_set_epi64x(CK_TWO_SIGNS(6, 7), CK_TWO_SIGNS(2, 3)))};
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

/* The scales and signs of a block's eight groups, each two of them twice. */
CK_AVX512_INLINE __m512i ck_iq3_packed(const ck_block_IQ3_XXS *b) {
  const __m512i all = _mm512_castsi256_si512(
      _mm256_loadu_si256((const __m256i *)(const void *)b->scales_and_signs));
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), all);
}

#endif
#endif

/* One token by rows of Q4_K, Q5_K and Q6_K with AVX-512, and tiles of Q4_K. The layouts are those of decode_k.c. */
#include "rows_block512.h"

#if defined(__x86_64__)

/* Groups 0, 2, 4 and 6, the first half of their columns and the last, then 1, 3, 5 and 7: what low and high nibbles
 * are in two vectors of the first and the last halves. */
CK_AVX512_INLINE void load_alternating(__m512i to[4], const int8_t *values) {
  __m512i halves[2][2];
  for (int i = 0; i < 2; i++) {
    const __m512i a = load64(values + 128 * i), b = load64(values + 128 * i + 64);
    halves[0][i] = _mm512_shuffle_i32x4(a, b, 0x88); /* first halves of groups 4 * i ..< 4 * i + 4 */
    halves[1][i] = _mm512_shuffle_i32x4(a, b, 0xdd);
  }
  for (int i = 0; i < 2; i++) {
    to[i] = _mm512_shuffle_i32x4(halves[i][0], halves[i][1], 0x88);
    to[2 + i] = _mm512_shuffle_i32x4(halves[i][0], halves[i][1], 0xdd);
  }
}

/* The first 16 bytes of blocks, words side by side. */
typedef struct {
  _Alignas(64) uint32_t words[4][CK_TILE_ROWS];
} block_heads;

CK_AVX512_INLINE void copy_head(block_heads *heads, int r, const uint8_t *block) {
  for (int i = 0; i < 4; i++) copy_word(&heads->words[i][r], block + 4 * i);
}

/* Scales and minima (ck_unpack_k_scales). */
CK_AVX512_INLINE void put_scales(__m512 to_scales[8], __m512 to_minima[8], const block_heads *heads) {
  const __m512i halves = _mm512_load_si512(heads->words[0]), first = _mm512_load_si512(heads->words[1]);
  const __m512i second = _mm512_load_si512(heads->words[2]), third = _mm512_load_si512(heads->words[3]);
  const __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(halves));
  const __m512 dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(halves, 16)));
  const __m512i six = _mm512_set1_epi32(0x3f3f3f3f), four = _mm512_set1_epi32(0x0f0f0f0f);
  const __m512i two = _mm512_set1_epi32(0x30303030), byte = _mm512_set1_epi32(255);
  const __m512i scales[2] = {
      _mm512_and_si512(first, six),
      _mm512_or_si512(_mm512_and_si512(third, four),
                      _mm512_and_si512(_mm512_srli_epi32(first, 2), two))};
  const __m512i minima[2] = {
      _mm512_and_si512(second, six),
      _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(third, 4), four),
                      _mm512_and_si512(_mm512_srli_epi32(second, 2), two))};
  for (int g = 0; g < 8; g++) {
    const __m512i scale = _mm512_srli_epi32(scales[g / 4], 8 * (unsigned)(g % 4));
    const __m512i minimum = _mm512_srli_epi32(minima[g / 4], 8 * (unsigned)(g % 4));
    to_scales[g] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_and_si512(scale, byte)));
    to_minima[g] = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_and_si512(minimum, byte)));
  }
}

/* The nibbles of 128 bytes: the first sixteen of each 32, and the last. */
typedef struct {
  __m512i first, last;
} half_groups;

CK_AVX512_INLINE half_groups load_nibbles(const uint8_t qs[128]) {
  const __m512i a = load64(qs), b = load64(qs + 64);
  return (half_groups){_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd)};
}

/* Nibbles with the fifth bits, which `bits` has, once for each lane, at places `first_place` + 2 * lane. */
CK_AVX512_INLINE __m512i with_fifth(__m512i nibbles, __m512i bits, const int first_place) {
  const int p = 4 - first_place;
  const __m512i turns = _mm512_setr_epi32(p, p, p, p, p - 2, p - 2, p - 2, p - 2, p - 4, p - 4, p - 4, p - 4,
                                          p - 6, p - 6, p - 6, p - 6);
  /* Bits of `nibbles` below the fifth, all others of the turned bits. */
  const __m512i both = _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), nibbles,
                                                 _mm512_rolv_epi32(bits, turns), 0xca);
  return _mm512_and_si512(both, _mm512_set1_epi8(31));
}

/* Q5_K's blocks are Q4_K's with the fifth bits (a constant) between heads and nibbles. Eight products of a code of 31
 * at most are less than 2^15, of 15 than 2^14. */
CK_AVX512_INLINE void put_columns(blocks16 b, const activations256 *x, columns256 *c, const bool has_fifth,
                                  const bool is_wide) {
  const int packs = is_wide ? 0 : has_fifth ? 1 : 2;
  block_heads heads;
  for (int r = 0; r < CK_TILE_ROWS; r++) copy_head(&heads, r, row_at(b, r));
  __m512i even_sums[4], odd_sums[4];
  for (int i = 0; i < 4; i++) {
    __m512i even[4], odd[4];
    for (int r = 0; r < 4; r++) {
      const ck_block_Q5_K *fifths = take_row(b, 4 * i + r, has_fifth ? sizeof *fifths : sizeof(ck_block_Q4_K));
      const ck_block_Q4_K *block = (const void *)fifths;
      const half_groups q = load_nibbles(has_fifth ? fifths->qs : block->qs);
      const __m512i first = _mm512_srli_epi16(q.first, 4), last = _mm512_srli_epi16(q.last, 4);
      if (has_fifth) {
        const __m512i f = load16_four_times(fifths->qh), l = load16_four_times(fifths->qh + 16);
        even[r] = multiply_two(with_fifth(q.first, f, 0), with_fifth(q.last, l, 0), x, 0, is_wide);
        odd[r] = multiply_two(with_fifth(first, f, 1), with_fifth(last, l, 1), x, 2, is_wide);
      } else {
        even[r] = multiply_two(low_nibbles(q.first), low_nibbles(q.last), x, 0, is_wide);
        odd[r] = multiply_two(low_nibbles(first), low_nibbles(last), x, 2, is_wide);
      }
    }
    even_sums[i] = add_rows(even, packs);
    odd_sums[i] = add_rows(odd, packs);
  }
  put_lanes(c->whole, 2, even_sums);
  put_lanes(c->whole + 1, 2, odd_sums);
  put_scales(c->scales, c->minima, &heads);
}

CK_AVX512_INLINE void Q4_K_columns(blocks16 b, const activations256 *x, columns256 *c, const bool is_wide) {
  put_columns(b, x, c, false, is_wide);
}

CK_AVX512_INLINE void Q5_K_columns(blocks16 b, const activations256 *x, columns256 *c, const bool is_wide) {
  put_columns(b, x, c, true, is_wide);
}

CK_DEFINE_BOTH_ROWS(Q4_K, load_alternating, 32, true, 0)
CK_DEFINE_BOTH_ROWS(Q5_K, load_alternating, 32, true, 0)

/* Nibbles are turned before they are taken apart. */
CK_AVX512 void ck_avx512_tile_Q4_K(const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t count,
                                   ck_scratch256 *s) {
  (void)count; /* blocks have 256 columns */
  block_heads heads;
  const __m512i low = _mm512_set1_epi8(15), top = _mm512_set1_epi8((char)128);
  for (size_t half = 0; half < 2; half++) {
    __m512i v[CK_TILE_ROWS];
    for (size_t r = 0; r < CK_TILE_ROWS; r++) {
      const ck_block_Q4_K *b = (const void *)(rows[r] + offset);
      if (half == 0) {
        ck_fetch_tile(rows, r, offset, sizeof *b);
        copy_head(&heads, (int)r, (const uint8_t *)b);
      }
      v[r] = load64(b->qs + 64 * half);
    }
    turn16(v);
    for (size_t i = 0; i < 16; i++) {
      /* Eight words of two groups. Of a level's byte, the nibble and the 128: (v & low) | top. */
      const size_t first = 32 * half + i / 8 * 16 + i % 8;
      put_bytes(s, first, _mm512_ternarylogic_epi32(v[i], low, top, 0xea));
      put_bytes(s, first + 8,
                _mm512_ternarylogic_epi32(_mm512_srli_epi16(v[i], 4), low, top, 0xea));
    }
  }
  put_scales((__m512 *)(void *)s->scales, (__m512 *)(void *)s->minima, &heads);
  s->offset = 128;
}

/* Bits 4 and 5 of `high` on top of the nibbles. */
CK_AVX512_INLINE __m512i with_upper(__m512i nibbles, __m512i high) {
  const __m512i both = _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), nibbles, high, 0xca);
  return _mm512_and_si512(both, _mm512_set1_epi8(63));
}

/* Four products of a code of 63 at most are less than 2^15. */
CK_AVX512_INLINE void Q6_K_columns(blocks16 b, const activations256 *x, columns256 *c, const bool is_wide) {
  _Alignas(64) uint32_t words[4][CK_TILE_ROWS];
  _Alignas(32) uint16_t halves[CK_TILE_ROWS];
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const ck_block_Q6_K *block = row_at(b, r);
    for (int i = 0; i < 4; i++) copy_word(&words[i][r], block->scales + 4 * i);
    copy_half(&halves[r], &block->d);
  }
  /* The upper bits of the first and second 32 columns are 0 and 1, 2 and 3 of a byte, those of the next 4 and 5, 6
   * and 7. */
  const __m512i up = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
  const __m512i down = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
  __m512i sums[4][4];
  for (int i = 0; i < 4; i++) {
    __m512i v[4][4];
    for (int r = 0; r < 4; r++) {
      const ck_block_Q6_K *block = take_row(b, 4 * i + r, sizeof *block);
      for (int half = 0; half < 2; half++) {
        const __m512i q = load64(block->ql + 64 * half), bits = load32_twice(block->qh + 32 * half);
        v[2 * half][r] =
            multiply_one(with_upper(q, _mm512_sllv_epi16(bits, up)), x, 2 * half, is_wide);
        v[2 * half + 1][r] = multiply_one(
            with_upper(_mm512_srli_epi16(q, 4), _mm512_srlv_epi16(bits, down)), x, 2 * half + 1, is_wide);
      }
    }
    for (int quarter = 0; quarter < 4; quarter++) sums[quarter][i] = add_rows(v[quarter], is_wide ? 0 : 1);
  }
  for (int quarter = 0; quarter < 4; quarter++) put_lanes(c->whole + 4 * quarter, 1, sums[quarter]);
  const __m512 d = from_halves(halves);
  for (int g = 0; g < 16; g++) {
    const __m512i word = _mm512_load_si512(words[g / 4]);
    const __m512i scale = _mm512_srai_epi32(_mm512_slli_epi32(word, 24 - 8 * (unsigned)(g % 4)), 24);
    c->scales[g] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale));
  }
}

CK_DEFINE_BOTH_ROWS(Q6_K, load_in_order, 16, false, 32)

#endif

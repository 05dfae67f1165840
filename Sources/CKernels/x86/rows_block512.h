/* One token by rows of the types of 4 and 5 bits with AVX-512, 256 columns of eight rows at a time.
 *
 * 64 bytes of these types' blocks are four groups side by side, so a product of 64 bytes serves whole groups
 * without any unpacking. Adding up across the eight rows brings the rows side by side, and scales are
 * unpacked for eight rows at once: row by row both take longer than the products (Zen 4, Q4_K in the second cache: 19
 * GB/s a core, so 27). */
#ifndef CK_ROWS_BLOCK512_H
#define CK_ROWS_BLOCK512_H

#include "define_levels.h"

#if defined(__x86_64__)

/* Groups of 32 in 256 columns. */
enum { GROUPS = 8 };

/* What 256 columns of the rows give: whole numbers, scales and minima of each group, a row in each lane. */
typedef struct {
  __m256i whole[GROUPS];
  __m256 scales[GROUPS], minima[GROUPS];
} columns256;

/* The activations of 256 columns: 64 bytes for each of four products. */
typedef struct {
  __m512i high[4], low[4];
} activations256;

CK_AVX512_INLINE __m512i load64(const void *p) { return _mm512_loadu_si512(p); }

/* Products of 64 codes, of the `i`th activations: lanes have the sums of four neighbours. */
CK_AVX512_INLINE __m512i multiply_one(__m512i codes, const activations256 *x, int i,
                                      const bool is_wide) {
  const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, x->high[i]);
  return is_wide ? _mm512_dpbusd_epi32(_mm512_slli_epi32(sum, 8), codes, x->low[i]) : sum;
}

/* The same of twice 64 codes on top of each other, with the `i`th activations and those after. */
CK_AVX512_INLINE __m512i multiply_two(__m512i a, __m512i b, const activations256 *x, int i,
                                      const bool is_wide) {
  __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), a, x->high[i]);
  sum = _mm512_dpbusd_epi32(sum, b, x->high[i + 1]);
  if (!is_wide) return sum;
  sum = _mm512_dpbusd_epi32(_mm512_slli_epi32(sum, 8), a, x->low[i]);
  return _mm512_dpbusd_epi32(sum, b, x->low[i + 1]);
}

/* The sums of the four 16-byte lanes of eight rows: sums[0] has, in each lane, those of rows 0 ..< 4, sums[1] those
 * of the others. */
CK_AVX512_INLINE void add_rows(const __m512i v[8], __m512i sums[2]) {
  __m512i w[4];
  for (int i = 0; i < 4; i++) {
    w[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                            _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  }
  for (int i = 0; i < 2; i++) {
    sums[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(w[2 * i], w[2 * i + 1]),
                               _mm512_unpackhi_epi64(w[2 * i], w[2 * i + 1]));
  }
}

/* Whole numbers of two groups from products of which each fills half a vector. */
CK_AVX512_INLINE void put_halves(__m256i *first, __m256i *second, const __m512i v[8]) {
  __m512i sums[2];
  add_rows(v, sums);
  const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  const __m512i both = _mm512_add_epi32(_mm512_permutex2var_epi64(sums[0], even, sums[1]),
                                        _mm512_permutex2var_epi64(sums[0], odd, sums[1]));
  *first = _mm512_castsi512_si256(both);
  *second = _mm512_extracti64x4_epi64(both, 1);
}

/* Whole numbers of four groups from products of which each fills a lane. */
CK_AVX512_INLINE void put_lanes(__m256i whole[4], const __m512i v[8]) {
  __m512i sums[2];
  add_rows(v, sums);
  const __m512i first = _mm512_permutex2var_epi64(sums[0], _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                                                  sums[1]);
  const __m512i last = _mm512_permutex2var_epi64(
      sums[0], _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), sums[1]);
  whole[0] = _mm512_castsi512_si256(first);
  whole[1] = _mm512_extracti64x4_epi64(first, 1);
  whole[2] = _mm512_castsi512_si256(last);
  whole[3] = _mm512_extracti64x4_epi64(last, 1);
}

/* Adds what 256 columns at `column` give. Codes are levels and OFFSET. */
CK_AVX512_INLINE __m256 add_columns(__m256 sums, const columns256 *c, const ck_token512 *x,
                                    size_t column, const bool has_minima, const int offset) {
  const float *steps = x->scales + column / 32;
  const int32_t *bias = x->bias + column / 32;
  for (int g = 0; g < GROUPS; g++) {
    __m256i whole = c->whole[g];
    if (offset) whole = _mm256_add_epi32(whole, _mm256_set1_epi32((bias[g] >> 7) * offset));
    sums = ck_add_group(sums, whole, c->scales[g], steps[g],
                        has_minima ? c->minima[g] : _mm256_setzero_ps(),
                        has_minima ? -0x1p-7f * steps[g] * (float)bias[g] : 0, has_minima);
  }
  return sums;
}

/* Fetches what comes next: of each row, and what lies behind the rows to the second cache, as eight streams are
 * more than the hardware follows. No multiple of a page, which is slower (Zen 4, rows of 2,048 columns of Q4_K: 22
 * GB/s a core with 18 KiB, 19 with 12 or 24, 8 without). */
enum { BYTES_AHEAD = 18 << 10 };

CK_AVX512_INLINE void fetch(const uint8_t *const rows[CK_HALF_ROWS], size_t offset, size_t bytes) {
  const uint8_t *next = rows[0] + BYTES_AHEAD + CK_HALF_ROWS * offset;
  for (size_t r = 0; r < CK_HALF_ROWS; r++) {
    for (size_t line = 0; line < bytes; line += 64) {
      _mm_prefetch((const char *)rows[r] + offset + 2 * bytes + line, _MM_HINT_T0);
      _mm_prefetch((const char *)next + r * bytes + line, _MM_HINT_T1);
    }
  }
}

/* Defines FUNCTION, the product of eight rows with one token, from
 *   void LOAD(__m512i to[4], const int8_t *values)
 *       256 activations in the order of the products
 *   void NAME_columns(const ck_block_NAME *const b[8], const activations256 *, columns256 *, bool is_wide)
 * Columns that are no multiple of 256 go the way of the other types, OTHERWISE. */
#define CK_DEFINE_BLOCK_ROWS(FUNCTION, OTHERWISE, NAME, LOAD, ELEMENTS, MINIMA, OFFSET, WIDE)           \
  CK_AVX512 void FUNCTION(const uint8_t *const rows[CK_HALF_ROWS], size_t columns, ck_token512 x,       \
                          float out[CK_HALF_ROWS]) {                                                    \
    if (columns % CK_SUPER) {                                                                           \
      OTHERWISE(rows, columns, x, out);                                                                 \
      return;                                                                                           \
    }                                                                                                   \
    const size_t bytes = CK_SUPER / (ELEMENTS) * sizeof(ck_block_##NAME);                               \
    __m256 sums = _mm256_setzero_ps();                                                                  \
    for (size_t column = 0, offset = 0; column < columns; column += CK_SUPER, offset += bytes) {        \
      const ck_block_##NAME *b[CK_HALF_ROWS];                                                           \
      for (size_t r = 0; r < CK_HALF_ROWS; r++) b[r] = (const void *)(rows[r] + offset);                \
      fetch(rows, offset, bytes);                                                                       \
      activations256 values;                                                                            \
      LOAD(values.high, x.high + column);                                                               \
      if (WIDE) LOAD(values.low, x.low + column);                                                       \
      columns256 c;                                                                                     \
      NAME##_columns(b, &values, &c, WIDE);                                                             \
      sums = add_columns(sums, &c, &x, column, MINIMA, OFFSET);                                         \
    }                                                                                                   \
    _mm256_storeu_ps(out, sums);                                                                        \
  }

#endif
#endif

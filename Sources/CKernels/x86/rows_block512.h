/* One token by rows with AVX-512, 256 columns of sixteen rows at a time.
 *
 * Processors give vectors of 64 bytes two of their units at most, so what counts is how many instructions they
 * take. Adding up across rows brings the rows side by side, and what is done once a group (scales, minima, offsets)
 * is done for sixteen rows at once. Scales are put side by side by copies of their bits, which need no vector unit,
 * and become numbers only where they are used: a load of weights waits for a recent store whose address has the same
 * lower 12 bits, so 2 KiB of results that wait on the stack cost a tenth of the speed (Emerald Rapids). */
#ifndef CK_ROWS_BLOCK512_H
#define CK_ROWS_BLOCK512_H

#include "define_levels.h"
#include "turn512.h"

#if defined(__x86_64__)

/* What 256 columns of the rows give: whole numbers, scales and minima of each group (eight of 32 columns or sixteen
 * of 16), a row in each lane. */
typedef struct {
  __m512i whole[CK_MOST_GROUPS];
  __m512 scales[CK_MOST_GROUPS], minima[CK_MOST_GROUPS];
} columns256;

/* Blocks `offset` bytes from the first of each of sixteen rows; `next` is the share of the next sixteen
 * rows' memory to fetch meanwhile, if rows lie one after the other. */
typedef struct {
  const uint8_t *const *rows;
  const uint8_t *next;
  size_t offset;
} blocks16;

CK_AVX512_INLINE const void *row_at(blocks16 b, int r) { return b.rows[r] + b.offset; }

/* The same, and fetches what comes next, of which `bytes` are 256 columns: of the row what lies two steps ahead to the
 * first cache; to the second, piece by piece in the order of memory, what lies behind all sixteen rows, whose streams
 * are more than the hardware follows. The kilobyte keeps it off a multiple of a page, which is slower (Zen 4). All
 * fetches at once would leave the loads behind them waiting. */
CK_AVX512_INLINE const void *take_row(blocks16 b, int r, const size_t bytes) {
  const uint8_t *row = row_at(b, r);
  for (size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch((const char *)row + 2 * bytes + line, _MM_HINT_T0);
    _mm_prefetch((const char *)b.next + (size_t)r * bytes + line, _MM_HINT_T1);
  }
  return row;
}

/* The activations of 256 columns: 64 bytes for each of four products. */
typedef struct {
  __m512i high[4], low[4];
} activations256;

/* 256 activations as they are. */
CK_AVX512_INLINE void load_in_order(__m512i to[4], const int8_t *values) {
  for (int i = 0; i < 4; i++) to[i] = load64(values + 64 * i);
}

CK_AVX512_INLINE __m512i load32_twice(const void *p) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p));
}

CK_AVX512_INLINE __m512i load16_four_times(const void *p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}

/* Products of 64 codes with the `i`th activations: lanes have the sums of four neighbours. */
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

/* Sums of neighbours, from two vectors of 32-bit numbers that fit into 16 bits. */
CK_AVX512_INLINE __m512i add_packed(__m512i a, __m512i b) {
  return _mm512_madd_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16(1));
}

CK_AVX512_INLINE __m512i even_and_odd(__m512i a, __m512i b) {
  const __m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);
  return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)),
                          _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xdd)));
}

/* The sums of the four 16-byte lanes of four rows, which stand side by side in each lane of the result.
 * `packs` (a constant): how many times sums of two numbers fit into 16 bits. */
CK_AVX512_INLINE __m512i add_rows(const __m512i v[4], const int packs) {
  if (packs > 0) {
    const __m512i a = add_packed(v[0], v[1]), b = add_packed(v[2], v[3]);
    return packs > 1 ? add_packed(a, b) : even_and_odd(a, b);
  }
  __m512i w[2];
  for (int i = 0; i < 2; i++) {
    w[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                            _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  }
  return _mm512_add_epi32(_mm512_unpacklo_epi64(w[0], w[1]), _mm512_unpackhi_epi64(w[0], w[1]));
}

/* Adds what `count` columns at `column` give, 256 or half of them; no group of 16 columns has minima. Codes are
 * levels and `offset`. */
CK_AVX512_INLINE __m512 add_columns(__m512 sums, const columns256 *c, const ck_token512 *x, size_t column,
                                    const size_t count, const size_t group, const bool has_minima,
                                    const int offset) {
  const size_t groups = count / group;
  const float *steps = x->scales + column / 32;
  const int32_t *bias = x->bias + column / group;
  _Alignas(64) int32_t less[CK_MOST_GROUPS];
  _Alignas(64) float shares[CK_MOST_GROUPS];
  for (size_t g = 0; g < groups; g += 8) {
    const __m256i own = _mm256_loadu_si256((const __m256i *)(const void *)(bias + g));
    if (offset) {
      const __m256i part = _mm256_mullo_epi32(_mm256_srai_epi32(own, 7), _mm256_set1_epi32(offset));
      _mm256_store_si256((__m256i *)(void *)(less + g), offset == 128 ? own : part);
    }
    if (has_minima) {
      const __m256 step = _mm256_mul_ps(_mm256_set1_ps(-0x1p-7f), _mm256_loadu_ps(steps + g));
      _mm256_store_ps(shares + g, _mm256_mul_ps(step, _mm256_cvtepi32_ps(own)));
    }
  }
  for (size_t g = 0; g < groups; g++) {
    const __m512i whole =
        offset ? _mm512_add_epi32(c->whole[g], _mm512_set1_epi32(less[g])) : c->whole[g];
    const __m512 scale = _mm512_mul_ps(c->scales[g], _mm512_set1_ps(steps[g * group / 32]));
    sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, sums);
    if (has_minima) sums = _mm512_fnmadd_ps(c->minima[g], _mm512_set1_ps(shares[g]), sums);
  }
  return sums;
}

/* Defines FUNCTION, the product of sixteen rows of a multiple of 256 columns with one token, from
 *   void LOAD(__m512i to[4], const int8_t *values)
 *       256 activations in the order of the products
 *   void NAME_columns(blocks16 rows, const activations256 *, columns256 *, bool is_wide)
 * for ELEMENTS weights a block, GROUP that share a scale, whether there are MINIMA, and codes that are levels and
 * OFFSET. LAST does the 128 columns that may be left. */
#define CK_DEFINE_BLOCK_ROWS(FUNCTION, NAME, LOAD, ELEMENTS, GROUP, MINIMA, OFFSET, WIDE, LAST)         \
  CK_AVX512 void FUNCTION(const uint8_t *const rows[CK_TILE_ROWS], size_t columns, ck_token512 x,       \
                          float out[CK_TILE_ROWS]) {                                                    \
    const size_t bytes = CK_SUPER / (ELEMENTS) * sizeof(ck_block_##NAME);                               \
    const size_t row_bytes = columns / (ELEMENTS) * sizeof(ck_block_##NAME);                            \
    __m512 sums = _mm512_setzero_ps();                                                                  \
    size_t column = 0, offset = 0;                                                                      \
    for (; column + CK_SUPER <= columns; column += CK_SUPER, offset += bytes) {                         \
      activations256 values;                                                                            \
      LOAD(values.high, x.high + column);                                                               \
      if (WIDE) LOAD(values.low, x.low + column);                                                       \
      columns256 c;                                                                                     \
      const blocks16 b = {rows, rows[0] + CK_TILE_ROWS * (row_bytes + offset) + 1024, offset};            \
      NAME##_columns(b, &values, &c, WIDE);                                                             \
      sums = add_columns(sums, &c, &x, column, CK_SUPER, GROUP, MINIMA, OFFSET);                        \
    }                                                                                                   \
    LAST(NAME, LOAD, GROUP, MINIMA, OFFSET, WIDE)                                                       \
    _mm512_storeu_ps(out, sums);                                                                        \
  }

#define CK_NO_HALF(NAME, LOAD, GROUP, MINIMA, OFFSET, WIDE)

/* The same of the first half of 256 columns: NAME_halves(..., 1, is_wide). Behind the activations there may be none
 * to load. */
#define CK_ADD_HALF(NAME, LOAD, GROUP, MINIMA, OFFSET, WIDE)                                            \
  if (column < columns) {                                                                               \
    _Alignas(64) int8_t padded[CK_SUPER] = {0};                                                         \
    activations256 values;                                                                              \
    memcpy(padded, x.high + column, CK_SUPER / 2);                                                      \
    LOAD(values.high, padded);                                                                          \
    if (WIDE) {                                                                                         \
      memcpy(padded, x.low + column, CK_SUPER / 2);                                                     \
      LOAD(values.low, padded);                                                                         \
    }                                                                                                   \
    columns256 c;                                                                                       \
    const blocks16 b = {rows, rows[0] + CK_TILE_ROWS * (row_bytes + offset) + 1024, offset};              \
    NAME##_halves(b, &values, &c, 1, WIDE);                                                             \
    sums = add_columns(sums, &c, &x, column, CK_SUPER / 2, GROUP, MINIMA, OFFSET);                      \
  }

/* Both widths of activations. */
#define CK_DEFINE_BOTH_ROWS(NAME, LOAD, GROUP, MINIMA, OFFSET)                                          \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_rows_##NAME, NAME, LOAD, 256, GROUP, MINIMA, OFFSET, true, CK_NO_HALF) \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_narrow_rows_##NAME, NAME, LOAD, 256, GROUP, MINIMA, OFFSET, false,     \
                       CK_NO_HALF)

/* The same of a type of blocks of 32, for a multiple of 128 columns, as slices of narrow experts have, from
 *   void NAME_halves(blocks16 rows, const activations256 *, columns256 *, int halves, bool is_wide)
 * in which `halves`, 1 or 2, is a constant. */
#define CK_DEFINE_HALF_ROWS(NAME, LOAD, OFFSET)                                                         \
  CK_AVX512_INLINE void NAME##_columns(blocks16 b, const activations256 *x, columns256 *c,              \
                                       const bool is_wide) {                                            \
    NAME##_halves(b, x, c, 2, is_wide);                                                                 \
  }                                                                                                     \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_rows_##NAME, NAME, LOAD, 32, 32, false, OFFSET, true, CK_ADD_HALF)     \
  CK_DEFINE_BLOCK_ROWS(ck_avx512_narrow_rows_##NAME, NAME, LOAD, 32, 32, false, OFFSET, false, CK_ADD_HALF)

#endif
#endif

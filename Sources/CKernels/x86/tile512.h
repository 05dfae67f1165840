/* Tiles of sixteen rows by 256 columns of quantised weights: decoded, and turned so that rows lie side
 * by side. */
#ifndef CK_TILE512_H
#define CK_TILE512_H

#include "avx512.h"

#if defined(__x86_64__)

/* Sixteen rows meet all tokens of a group in tiles of 256 columns. A tile is decoded row by row
 * (4 KiB), and turned round so that lane r of a vector holds four neighbouring levels of row r. One
 * byte product then serves sixteen rows, the four activations are the same for all of them, and a
 * group's scale meets its sum once for sixteen rows. A lane's sums are those of its row: first whole
 * numbers within a group, then float32 sums group by group in the order of the columns, whatever
 * number of rows and tokens is under way. */
enum { TOKEN_GROUP = 64 };

typedef struct {
  _Alignas(64) int8_t levels[CK_ROWS][CK_TILE_COLUMNS];
  _Alignas(64) float row_scales[CK_ROWS][CK_MOST_GROUPS];
  _Alignas(64) float row_minima[CK_ROWS][CK_MOST_GROUPS];
  /* Turned round: [columns / 4][row][4], 128 added. */
  _Alignas(64) uint8_t tile[CK_TILE_COLUMNS / 4][CK_ROWS][4];
  _Alignas(64) float scales[CK_MOST_GROUPS][CK_ROWS];
  _Alignas(64) float minima[CK_MOST_GROUPS][CK_ROWS];
  _Alignas(64) float sums[TOKEN_GROUP][CK_ROWS];
} scratch;

/* Sixteen rows of sixteen 32-bit elements, rows and columns exchanged. */
CK_AVX512_INLINE void transpose16(__m512i v[16]) {
  __m512i w[16];
  for (int i = 0; i < 16; i += 2) {
    w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(w[i], w[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(w[i], w[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(w[i + 1], w[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(w[i + 1], w[i + 3]);
  }
  /* v[4 * j + k], lane l: column 4 * l + k of rows 4 * j ..< 4 * j + 4. */
  for (int k = 0; k < 4; k++) {
    w[k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0x88);
    w[4 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0x88);
    w[8 + k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0xdd);
    w[12 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0xdd);
  }
  for (int k = 0; k < 4; k++) {
    v[k] = _mm512_shuffle_i32x4(w[k], w[4 + k], 0x88);
    v[8 + k] = _mm512_shuffle_i32x4(w[k], w[4 + k], 0xdd);
    v[4 + k] = _mm512_shuffle_i32x4(w[8 + k], w[12 + k], 0x88);
    v[12 + k] = _mm512_shuffle_i32x4(w[8 + k], w[12 + k], 0xdd);
  }
}

/* [row][group] to [group][row]. Eight groups or fewer need half the shuffles. */
CK_AVX512_INLINE void turn_floats(float (*to)[CK_ROWS], float (*from)[CK_MOST_GROUPS],
                                  size_t groups) {
  __m512i v[16];
  if (groups > 8) {
    for (int r = 0; r < CK_ROWS; r++) v[r] = _mm512_load_si512(from[r]);
    transpose16(v);
    for (size_t g = 0; g < groups; g++) _mm512_store_si512(to[g], v[g]);
    return;
  }
  __m512i w[8];
  for (int r = 0; r < 8; r++) {
    const __m256i upper = _mm256_load_si256((const __m256i *)(const void *)from[r + 8]);
    v[r] = _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)(const void *)from[r])), upper, 1);
  }
  for (int i = 0; i < 8; i += 2) {
    w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    v[i] = _mm512_unpacklo_epi64(w[i], w[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(w[i], w[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(w[i + 1], w[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(w[i + 1], w[i + 3]);
  }
  const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  for (int k = 0; k < 4; k++) {
    _mm512_store_si512(to[k], _mm512_permutex2var_epi64(v[k], low, v[4 + k]));
    _mm512_store_si512(to[4 + k], _mm512_permutex2var_epi64(v[k], high, v[4 + k]));
  }
}

/* Decodes `count` columns of sixteen rows and turns their scales. Meanwhile as much of the memory behind
 * the last row is fetched to the second cache, for the next sixteen rows. */
CK_AVX512_INLINE void load_rows(scratch *s, ck_levels *decode, const ck_level_type *type,
                                const uint8_t *const rows[CK_ROWS], size_t offset, size_t bytes,
                                size_t count) {
  const uint8_t *next = rows[CK_ROWS - 1] + (rows[1] - rows[0]) + CK_ROWS * offset;
  for (int r = 0; r < CK_ROWS; r++) {
    const uint8_t *at = rows[r] + offset;
    /* Sixteen streams are more than the hardware follows; two tiles ahead hides the second cache. */
    for (size_t line = 0; line < bytes; line += 64) {
      _mm_prefetch((const char *)at + 2 * bytes + line, _MM_HINT_T0);
      _mm_prefetch((const char *)next + (size_t)r * bytes + line, _MM_HINT_T1);
    }
    decode(at, count, s->levels[r], s->row_scales[r], s->row_minima[r]);
  }
  const size_t groups = count / type->group;
  turn_floats(s->scales, s->row_scales, groups);
  if (type->has_minima) turn_floats(s->minima, s->row_minima, groups);
}

/* Turns the levels of the tile. */
CK_AVX512_INLINE void turn_levels(scratch *s, size_t count) {
  const __m512i offset = _mm512_set1_epi8((char)0x80);
  for (size_t c = 0; c < count; c += 64) {
    __m512i v[16];
    for (int r = 0; r < CK_ROWS; r++) v[r] = _mm512_load_si512(s->levels[r] + c);
    transpose16(v);
    for (int i = 0; i < 16; i++) {
      _mm512_store_si512(s->tile[c / 4 + (size_t)i], _mm512_xor_si512(v[i], offset));
    }
  }
}

#endif
#endif

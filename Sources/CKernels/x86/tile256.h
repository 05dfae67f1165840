/* Tiles of sixteen rows by 256 columns of quantised weights: decoded, and turned so that rows lie side
 * by side. */
#ifndef CK_TILE256_H
#define CK_TILE256_H

#include "rows256.h"

#if defined(__x86_64__)

/* Sixteen rows, eight to a vector, meet all tokens of a group in tiles of 256 columns (8 KiB). Eight
 * rows are decoded and turned round 32 columns at a time, so that lane r of a vector holds two levels
 * of row r, 16 bits each. One product of pairs then serves eight rows, the two activations are the same
 * for all of them, and a group's scale meets its sum once for eight rows. A lane's sums are those of
 * its row: first whole numbers within a group, then float32 sums group by group in the order of the
 * columns, whatever number of rows and tokens is under way.
 *
 * 16-bit products give a cycle as many multiply-adds as 8-bit ones that have to be widened after each
 * product (32 on Zen 4), so activations lose nothing with weights that fill a byte. Products of smaller
 * ones with 8-bit activations can be added up in 16 bits before they are widened: of 4 bits all 32 of a
 * group, which is twice as fast. */
enum { CK_TILE_ROWS = 16, CK_TOKEN_GROUP = 128 };

/* Added to levels with signs for 8-bit products; the largest, of IQ3_XXS, is 62. */
enum { CK_NARROW_SIGNED = 64 };

typedef struct {
  _Alignas(64) float row_scales[CK_TILE_ROWS][CK_MOST_GROUPS];
  _Alignas(32) float row_minima[CK_TILE_ROWS][CK_MOST_GROUPS];
  union {
    /* Turned round: levels of columns 4i and 4i + 2, then of 4i + 1 and 4i + 3. */
    _Alignas(32) int16_t tile[CK_TILE_COLUMNS / 4][2][CK_TILE_ROWS][2];
    /* For 8-bit activations: bytes of columns 4i ..< 4i + 4. */
    _Alignas(64) uint8_t bytes[CK_TILE_COLUMNS / 4][CK_TILE_ROWS][4];
  };
  int offset; /* what `bytes` have on top of their levels */
  _Alignas(64) float scales[CK_MOST_GROUPS][CK_TILE_ROWS];
  _Alignas(64) float minima[CK_MOST_GROUPS][CK_TILE_ROWS];
  _Alignas(64) float sums[CK_TOKEN_GROUP][CK_TILE_ROWS];
} ck_scratch256;

/* [row][group] to [group][row]. */
CK_AVX2_INLINE void ck_turn_floats(float (*to)[CK_TILE_ROWS], float (*from)[CK_MOST_GROUPS],
                                   size_t groups) {
  for (size_t r = 0; r < CK_TILE_ROWS; r += 8) {
    for (size_t g = 0; g < groups; g += 8) {
      __m256i v[8];
      ck_transpose8(v, &from[r][g], sizeof from[0]);
      for (size_t i = 0; i < 8; i++) {
        _mm256_store_si256((__m256i *)(void *)&to[g + i][r], v[i]);
      }
    }
  }
}

/* Turns the scales of `groups` groups, and the minima if there are any. */
CK_AVX2_INLINE void ck_turn_scales(ck_scratch256 *s, size_t groups, const bool has_minima) {
  ck_turn_floats(s->scales, s->row_scales, groups);
  if (has_minima) ck_turn_floats(s->minima, s->row_minima, groups);
}

/* Puts down 32 columns from `c` on of eight rows from `r` on, turned round. */
CK_AVX2_INLINE void ck_put_turned(ck_scratch256 *s, size_t c, size_t r, const __m256i v[8]) {
  for (size_t i = 0; i < 8; i++) {
    _mm256_store_si256((__m256i *)(void *)s->tile[c / 4 + i][0][r], ck_even_bytes(v[i]));
    _mm256_store_si256((__m256i *)(void *)s->tile[c / 4 + i][1][r], ck_odd_bytes(v[i]));
  }
}

/* The same for products of 8-bit activations. */
CK_AVX2_INLINE void ck_put_turned_bytes(ck_scratch256 *s, size_t c, size_t r, const __m256i v[8]) {
  for (size_t i = 0; i < 8; i++) {
    _mm256_store_si256((__m256i *)(void *)s->bytes[c / 4 + i][r], v[i]);
  }
}

/* Fetches the next tile's part of row `r`, as sixteen streams are more than the hardware follows, and as
 * much of the memory two tiles further on to the second cache: AVX-512 works on two at a time. */
CK_AVX2_INLINE void ck_fetch_tile(const uint8_t *const rows[CK_TILE_ROWS], size_t r, size_t offset,
                                  size_t bytes) {
  const uint8_t *next = rows[0] + 2 * CK_TILE_ROWS * (rows[1] - rows[0]) + CK_TILE_ROWS * offset;
  for (size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch((const char *)rows[r] + offset + bytes + line, _MM_HINT_T0);
    _mm_prefetch((const char *)next + r * bytes + line, _MM_HINT_T1);
  }
}

/* Decodes `count` columns of sixteen rows, `offset` bytes into each, to the tile and its scales. */
typedef void ck_avx2_tile(const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t count,
                          ck_scratch256 *s);

#define CK_DECLARE_AVX2_TILE(NAME, GROUP, MINIMA) \
  ck_avx2_tile ck_avx2_tile_##NAME, ck_avx2_narrow_tile_##NAME, ck_avx512_tile_##NAME, \
      ck_avx512_any_tile_##NAME;
CK_EACH_LEVEL_TYPE(CK_DECLARE_AVX2_TILE)
#undef CK_DECLARE_AVX2_TILE

#endif
#endif

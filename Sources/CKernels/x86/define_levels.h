/* What makes the functions of a quantised type, AVX2's and AVX-512's, of how it decodes. */
#ifndef CK_DEFINE_LEVELS_H
#define CK_DEFINE_LEVELS_H

#include "levels256.h"
#include "rows512.h"

#if defined(__x86_64__)

/* Makes the functions of a type from
 *   void NAME_scales(const ck_block_NAME *, float *scales, float *minima, ck_block_note *)  of one block
 *   __m256i NAME_codes(const ck_block_NAME *, int g, const ck_block_note *)
 *       weights 32 * g ..< 32 * g + 32, as bytes: level + OFFSET
 * for ELEMENTS weights a block, GROUP that share a scale, and whether there are MINIMA. Codes have no
 * sign; an OFFSET of CK_SIGNED says that they are levels. */
#define CK_SIGNED 0x100
#define CK_DEFINE_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET) \
  CK_DEFINE_AVX2_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)  \
  CK_DEFINE_AVX512_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)

#define CK_DEFINE_AVX2_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                   \
  CK_AVX2_INLINE __m256i NAME##_levels(__m256i codes) {                                                \
    return _mm256_sub_epi8(codes, _mm256_set1_epi8((char)(OFFSET)));                                   \
  }                                                                                                    \
  CK_AVX2_INLINE __m256i NAME##_bytes(__m256i codes) { return ck_narrow_bytes(codes, OFFSET); }        \
  CK_AVX2_INLINE __m256i NAME##_wide_product(__m256i codes, const ck_token256 *x, size_t at) {         \
    return (OFFSET) == CK_SIGNED ? ck_multiply_levels(codes, x->values + at)                           \
                                 : ck_multiply_codes(codes, x->values + at);                           \
  }                                                                                                    \
  CK_AVX2_INLINE __m256i NAME##_narrow_product(__m256i codes, const ck_token256 *x, size_t at) {       \
    return ck_multiply_bytes(NAME##_bytes(codes), x->bytes + at, (OFFSET) == CK_BYTES_OFFSET);         \
  }                                                                                                    \
  CK_AVX2 CK_DEFINE_TILE(ck_avx2_tile_##NAME, NAME, ELEMENTS, GROUP, MINIMA, NAME##_levels,            \
                         ck_put_turned, 0)                                                             \
  CK_AVX2 CK_DEFINE_TILE(ck_avx2_narrow_tile_##NAME, NAME, ELEMENTS, GROUP, MINIMA, NAME##_bytes,      \
                         ck_put_turned_bytes, ck_narrow_offset(OFFSET))                                \
  CK_AVX2 CK_DEFINE_ROWS(ck_avx2_rows_##NAME, ck_token256, NAME, ELEMENTS, GROUP, MINIMA,              \
                         NAME##_wide_product, (OFFSET) == CK_SIGNED ? 0 : (OFFSET), ck_put_whole,      \
                         ck_add_panel)                                                                 \
  CK_AVX2 CK_DEFINE_ROWS(ck_avx2_narrow_rows_##NAME, ck_token256, NAME, ELEMENTS, GROUP, MINIMA,       \
                         NAME##_narrow_product, ck_narrow_offset(OFFSET), ck_put_whole, ck_add_panel)

#define CK_DEFINE_AVX512_TILE(FUNCTION, NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                         \
  CK_AVX512_INLINE __m256i NAME##_bytes512(__m256i codes) { return ck_bytes512(codes, OFFSET); }       \
  CK_AVX512 CK_DEFINE_TILE(FUNCTION, NAME, ELEMENTS, GROUP, MINIMA, NAME##_bytes512,                   \
                           ck_put_turned_bytes, 128)

#define CK_DEFINE_AVX512_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                 \
  CK_DEFINE_AVX512_TILE(ck_avx512_tile_##NAME, NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                  \
  CK_DEFINE_AVX512_ROWS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)

/* The same of a type that has a tile of its own for 256 columns (rows_16_512.c). */
#define CK_DEFINE_PACKED_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                 \
  CK_DEFINE_AVX2_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                         \
  CK_DEFINE_AVX512_TILE(ck_avx512_any_tile_##NAME, NAME, ELEMENTS, GROUP, MINIMA, OFFSET)              \
  CK_DEFINE_AVX512_ROWS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)

#define CK_DEFINE_AVX512_ROWS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                   \
  CK_AVX512_INLINE __m256i NAME##_wide_product512(__m256i codes, const ck_token512 *x, size_t at) {    \
    return ck_multiply_codes512(ck_codes512(codes, OFFSET), x, at, true);                              \
  }                                                                                                    \
  CK_AVX512_INLINE __m256i NAME##_narrow_product512(__m256i codes, const ck_token512 *x, size_t at) {  \
    return ck_multiply_codes512(ck_codes512(codes, OFFSET), x, at, false);                             \
  }                                                                                                    \
  CK_AVX512 CK_DEFINE_ROWS(ck_avx512_any_rows_##NAME, ck_token512, NAME, ELEMENTS, GROUP, MINIMA,      \
                           NAME##_wide_product512, ck_offset512(OFFSET), ck_put_whole512,              \
                           ck_add_panel512)                                                            \
  CK_AVX512 CK_DEFINE_ROWS(ck_avx512_any_narrow_rows_##NAME, ck_token512, NAME, ELEMENTS, GROUP,       \
                           MINIMA, NAME##_narrow_product512, ck_offset512(OFFSET), ck_put_whole512,    \
                           ck_add_panel512)

/* Codes that fill a byte: 8-bit products cannot take them without a sign. */
#define CK_BYTES_OFFSET 128

/* What 8-bit products take for codes: levels with their signs where codes fill a byte, else codes without
 * a sign, which are levels and this offset. */
CK_AVX2_INLINE int ck_narrow_offset(const int offset) {
  return offset == CK_BYTES_OFFSET ? 0 : offset == CK_SIGNED ? CK_NARROW_SIGNED : offset;
}

CK_AVX2_INLINE __m256i ck_narrow_bytes(__m256i codes, const int offset) {
  if (offset == CK_BYTES_OFFSET) return _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80));
  return offset == CK_SIGNED ? _mm256_add_epi8(codes, _mm256_set1_epi8(CK_NARROW_SIGNED)) : codes;
}

/* Defines FUNCTION, which decodes a tile: codes go through CONVERT and are put down by PUT; what results
 * is level + OFFSET. */
#define CK_DEFINE_TILE(FUNCTION, NAME, ELEMENTS, GROUP, MINIMA, CONVERT, PUT, OFFSET)                  \
  void FUNCTION(const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t count,                  \
                ck_scratch256 *s) {                                                                    \
    const size_t blocks = count / (ELEMENTS), in_block = (ELEMENTS) / (GROUP);                         \
    for (size_t first = 0; first < CK_TILE_ROWS; first += 8) {                                         \
      ck_block_note notes[8][CK_TILE_COLUMNS / (ELEMENTS)];                                            \
      const ck_block_##NAME *b[8];                                                                     \
      for (size_t r = 0; r < 8; r++) {                                                                 \
        const size_t row = first + r;                                                                  \
        b[r] = (const ck_block_##NAME *)(const void *)(rows[row] + offset);                            \
        ck_fetch_tile(rows, row, offset, blocks * sizeof *b[r]);                                       \
        for (size_t k = 0; k < blocks; k++) {                                                          \
          NAME##_scales(b[r] + k, s->row_scales[row] + k * in_block,                                   \
                        s->row_minima[row] + k * in_block, &notes[r][k]);                              \
        }                                                                                              \
      }                                                                                                \
      for (size_t c = 0; c < count; c += 32) {                                                         \
        const size_t block = c / (ELEMENTS), g = c % (ELEMENTS) / 32;                                  \
        __m256i v[8];                                                                                  \
        _Pragma("clang loop unroll(full)") for (size_t r = 0; r < 8; r++) {                            \
          v[r] = CONVERT(NAME##_codes(b[r] + block, (int)g, &notes[r][block]));                        \
        }                                                                                              \
        ck_transpose_vectors8(v);                                                                      \
        PUT(s, c, first, v);                                                                           \
      }                                                                                                \
    }                                                                                                  \
    ck_turn_scales(s, count / (GROUP), MINIMA);                                                        \
    s->offset = OFFSET;                                                                                \
  }

/* The products of weights 32 * i ..< 32 * i + 32 from block `b` on, whose first column is `at`. */
#define CK_PART(NAME, ELEMENTS, PRODUCT, i)                                                            \
  PRODUCT(NAME##_codes(b + (i) / ((ELEMENTS) / 32), (int)((i) % ((ELEMENTS) / 32)),                    \
                       notes + ((ELEMENTS) == 256 ? 0 : (i) / ((ELEMENTS) / 32))),                     \
          &x, at + 32 * (i))

/* Defines FUNCTION, the product of eight rows with one token: PRODUCT multiplies 32 codes, PUT_WHOLE takes
 * their OFFSET back, ADD_PANEL gives the sums. */
#define CK_DEFINE_ROWS(FUNCTION, TOKEN, NAME, ELEMENTS, GROUP, MINIMA, PRODUCT, OFFSET, PUT_WHOLE,     \
                       ADD_PANEL)                                                                      \
  void FUNCTION(const uint8_t *const rows[CK_HALF_ROWS], size_t columns, TOKEN x,                      \
                float out[CK_HALF_ROWS]) {                                                             \
    ck_panel p;                                                                                        \
    __m256 sums = _mm256_setzero_ps();                                                                 \
    for (size_t column = 0; column < columns; column += CK_PANEL_COLUMNS) {                            \
      const size_t left = columns - column;                                                            \
      const size_t count = left < CK_PANEL_COLUMNS ? left : CK_PANEL_COLUMNS;                          \
      for (size_t r = 0; r < CK_HALF_ROWS; r++) {                                                      \
        const ck_block_##NAME *b =                                                                     \
            (const ck_block_##NAME *)(const void *)rows[r] + column / (ELEMENTS);                      \
        for (size_t c = 0; c < count; c += CK_TILE_COLUMNS, b += CK_TILE_COLUMNS / (ELEMENTS)) {       \
          const size_t parts = count - c < CK_TILE_COLUMNS ? (count - c) / 32 : 8;                     \
          const size_t g = c / (GROUP);                                                                \
          const size_t at = column + c;                                                                \
          ck_block_note notes[CK_TILE_COLUMNS / (ELEMENTS)];                                           \
          ck_fetch_ahead(b, CK_TILE_COLUMNS / (ELEMENTS) * sizeof *b);                                 \
          for (size_t k = 0; k < parts / ((ELEMENTS) / 32); k++) {                                     \
            const size_t first = g + k * ((ELEMENTS) / (GROUP));                                       \
            NAME##_scales(b + k, p.scales[r] + first, p.minima[r] + first, notes + k);                 \
          }                                                                                            \
          __m256i v[8];                                                                                \
          if (parts == 8) {                                                                            \
            _Pragma("clang loop unroll(full)") for (size_t i = 0; i < 8; i++) {                        \
              v[i] = CK_PART(NAME, ELEMENTS, PRODUCT, i);                                              \
            }                                                                                          \
          } else {                                                                                     \
            for (size_t i = 0; i < 8; i++) {                                                           \
              v[i] = i < parts ? CK_PART(NAME, ELEMENTS, PRODUCT, i) : _mm256_setzero_si256();         \
            }                                                                                          \
          }                                                                                            \
          PUT_WHOLE(p.whole[r] + g, v, GROUP, OFFSET, &x, column / (GROUP) + g);                       \
        }                                                                                              \
      }                                                                                                \
      sums = ADD_PANEL(&p, sums, &x, column, count / (GROUP), GROUP, MINIMA);                          \
    }                                                                                                  \
    _mm256_storeu_ps(out, sums);                                                                       \
  }

#endif
#endif

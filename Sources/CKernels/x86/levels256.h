/* What the AVX2 kernels of the quantised types share: what decodes to levels, and what makes a type's
 * functions of it. */
#ifndef CK_LEVELS256_H
#define CK_LEVELS256_H

#include "../internal/levels.h"
#include "tile256.h"

#if defined(__x86_64__)

CK_AVX2_INLINE __m256i ck_load32(const void *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

CK_AVX2_INLINE void ck_put32(int8_t *levels, __m256i v) {
  _mm256_storeu_si256((__m256i *)(void *)levels, v);
}

CK_AVX2_INLINE __m256i ck_shift_right(__m256i v, int bits) {
  return _mm256_srl_epi16(v, _mm_cvtsi32_si128(bits));
}

/* Low nibbles of 32 bytes, or high ones. */
CK_AVX2_INLINE __m256i ck_nibbles32(const uint8_t *qs, bool are_high) {
  return _mm256_and_si256(ck_shift_right(ck_load32(qs), are_high ? 4 : 0), _mm256_set1_epi8(15));
}

/* 16 bytes to 32 nibbles, the low ones first. */
CK_AVX2_INLINE __m256i ck_nibbles16(const uint8_t *qs) {
  const __m256i q = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)qs));
  const __m256i both = _mm256_srlv_epi64(q, _mm256_setr_epi64x(0, 0, 4, 4));
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

CK_AVX2_INLINE float ck_half(uint16_t h) { return _mm256_cvtss_f32(ck_half8(h)); }

/* The value tables of tables.h, made positive: 128 and 12 added. */
static const _Alignas(16) uint8_t ck_iq4_codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                      129, 141, 153, 166, 181, 197, 217, 241};
static const _Alignas(16) uint8_t ck_fp4_codes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                      12, 11, 10, 9,  8,  6,  4,  0};

/* A table of sixteen bytes, once in each lane. */
CK_AVX2_INLINE __m256i ck_table16(const uint8_t values[16]) {
  return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)values));
}

/* Byte i all ones if bit i of the 32 bits, which every 32-bit lane of `bits` holds, is set. */
CK_AVX2_INLINE __m256i ck_spread_bits(__m256i bits) {
  const __m256i own_byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i own_bit = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
  const __m256i bytes = _mm256_shuffle_epi8(bits, own_byte);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own_bit), own_bit);
}

/* -v where the mask is set. */
CK_AVX2_INLINE __m256i ck_negate_where(__m256i v, __m256i is_negative) {
  return _mm256_sub_epi8(_mm256_xor_si256(v, is_negative), is_negative);
}

/* factor * each of eight bytes, which have no sign. */
CK_AVX2_INLINE void ck_put_scales8(float *scales, uint64_t bytes, __m256 factor) {
  const __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
  _mm256_storeu_ps(scales, _mm256_mul_ps(factor, _mm256_cvtepi32_ps(v)));
}

/* Rows are fetched ahead, from memory to the second cache and from there to the first: the hardware alone
 * does not keep up, and the first cache alone can have too few misses under way (Q8_0, one core of Zen 4,
 * 31 GB/s read: 9 GB/s without, 14.6 with the near fetch, 20.5 with both). */
CK_AVX2_INLINE void ck_fetch_ahead(const void *blocks, size_t bytes) {
  for (size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch((const char *)blocks + 1024 + line, _MM_HINT_T0);
    _mm_prefetch((const char *)blocks + 8192 + line, _MM_HINT_T1);
  }
}

/* What a block says once, for its groups. */
typedef struct {
  _Alignas(32) uint32_t signs[8];
} ck_block_note;

/* Makes the functions of a type from
 *   void NAME_scales(const ck_block_NAME *, float *scales, float *minima, ck_block_note *)  of one block
 *   __m256i NAME_codes(const ck_block_NAME *, int g, const ck_block_note *)
 *       weights 32 * g ..< 32 * g + 32, as bytes: level + OFFSET
 * for ELEMENTS weights a block, GROUP that share a scale, and whether there are MINIMA. Codes have no
 * sign; an OFFSET of CK_SIGNED says that they are levels. */
#define CK_SIGNED 0x100
#define CK_DEFINE_AVX2_LEVELS(NAME, ELEMENTS, GROUP, MINIMA, OFFSET)                                   \
  CK_AVX2_INLINE __m256i NAME##_levels(__m256i codes) {                                                \
    return _mm256_sub_epi8(codes, _mm256_set1_epi8((char)(OFFSET)));                                   \
  }                                                                                                    \
  CK_AVX2_INLINE __m256i NAME##_bytes(__m256i codes) { return ck_narrow_bytes(codes, OFFSET); }        \
  CK_AVX2_INLINE __m256i NAME##_wide_product(__m256i codes, const int16_t *values, size_t i) {         \
    return (OFFSET) == CK_SIGNED ? ck_multiply_levels(codes, values + 32 * i)                          \
                                 : ck_multiply_codes(codes, values + 32 * i);                          \
  }                                                                                                    \
  CK_AVX2_INLINE __m256i NAME##_narrow_product(__m256i codes, const int8_t *values, size_t i) {        \
    return ck_multiply_bytes(NAME##_bytes(codes), values + 32 * i, (OFFSET) == CK_BYTES_OFFSET);       \
  }                                                                                                    \
  CK_DEFINE_AVX2_TILE(tile, NAME, ELEMENTS, GROUP, MINIMA, NAME##_levels, ck_put_turned, 0)            \
  CK_DEFINE_AVX2_TILE(narrow_tile, NAME, ELEMENTS, GROUP, MINIMA, NAME##_bytes, ck_put_turned_bytes,   \
                      ck_narrow_offset(OFFSET))                                                        \
  CK_DEFINE_AVX2_ROWS(rows, NAME, ELEMENTS, GROUP, MINIMA, NAME##_wide_product, int16_t, values,       \
                      (OFFSET) == CK_SIGNED ? 0 : (OFFSET))                                            \
  CK_DEFINE_AVX2_ROWS(narrow_rows, NAME, ELEMENTS, GROUP, MINIMA, NAME##_narrow_product, int8_t, bytes, \
                      ck_narrow_offset(OFFSET))

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

#define CK_DEFINE_AVX2_TILE(KIND, NAME, ELEMENTS, GROUP, MINIMA, CONVERT, PUT, OFFSET)                 \
  CK_AVX2 void ck_avx2_##KIND##_##NAME(const uint8_t *const rows[CK_TILE_ROWS], size_t offset,         \
                                       size_t count, ck_scratch256 *s) {                               \
    const size_t blocks = count / (ELEMENTS), in_block = (ELEMENTS) / (GROUP);                         \
    for (size_t first = 0; first < CK_TILE_ROWS; first += 8) {                                         \
      ck_block_note notes[8][8];                                                                       \
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

#define CK_DEFINE_AVX2_ROWS(KIND, NAME, ELEMENTS, GROUP, MINIMA, PRODUCT, VALUE, VALUES, OFFSET)       \
  CK_AVX2_INLINE __m256i NAME##_##KIND##_part(const ck_block_##NAME *b, size_t i,                      \
                                              const ck_block_note *notes, const VALUE *values) {       \
    const size_t block = i / ((ELEMENTS) / 32), g = i % ((ELEMENTS) / 32);                             \
    const ck_block_note *note = notes + ((ELEMENTS) == 256 ? 0 : block);                               \
    return PRODUCT(NAME##_codes(b + block, (int)g, note), values, i);                                  \
  }                                                                                                    \
  CK_AVX2 void ck_avx2_##KIND##_##NAME(const uint8_t *const rows[CK_HALF_ROWS], size_t columns,        \
                                       ck_token256 x, float out[CK_HALF_ROWS]) {                       \
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
          const VALUE *values = x.VALUES + column + c;                                                 \
          ck_block_note notes[8];                                                                      \
          ck_fetch_ahead(b, CK_TILE_COLUMNS / (ELEMENTS) * sizeof *b);                                 \
          for (size_t k = 0; k < parts / ((ELEMENTS) / 32); k++) {                                     \
            const size_t first = g + k * ((ELEMENTS) / (GROUP));                                       \
            NAME##_scales(b + k, p.scales[r] + first, p.minima[r] + first, notes + k);                 \
          }                                                                                            \
          __m256i v[8];                                                                                \
          if (parts == 8) {                                                                            \
            _Pragma("clang loop unroll(full)") for (size_t i = 0; i < 8; i++) {                        \
              v[i] = NAME##_##KIND##_part(b, i, notes, values);                                        \
            }                                                                                          \
          } else {                                                                                     \
            for (size_t i = 0; i < 8; i++) {                                                           \
              v[i] = i < parts ? NAME##_##KIND##_part(b, i, notes, values) : _mm256_setzero_si256();   \
            }                                                                                          \
          }                                                                                            \
          ck_put_whole(p.whole[r] + g, v, GROUP, OFFSET, x.whole + column / (GROUP) + g);              \
        }                                                                                              \
      }                                                                                                \
      sums = ck_add_panel(&p, sums, x, column, count / (GROUP), GROUP, MINIMA);                        \
    }                                                                                                  \
    _mm256_storeu_ps(out, sums);                                                                       \
  }

#endif
#endif

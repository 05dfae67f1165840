/* One token by rows of the types with 16 bytes for 32 weights of 4 bits, IQ4_XS, IQ4_NL, MXFP4 and Q4_0, with
 * AVX-512, and their tiles. The layouts are those of decode_table.c and decode_blocks32.c. */
#include "rows_block512.h"

#if defined(__x86_64__)

/* Of four groups the first sixteen columns, then the last sixteen: what low and high nibbles are. */
CK_AVX512_INLINE void load_quarters(__m512i to[4], const int8_t *values) {
  for (int half = 0; half < 2; half++) {
    const __m512i a = load64(values + 128 * half), b = load64(values + 128 * half + 64);
    to[2 * half] = _mm512_shuffle_i32x4(a, b, 0x88);
    to[2 * half + 1] = _mm512_shuffle_i32x4(a, b, 0xdd);
  }
}

CK_AVX512_INLINE __m512i table(const uint8_t codes[16]) {
  return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)codes));
}

/* Products of 128 columns from the nibbles `q` of four groups. `values` has what they stand for, four times, so that
 * no more than the low nibble of an index counts; codes that are the nibbles need none. */
CK_AVX512_INLINE __m512i multiply_nibbles(__m512i q, __m512i values, const bool has_table,
                                          const activations256 *x, int half, const bool is_wide) {
  const __m512i upper = _mm512_srli_epi16(q, 4);
  return has_table ? multiply_two(_mm512_permutexvar_epi8(q, values),
                                  _mm512_permutexvar_epi8(upper, values), x, 2 * half, is_wide)
                   : multiply_two(low_nibbles(q), low_nibbles(upper), x, 2 * half, is_wide);
}

/* Scales from a block's first eight bytes: the half, eight times 2 high bits, eight times 4 low ones. */
CK_AVX512_INLINE void put_xs_scales(__m512 scales[8], __m512i first, __m512i lows) {
  const __m512i highs = _mm512_srli_epi32(first, 16);
  const __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(first));
  for (unsigned g = 0; g < 8; g++) {
    const __m512i high = g < 2 ? _mm512_slli_epi32(highs, 4 - 2 * g) : _mm512_srli_epi32(highs, 2 * g - 4);
    const __m512i six =
        _mm512_ternarylogic_epi32(_mm512_set1_epi32(15), _mm512_srli_epi32(lows, 4 * g),
                                  _mm512_and_si512(high, _mm512_set1_epi32(48)), 0xca);
    scales[g] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32))));
  }
}

CK_AVX512_INLINE void IQ4_XS_columns(blocks16 b, const activations256 *x, columns256 *c,
                                     const bool is_wide) {
  _Alignas(64) uint32_t words[2][CK_TILE_ROWS];
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const uint8_t *head = row_at(b, r);
    copy_word(&words[0][r], head);
    copy_word(&words[1][r], head + 4);
  }
  const __m512i values = table(ck_iq4_codes);
  __m512i sums[2][4];
  for (int i = 0; i < 4; i++) {
    __m512i v[2][4];
    for (int r = 0; r < 4; r++) {
      const ck_block_IQ4_XS *block = take_row(b, 4 * i + r, sizeof *block);
      for (int half = 0; half < 2; half++) {
        v[half][r] = multiply_nibbles(load64(block->qs + 64 * half), values, true, x, half, is_wide);
      }
    }
    for (int half = 0; half < 2; half++) sums[half][i] = add_rows(v[half], 0);
  }
  for (int half = 0; half < 2; half++) put_lanes(c->whole + 4 * half, 1, sums[half]);
  put_xs_scales(c->scales, _mm512_load_si512(words[0]), _mm512_load_si512(words[1]));
}

/* Puts down the half of a tile that sixteen words of nibbles make, turned before they are looked up: four words are
 * those of a group's first sixteen columns, and of its last. Codes that are the nibbles get `more`. */
CK_AVX512_INLINE void put_nibbles(ck_scratch256 *s, size_t half, const __m512i v[16], __m512i values,
                                  const bool has_table, __m512i more) {
  for (size_t i = 0; i < 16; i++) {
    const size_t first = 32 * half + i / 4 * 8 + i % 4;
    const __m512i low = v[i], high = _mm512_srli_epi16(v[i], 4);
    put_bytes(s, first, has_table ? _mm512_permutexvar_epi8(low, values)
                                  : _mm512_add_epi8(low_nibbles(low), more));
    put_bytes(s, first + 4, has_table ? _mm512_permutexvar_epi8(high, values)
                                      : _mm512_add_epi8(low_nibbles(high), more));
  }
}

CK_AVX512 void ck_avx512_tile_IQ4_XS(const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t count,
                                     ck_scratch256 *s) {
  (void)count; /* blocks have 256 columns */
  _Alignas(64) uint32_t words[2][CK_TILE_ROWS];
  const __m512i values = table(ck_iq4_codes);
  for (size_t half = 0; half < 2; half++) {
    __m512i v[CK_TILE_ROWS];
    for (size_t r = 0; r < CK_TILE_ROWS; r++) {
      const ck_block_IQ4_XS *b = (const void *)(rows[r] + offset);
      if (half == 0) {
        ck_fetch_tile(rows, r, offset, sizeof *b);
        copy_word(&words[0][r], b);
        copy_word(&words[1][r], b->scales_l);
      }
      v[r] = load64(b->qs + 64 * half);
    }
    turn16(v);
    put_nibbles(s, half, v, values, true, _mm512_setzero_si512());
  }
  put_xs_scales((__m512 *)(void *)s->scales, _mm512_load_si512(words[0]), _mm512_load_si512(words[1]));
  s->offset = 128;
}

/* The nibbles of four blocks, which are `stride` bytes apart. */
CK_AVX512_INLINE __m512i four_blocks(const uint8_t *qs, size_t stride) {
  const __m128i *p[4];
  for (size_t i = 0; i < 4; i++) p[i] = (const __m128i *)(const void *)(qs + i * stride);
  __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(p[0]));
  v = _mm512_inserti32x4(v, _mm_loadu_si128(p[1]), 1);
  v = _mm512_inserti32x4(v, _mm_loadu_si128(p[2]), 2);
  return _mm512_inserti32x4(v, _mm_loadu_si128(p[3]), 3);
}

/* Sixteen floats of exponents (ck_float_from_half_e8m0). */
CK_AVX512_INLINE __m512 from_exponents(const uint8_t exponents[CK_TILE_ROWS]) {
  const __m512i e = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(const void *)exponents));
  const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
  const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
  return _mm512_castsi512_ps(_mm512_mask_blend_epi32(
      _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2)), normal, subnormal));
}

/* A type of blocks of 32: its scales, WORDs in MEMBER that COPY copies, by FROM; its CODES, or the nibbles
 * themselves; how many times sums can be PACKED. */
#define COLUMNS(NAME, WORD, COPY, MEMBER, FROM, CODES, HAS_TABLE, PACKS)                                      \
  CK_AVX512_INLINE void NAME##_halves(blocks16 b, const activations256 *x, columns256 *c,               \
                                      const int halves, const bool is_wide) {                           \
    _Alignas(64) WORD words[8][CK_TILE_ROWS];                                                           \
    for (int r = 0; r < CK_TILE_ROWS; r++) {                                                            \
      const ck_block_##NAME *blocks = row_at(b, r);                                                     \
      for (int g = 0; g < 4 * halves; g++) COPY(&words[g][r], &blocks[g].MEMBER);                       \
    }                                                                                                   \
    const __m512i values = table(CODES);                                                                \
    __m512i sums[2][4];                                                                                 \
    for (int i = 0; i < 4; i++) {                                                                       \
      __m512i v[2][4];                                                                                  \
      for (int r = 0; r < 4; r++) {                                                                     \
        const ck_block_##NAME *blocks = take_row(b, 4 * i + r, 4 * (size_t)halves * sizeof *blocks);    \
        for (int half = 0; half < halves; half++) {                                                     \
          const __m512i q = four_blocks(blocks[4 * half].qs, sizeof *blocks);                           \
          v[half][r] = multiply_nibbles(q, values, HAS_TABLE, x, half, is_wide);                        \
        }                                                                                               \
      }                                                                                                 \
      for (int half = 0; half < halves; half++) sums[half][i] = add_rows(v[half], is_wide ? 0 : PACKS); \
    }                                                                                                   \
    for (int half = 0; half < halves; half++) put_lanes(c->whole + 4 * half, 1, sums[half]);            \
    for (int g = 0; g < 4 * halves; g++) c->scales[g] = FROM(words[g]);                                 \
  }

/* A tile of the same; less than half of its columns go the way of other types. Codes are levels and OFFSET. */
#define TILE(NAME, WORD, COPY, MEMBER, FROM, CODES, HAS_TABLE, OFFSET)                                  \
  CK_AVX512 void ck_avx512_tile_##NAME(const uint8_t *const rows[CK_TILE_ROWS], size_t offset,          \
                                       size_t count, ck_scratch256 *s) {                                \
    if (count % (CK_TILE_COLUMNS / 2)) {                                                                \
      ck_avx512_any_tile_##NAME(rows, offset, count, s);                                                \
      return;                                                                                           \
    }                                                                                                   \
    _Alignas(64) WORD words[8][CK_TILE_ROWS];                                                           \
    const size_t halves = count / (CK_TILE_COLUMNS / 2);                                                \
    const __m512i more = _mm512_set1_epi8((char)(128 - (OFFSET)));                                      \
    const __m512i values = _mm512_add_epi8(table(CODES), more);                                         \
    for (size_t half = 0; half < halves; half++) {                                                      \
      __m512i v[CK_TILE_ROWS];                                                                          \
      for (size_t r = 0; r < CK_TILE_ROWS; r++) {                                                       \
        const ck_block_##NAME *b = (const void *)(rows[r] + offset);                                    \
        if (half == 0) ck_fetch_tile(rows, r, offset, 4 * halves * sizeof *b);                          \
        for (size_t g = 4 * half; g < 4 * half + 4; g++) COPY(&words[g][r], &b[g].MEMBER);              \
        v[r] = four_blocks(b[4 * half].qs, sizeof *b);                                                  \
      }                                                                                                 \
      turn16(v);                                                                                        \
      put_nibbles(s, half, v, values, HAS_TABLE, more);                                                 \
    }                                                                                                   \
    for (size_t g = 0; g < 4 * halves; g++) _mm512_store_ps(s->scales[g], FROM(words[g]));              \
    s->offset = 128;                                                                                    \
  }

/* Eight products of a code of 24 at most are less than 2^15. */
COLUMNS(MXFP4, uint8_t, copy_byte, e, from_exponents, ck_fp4_codes, true, 1)
COLUMNS(IQ4_NL, uint16_t, copy_half, d, from_halves, ck_iq4_codes, true, 0)
COLUMNS(Q4_0, uint16_t, copy_half, d, from_halves, ck_iq4_codes, false, 2)

TILE(MXFP4, uint8_t, copy_byte, e, from_exponents, ck_fp4_codes, true, 12)
TILE(IQ4_NL, uint16_t, copy_half, d, from_halves, ck_iq4_codes, true, 128)
TILE(Q4_0, uint16_t, copy_half, d, from_halves, ck_iq4_codes, false, 8)

CK_DEFINE_BOTH_ROWS(IQ4_XS, load_quarters, 32, false, 128)
CK_DEFINE_HALF_ROWS(IQ4_NL, load_quarters, 128)
CK_DEFINE_HALF_ROWS(MXFP4, load_quarters, 12)
CK_DEFINE_HALF_ROWS(Q4_0, load_quarters, 8)

#endif

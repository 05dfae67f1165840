/* IQ3_XXS with AVX-512, whose byte permutations look the book up in registers. The layout is that of
 * decode_iq.c. */
#include "define_levels.h"

#include "../internal/codebooks.h"

#if defined(__x86_64__)

/* The book, a plane for each two of a row's four values: the number of the first one's magnitude in the
 * low nibble, that of the second in the high one. */
#define PAIR0(code) ((code) & 7) | ((code) >> 3 & 7) << 4,
#define PAIR1(code) ((code) >> 6 & 7) | ((code) >> 9 & 7) << 4,
static const _Alignas(64) uint8_t pairs[2][256] = {{CK_IQ3_XXS_CODES(PAIR0)},
                                                   {CK_IQ3_XXS_CODES(PAIR1)}};
/* The magnitudes, 128 added. */
#define MAGNITUDE(n) 128 + CK_IQ3_XXS_VALUE(n)
static const _Alignas(16) uint8_t magnitudes[16] = {
    MAGNITUDE(0), MAGNITUDE(1), MAGNITUDE(2), MAGNITUDE(3),
    MAGNITUDE(4), MAGNITUDE(5), MAGNITUDE(6), MAGNITUDE(7)};

/* Value j of the rows with 64 indices is planes[j]. Two lookups of 128 entries, chosen by the top bit;
 * they take twice as long as other shuffles (Zen 4), so each brings two values. */
CK_AVX512_INLINE void look_up(__m512i planes[4], __m512i index) {
  const __m512i values =
      _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)magnitudes));
  const __mmask64 is_upper = _mm512_movepi8_mask(index);
  for (int i = 0; i < 2; i++) {
    const uint8_t *book = pairs[i];
    const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(book), index,
                                                 _mm512_load_si512(book + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(book + 128), index,
                                                  _mm512_load_si512(book + 192));
    const __m512i both = _mm512_mask_blend_epi8(is_upper, low, high);
    /* Neither nibble's top bit is set, so what shifts in from the neighbour does not matter. */
    planes[2 * i] = _mm512_shuffle_epi8(values, both);
    planes[2 * i + 1] = _mm512_shuffle_epi8(values, _mm512_srli_epi16(both, 4));
  }
}

/* The scales and signs of a block's eight groups. */
CK_AVX512_INLINE __m256i packed_of(const ck_block_IQ3_XXS *b) {
  return _mm256_loadu_si256((const __m256i *)(const void *)b->scales_and_signs);
}

CK_AVX512_INLINE void put_scales(float *scales, const ck_block_IQ3_XXS *b, __m256i packed) {
  const __m256 small = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 28));
  _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_set1_ps(0.5f * _cvtsh_ss(b->d)),
                                         _mm256_add_ps(small, _mm256_set1_ps(0.5f))));
}

/* The 256 signs of a block, one bit a weight, in order: of each 32-bit word the four 7-bit indices, and
 * their parities. */
CK_AVX512_INLINE __m256i signs_of(__m256i packed) {
  const __m256i fields = _mm256_set1_epi64x(0x352e2720150e0700LL);
  const __m256i index = _mm256_and_si256(_mm256_multishift_epi64_epi8(fields, packed),
                                         _mm256_set1_epi8(0x7f));
  const __m256i odd = _mm256_and_si256(_mm256_popcnt_epi8(index), _mm256_set1_epi8(1));
  return _mm256_or_si256(index, _mm256_slli_epi16(odd, 7));
}

/* 128 + v to 128 - v where there is a sign. */
CK_AVX512_INLINE __m512i with_signs(__m512i v, __mmask64 signs) {
  return _mm512_mask_sub_epi8(v, signs, _mm512_setzero_si512(), v);
}

typedef ck_block_IQ3_XXS ck_block_IQ3_XXS_512;

CK_AVX512_INLINE void IQ3_XXS_512_scales(const ck_block_IQ3_XXS *b, float *scales, float *minima,
                                         ck_block_note *note) {
  (void)minima;
  /* Unpacking works in lanes of 16 bytes; in this order of indices its results are in order. */
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i packed = packed_of(b);
  put_scales(scales, b, packed);
  uint64_t signs[4];
  _mm256_storeu_si256((__m256i *)(void *)signs, signs_of(packed));
  const __m512i index = _mm512_permutexvar_epi32(order, _mm512_loadu_si512(b->qs));
  __m512i p[4];
  look_up(p, index);
  const __m512i low01 = _mm512_unpacklo_epi8(p[0], p[1]), high01 = _mm512_unpackhi_epi8(p[0], p[1]);
  const __m512i low23 = _mm512_unpacklo_epi8(p[2], p[3]), high23 = _mm512_unpackhi_epi8(p[2], p[3]);
  const __m512i in_order[4] = {
      _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
      _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
  for (int i = 0; i < 4; i++) {
    _mm512_store_si512(note->codes + 64 * i, with_signs(in_order[i], signs[i]));
  }
}

CK_AVX512_INLINE __m256i IQ3_XXS_512_codes(const ck_block_IQ3_XXS *b, int g,
                                           const ck_block_note *note) {
  (void)b;
  return _mm256_load_si256((const __m256i *)(const void *)(note->codes + 32 * g));
}

CK_AVX512_INLINE __m256i as_it_is(__m256i codes) { return codes; }

CK_AVX512 CK_DEFINE_TILE(ck_avx512_tile_IQ3_XXS, IQ3_XXS_512, 256, 32, false, as_it_is,
                         ck_put_turned_bytes, 128)

/* Activations of a panel, those of each 256 columns in four planes as the book has them. */
typedef struct {
  _Alignas(64) int8_t high[CK_PANEL_COLUMNS], low[CK_PANEL_COLUMNS];
} turned_activations;

CK_AVX512_INLINE void turn_activations(int8_t *to, const int8_t *from, size_t count) {
  /* Bytes 0, 4, 8 ... of 64, then 1, 5, 9 ..., and so on. */
  const __m512i by_place = _mm512_add_epi8(
      _mm512_slli_epi16(_mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                                             12, 13, 14, 15)), 2),
      _mm512_setr_epi64(0, 0, 0x0101010101010101, 0x0101010101010101, 0x0202020202020202,
                        0x0202020202020202, 0x0303030303030303, 0x0303030303030303));
  for (size_t c = 0; c < count; c += 256) {
    __m512i v[4];
    for (size_t i = 0; i < 4; i++) {
      v[i] = _mm512_permutexvar_epi8(by_place, _mm512_loadu_si512(from + c + 64 * i));
    }
    /* v[i], lane j: plane j of columns 64 * i ..< 64 * i + 64. */
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    const __m512i d = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
    const __m512i e = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
    _mm512_store_si512(to + c, _mm512_shuffle_i32x4(a, b, 0x88));
    _mm512_store_si512(to + c + 64, _mm512_shuffle_i32x4(a, b, 0xdd));
    _mm512_store_si512(to + c + 128, _mm512_shuffle_i32x4(d, e, 0x88));
    _mm512_store_si512(to + c + 192, _mm512_shuffle_i32x4(d, e, 0xdd));
  }
}

/* The whole numbers of a block's eight groups. Planes stay as they are looked up, with activations turned
 * alike: four products on top of each other leave the sums of sixteen neighbours in a lane. */
CK_AVX512_INLINE __m256i multiply_block(const ck_block_IQ3_XXS *b, __m256i packed, const int8_t *high,
                                        const int8_t *low, const bool is_wide) {
  __m512i planes[4];
  look_up(planes, _mm512_loadu_si512(b->qs));
  /* The byte of signs with those of four indices twice each, for the low four weights and the high. */
  const __m512i twice = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 8, 8, 9, 9, 10, 10, 11, 11));
  const __m512i signs = _mm512_shuffle_epi8(_mm512_cvtepu32_epi64(signs_of(packed)), twice);
  __m512i upper = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
  for (int j = 0; j < 4; j++) {
    const __m512i own_bit = _mm512_set1_epi16((short)(0x1001 << j));
    const __m512i w = with_signs(planes[j], _mm512_test_epi8_mask(signs, own_bit));
    upper = _mm512_dpbusd_epi32(upper, w, _mm512_load_si512(high + 64 * j));
    if (is_wide) sum = _mm512_dpbusd_epi32(sum, w, _mm512_load_si512(low + 64 * j));
  }
  sum = is_wide ? _mm512_add_epi32(_mm512_slli_epi32(upper, 8), sum) : upper;
  return _mm512_cvtepi64_epi32(_mm512_add_epi32(sum, _mm512_srli_epi64(sum, 32)));
}

CK_AVX512_INLINE void multiply_rows(const uint8_t *const rows[CK_HALF_ROWS], size_t columns,
                                    ck_token512 x, float out[CK_HALF_ROWS], const bool is_wide) {
  ck_panel p;
  turned_activations t;
  __m256 sums = _mm256_setzero_ps();
  for (size_t column = 0; column < columns; column += CK_PANEL_COLUMNS) {
    const size_t left = columns - column;
    const size_t count = left < CK_PANEL_COLUMNS ? left : CK_PANEL_COLUMNS;
    turn_activations(t.high, x.high + column, count);
    if (is_wide) turn_activations(t.low, x.low + column, count);
    for (size_t r = 0; r < CK_HALF_ROWS; r++) {
      const ck_block_IQ3_XXS *b =
          (const ck_block_IQ3_XXS *)(const void *)rows[r] + column / CK_SUPER;
      for (size_t c = 0; c < count; c += CK_SUPER, b++) {
        ck_fetch_ahead(b, sizeof *b);
        const __m256i packed = packed_of(b);
        put_scales(p.scales[r] + c / 32, b, packed);
        ck_put_less512(p.whole[r] + c / 32, multiply_block(b, packed, t.high + c, t.low + c, is_wide),
                       128, x.bias + (column + c) / 32);
      }
    }
    sums = ck_add_panel512(&p, sums, &x, column, count / 32, 32, false);
  }
  _mm256_storeu_ps(out, sums);
}

CK_AVX512 void ck_avx512_rows_IQ3_XXS(const uint8_t *const rows[CK_HALF_ROWS], size_t columns,
                                      ck_token512 x, float out[CK_HALF_ROWS]) {
  multiply_rows(rows, columns, x, out, true);
}

CK_AVX512 void ck_avx512_narrow_rows_IQ3_XXS(const uint8_t *const rows[CK_HALF_ROWS], size_t columns,
                                             ck_token512 x, float out[CK_HALF_ROWS]) {
  multiply_rows(rows, columns, x, out, false);
}

#endif

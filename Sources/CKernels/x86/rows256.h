/* Eight rows of quantised weights by one token. */
#ifndef CK_ROWS256_H
#define CK_ROWS256_H

#include "../internal/levels.h"
#include "activations256.h"
#include "avx2.h"

#if defined(__x86_64__)

/* Rows whose sums lie side by side in a vector. */
enum { CK_HALF_ROWS = 8 };

/* What a product needs to know of a token; `sums` and `whole` are those of groups of 16 or 32, as the
 * weights have them; `bytes` are there with 8-bit activations. */
typedef struct {
  const int16_t *values;
  const int8_t *bytes;
  const float *scales, *sums;
  const int32_t *whole;
} ck_token256;

/* Columns of a row that are multiplied at once. Each row is read from end to end: memory that one stream
 * reads comes three times as fast as that of eight (Q8_0, one core of Zen 4), and fetching it ahead by
 * instruction is bounded by the misses that the first cache can have under way. */
enum { CK_PANEL_COLUMNS = 4096, CK_PANEL_GROUPS = CK_PANEL_COLUMNS / 16 };

/* What eight rows give, before the rows are turned side by side. */
typedef struct {
  _Alignas(32) int32_t whole[CK_HALF_ROWS][CK_PANEL_GROUPS];
  _Alignas(32) float scales[CK_HALF_ROWS][CK_PANEL_GROUPS];
  _Alignas(32) float minima[CK_HALF_ROWS][CK_PANEL_GROUPS];
} ck_panel;

CK_AVX2_INLINE __m256i ck_two_halves(const void *low, const void *high) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
      _mm_loadu_si128((const __m128i *)high), 1);
}

/* Eight vectors, of which a[i] has the lower halves of rows i and i + 4 and a[i + 4] the upper ones,
 * rows and columns exchanged. */
CK_AVX2_INLINE void ck_exchange8(__m256i v[8], const __m256i a[8]) {
  __m256i b[8];
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    v[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    v[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    v[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    v[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
}

/* Eight rows of eight 32-bit elements, `stride` bytes from row to row, columns become rows. Halves are
 * put together as they are loaded, which saves eight shuffles. */
CK_AVX2_INLINE void ck_transpose8(__m256i v[8], const void *rows, size_t stride) {
  const uint8_t *p = rows;
  __m256i a[8];
  for (size_t i = 0; i < 4; i++) {
    a[i] = ck_two_halves(p + i * stride, p + (i + 4) * stride);
    a[i + 4] = ck_two_halves(p + i * stride + 16, p + (i + 4) * stride + 16);
  }
  ck_exchange8(v, a);
}

/* The same for eight vectors. */
CK_AVX2_INLINE void ck_transpose_vectors8(__m256i v[8]) {
  __m256i a[8];
  for (int i = 0; i < 4; i++) {
    a[i] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
    a[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
  }
  ck_exchange8(v, a);
}

/* Bytes at even places of 16-bit words, and at odd ones, with their signs. */
CK_AVX2_INLINE __m256i ck_even_bytes(__m256i v) {
  return _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);
}

CK_AVX2_INLINE __m256i ck_odd_bytes(__m256i v) { return _mm256_srai_epi16(v, 8); }

/* 32 bytes, even ones and odd ones widened, by 32 activations; lane i has the sum of four neighbours. */
CK_AVX2_INLINE __m256i ck_multiply_pairs(__m256i even, __m256i odd, const int16_t *values) {
  const __m256i *x = (const __m256i *)(const void *)values;
  return _mm256_add_epi32(_mm256_madd_epi16(even, _mm256_loadu_si256(x)),
                          _mm256_madd_epi16(odd, _mm256_loadu_si256(x + 1)));
}

CK_AVX2_INLINE __m256i ck_multiply_levels(__m256i levels, const int16_t *values) {
  return ck_multiply_pairs(ck_even_bytes(levels), ck_odd_bytes(levels), values);
}

/* Bytes without a sign widen with fewer shifts, which only two of the four pipes of Zen 4 do. */
CK_AVX2_INLINE __m256i ck_multiply_codes(__m256i codes, const int16_t *values) {
  return ck_multiply_pairs(_mm256_and_si256(codes, _mm256_set1_epi16(255)),
                           _mm256_srli_epi16(codes, 8), values);
}

/* 32 bytes by 32 8-bit activations; lane i has the sum of four neighbours. Bytes have no sign and are at
 * most 129, which keeps a pair's sum within 16 bits; or they have signs (a constant), which the
 * activations take over. */
CK_AVX2_INLINE __m256i ck_multiply_bytes(__m256i bytes, const int8_t *values, const bool have_signs) {
  const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)values);
  const __m256i pairs = have_signs
                            ? _mm256_maddubs_epi16(_mm256_abs_epi8(bytes), _mm256_sign_epi8(x, bytes))
                            : _mm256_maddubs_epi16(bytes, x);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The sums of each 16-byte lane of eight vectors: result 0 is that of the lower lanes, in the order of
 * the vectors, result 1 that of the upper ones. */
CK_AVX2_INLINE void ck_add_within_lanes(const __m256i v[8], __m256i sums[2]) {
  __m256i w[4];
  for (int i = 0; i < 4; i++) {
    w[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                            _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  }
  const __m256i head =
      _mm256_add_epi32(_mm256_unpacklo_epi64(w[0], w[1]), _mm256_unpackhi_epi64(w[0], w[1]));
  const __m256i tail =
      _mm256_add_epi32(_mm256_unpacklo_epi64(w[2], w[3]), _mm256_unpackhi_epi64(w[2], w[3]));
  sums[0] = _mm256_permute2x128_si256(head, tail, 0x20);
  sums[1] = _mm256_permute2x128_si256(head, tail, 0x31);
}

/* to[i] = sums[i] - offset * whole[i] for eight groups. */
CK_AVX2_INLINE void ck_put_less(int32_t *to, __m256i sums, int offset, const int32_t *whole) {
  const __m256i own = _mm256_loadu_si256((const __m256i *)(const void *)whole);
  const __m256i less = _mm256_mullo_epi32(own, _mm256_set1_epi32(offset));
  _mm256_store_si256((__m256i *)(void *)to, offset ? _mm256_sub_epi32(sums, less) : sums);
}

/* Puts down the whole numbers of a row's groups, from the products `v` of eight times 32 columns, less
 * `offset` (a constant) times the sums of the activations; `first` is the first group. */
CK_AVX2_INLINE void ck_put_whole(int32_t *to, const __m256i v[8], const size_t group,
                                 const int offset, const ck_token256 *x, size_t first) {
  const int32_t *whole = x->whole + first;
  __m256i sums[2];
  ck_add_within_lanes(v, sums);
  if (group == 32) {
    ck_put_less(to, _mm256_add_epi32(sums[0], sums[1]), offset, whole);
    return;
  }
  const __m256i low = _mm256_unpacklo_epi32(sums[0], sums[1]);
  const __m256i high = _mm256_unpackhi_epi32(sums[0], sums[1]);
  ck_put_less(to, _mm256_permute2x128_si256(low, high, 0x20), offset, whole);
  ck_put_less(to + 8, _mm256_permute2x128_si256(low, high, 0x31), offset, whole + 8);
}

/* Adds what a group gives eight rows: `whole` times both scales, less the minimum's share; `sum` is that
 * of the activations. */
CK_AVX2_INLINE __m256 ck_add_group(__m256 sums, __m256i whole, __m256 scales, float step,
                                   __m256 minima, float sum, const bool has_minima) {
  const __m256 scale = _mm256_mul_ps(scales, _mm256_set1_ps(step));
  sums = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), scale, sums);
  return has_minima ? _mm256_fnmadd_ps(minima, _mm256_set1_ps(sum), sums) : sums;
}

/* Adds what `groups` groups of the panel at `column` give eight rows. */
CK_AVX2_INLINE __m256 ck_add_panel(const ck_panel *p, __m256 sums, const ck_token256 *x,
                                   size_t column, size_t groups, const size_t group, const bool has_minima) {
  const float *steps = x->scales + column / 32, *own_sums = x->sums + column / group;
  for (size_t g = 0; g < groups; g += 8) {
    __m256i whole[8], scales[8], minima[8];
    const size_t count = groups - g < 8 ? groups - g : 8;
    ck_transpose8(whole, &p->whole[0][g], sizeof p->whole[0]);
    ck_transpose8(scales, &p->scales[0][g], sizeof p->scales[0]);
    if (has_minima) ck_transpose8(minima, &p->minima[0][g], sizeof p->minima[0]);
    for (size_t i = 0; i < count; i++) {
      sums = ck_add_group(sums, whole[i], _mm256_castsi256_ps(scales[i]),
                          steps[(g + i) * group / 32],
                          has_minima ? _mm256_castsi256_ps(minima[i]) : _mm256_setzero_ps(),
                          has_minima ? own_sums[g + i] : 0, has_minima);
    }
  }
  return sums;
}

/* out[r] = row r times the token, for eight rows. */
typedef void ck_avx2_rows8(const uint8_t *const rows[CK_HALF_ROWS], size_t columns, ck_token256 x,
                           float out[CK_HALF_ROWS]);

#define CK_DECLARE_AVX2_ROWS(NAME, GROUP, MINIMA) \
  ck_avx2_rows8 ck_avx2_rows_##NAME, ck_avx2_narrow_rows_##NAME;
CK_EACH_LEVEL_TYPE(CK_DECLARE_AVX2_ROWS)
#undef CK_DECLARE_AVX2_ROWS

#endif
#endif

/* Attention with AVX-512, to the same bits as AVX2's: a vector of scores has eight sums of one key and eight of
 * the next. */
#include "attention256.h"
#include "avx512.h"

#if defined(__x86_64__)

#define CK_ATTENTION CK_AVX512_INLINE
#include "../internal/attention_tiles.h"

/* Rows and pairs of keys that meet in registers, and vectors of values. */
enum { SCORE_ROWS = 8, SCORE_PAIRS = 3, VALUE_ROWS = 4, VALUE_VECTORS = 4 };

/* Eight floats twice. */
CK_AVX512_INLINE __m512 twice(const float *p) { return _mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }

/* Eight floats each of two rows. */
CK_AVX512_INLINE __m512 both(const float *p, const float *q) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(q), 1);
}

/* a's lanes of 16 bytes 0 + 1 and 2 + 3, then b's. */
CK_AVX512_INLINE __m512 add_halves(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* In each lane of 16 bytes elements 0 + 2 and 1 + 3, of a and b in turn. */
CK_AVX512_INLINE __m512 add_pairs(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}

/* The same of elements 0 + 1 of what add_pairs gave. */
CK_AVX512_INLINE __m512 add_last(__m512 a, __m512 b) {
  const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
  return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

/* Scores of SCORE_ROWS rows for two keys, summed in the order of ck_sum8. */
CK_AVX512_INLINE void store_scores(const __m512 sums[SCORE_ROWS], const bool has_second, float *scores) {
  __m512 four[SCORE_ROWS / 2], two[SCORE_ROWS / 4];
  /* Lanes of 16 bytes: first key and second of the even row, then of the odd one. */
  for (int r = 0; r < SCORE_ROWS / 2; r++) four[r] = add_halves(sums[2 * r], sums[2 * r + 1]);
  for (int r = 0; r < SCORE_ROWS / 4; r++) two[r] = add_pairs(four[2 * r], four[2 * r + 1]);
  _Alignas(64) float all[4][4]; /* even rows' first keys, their second ones, odd rows' */
  _mm512_store_ps(all[0], add_last(two[0], two[1]));
  for (int r = 0; r < SCORE_ROWS; r++) {
    float *to = scores + r * CK_ATTENTION_BLOCK;
    to[0] = all[r % 2 * 2][r / 2];
    if (has_second) to[1] = all[r % 2 * 2 + 1][r / 2];
  }
}

/* Scores of SCORE_ROWS queries and `pairs` pairs of keys; without a second key the last pair is one key. */
CK_AVX512_INLINE void scores_tile(const float *queries, const float *keys, size_t stride, size_t width,
                                  const int pairs, const bool has_second, float *scores) {
  const size_t second = has_second ? stride : 0;
  __m512 sums[SCORE_PAIRS][SCORE_ROWS];
  for (int p = 0; p < pairs; p++) {
    for (int r = 0; r < SCORE_ROWS; r++) sums[p][r] = _mm512_setzero_ps();
  }
  for (size_t i = 0; i < width; i += 8) {
    __m512 key[SCORE_PAIRS];
    for (int p = 0; p < pairs; p++) {
      const float *first = keys + 2 * (size_t)p * stride + i;
      key[p] = both(first, first + second);
    }
    for (int r = 0; r < SCORE_ROWS; r++) {
      const __m512 query = twice(queries + (size_t)r * width + i);
      for (int p = 0; p < pairs; p++) sums[p][r] = _mm512_fmadd_ps(query, key[p], sums[p][r]);
    }
  }
  for (int p = 0; p < pairs; p++) store_scores(sums[p], has_second, scores + 2 * p);
}

CK_AVX512_INLINE void scores512(const float *queries, size_t rows, const float *keys, size_t stride,
                                size_t width, size_t count, float *scores) {
  size_t r = 0;
  for (; r + SCORE_ROWS <= rows; r += SCORE_ROWS) {
    const float *query = queries + r * width;
    float *own = scores + r * CK_ATTENTION_BLOCK;
    size_t p = 0;
    for (; p + 2 * SCORE_PAIRS <= count; p += 2 * SCORE_PAIRS) {
      scores_tile(query, keys + p * stride, stride, width, SCORE_PAIRS, true, own + p);
    }
    for (; p + 2 <= count; p += 2) {
      scores_tile(query, keys + p * stride, stride, width, 1, true, own + p);
    }
    if (p < count) scores_tile(query, keys + p * stride, stride, width, 1, false, own + p);
  }
  attention_scores(queries + r * width, rows - r, keys, stride, width, count,
                   scores + r * CK_ATTENTION_BLOCK);
}

/* Adds to `vectors` vectors of VALUE_ROWS rows at `sums` their weights times `count` values. */
CK_AVX512_INLINE void values_tile(const float *weights, const float *values, size_t stride, size_t count,
                                  size_t width, const int vectors, float *sums) {
  __m512 sum[VALUE_ROWS][VALUE_VECTORS];
  for (int r = 0; r < VALUE_ROWS; r++) {
    for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_loadu_ps(sums + (size_t)r * width + 16 * v);
  }
  for (size_t p = 0; p < count; p++) {
    __m512 value[VALUE_VECTORS];
    for (int v = 0; v < vectors; v++) value[v] = _mm512_loadu_ps(values + p * stride + 16 * v);
    for (int r = 0; r < VALUE_ROWS; r++) {
      const __m512 weight = _mm512_set1_ps(weights[(size_t)r * CK_ATTENTION_BLOCK + p]);
      for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_fmadd_ps(weight, value[v], sum[r][v]);
    }
  }
  for (int r = 0; r < VALUE_ROWS; r++) {
    for (int v = 0; v < vectors; v++) _mm512_storeu_ps(sums + (size_t)r * width + 16 * v, sum[r][v]);
  }
}

CK_AVX512_INLINE void values512(const float *weights, size_t rows, const float *values, size_t stride,
                                size_t count, size_t width, float *sums) {
  size_t r = 0;
  for (; r + VALUE_ROWS <= rows; r += VALUE_ROWS) {
    const float *own = weights + r * CK_ATTENTION_BLOCK;
    float *out = sums + r * width;
    size_t i = 0;
    for (; i + 16 * VALUE_VECTORS <= width; i += 16 * VALUE_VECTORS) {
      values_tile(own, values + i, stride, count, width, VALUE_VECTORS, out + i);
    }
    for (; i < width; i += 16) values_tile(own, values + i, stride, count, width, 1, out + i);
  }
  attention_values(weights + r * CK_ATTENTION_BLOCK, rows - r, values, stride, count, width,
                   sums + r * width);
}

#define CK_SCORES scores512
#define CK_VALUES values512
#include "../internal/attention.h"

CK_AVX512 void ck_avx512_attend(const ck_attention *a, float *scratch) { attention_all(a, scratch); }

#endif

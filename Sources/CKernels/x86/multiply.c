/* The AVX2 matrix product: which rows meet which tokens when. */
#include "avx2_vector.h"

#if defined(__x86_64__)

/* Several tokens: a row is decoded once for 12 tokens, whose activations (192 KiB at 4096 columns)
 * stay in the second cache while 32 rows pass. Three tokens at a time keep their 12 sums and the
 * weights in the 16 registers, at 4 loads for 3 multiply-adds. */
enum { TOKEN_GROUP = 12, TOKENS_AT_ONCE = 3, ROW_GROUP = 32 };

#define ROW(NAME) [CK_##NAME] = {ck_avx2_dot_##NAME, ck_avx2_decode_##NAME}
static const ck_avx2_row rows_by_type[CK_TYPES] = {
    ROW(F32),  ROW(F16),  ROW(BF16),    ROW(Q4_0),  ROW(Q5_0),   ROW(Q8_0),   ROW(Q4_K),
    ROW(Q5_K), ROW(Q6_K), ROW(IQ3_XXS), ROW(IQ3_S), ROW(IQ4_NL), ROW(IQ4_XS), ROW(MXFP4),
};

/* `count` decoded weights times `tokens` (a constant) tokens, into their sums. */
CK_AVX2_INLINE void accumulate(const float *weights, size_t count, const float *x, size_t x_stride,
                               ck_sums *sums, const int tokens) {
  ck_sums local[TOKENS_AT_ONCE];
  for (int t = 0; t < tokens; t++) local[t] = sums[t];
  size_t c = 0;
  for (; c + 32 <= count; c += 32) {
    for (int i = 0; i < CK_SUMS; i++) {
      const __m256 w = _mm256_load_ps(weights + c + 8 * i);
      for (int t = 0; t < tokens; t++) {
        const __m256 activation = _mm256_loadu_ps(x + (size_t)t * x_stride + c + 8 * i);
        local[t].v[i] = _mm256_fmadd_ps(w, activation, local[t].v[i]);
      }
    }
  }
  for (int t = 0; t < tokens; t++) {
    size_t rest = c;
    for (int i = 0; rest < count; i++, rest += 8) {
      const size_t left = count - rest;
      const float *p = x + (size_t)t * x_stride + rest;
      const __m256 activation = left < 8 ? ck_load_first(p, left) : _mm256_loadu_ps(p);
      local[t].v[i] = _mm256_fmadd_ps(_mm256_load_ps(weights + rest), activation, local[t].v[i]);
    }
  }
  for (int t = 0; t < tokens; t++) sums[t] = local[t];
}

/* One row times up to TOKEN_GROUP tokens, 256 decoded weights at a time. */
CK_AVX2 static void multiply_row(const ck_type *type, ck_decode *decode, const uint8_t *row,
                                 size_t columns, const float *x, size_t x_stride, size_t tokens,
                                 float *out, size_t out_stride) {
  _Alignas(32) float weights[CK_SUPER];
  ck_sums sums[TOKEN_GROUP];
  memset(sums, 0, sizeof sums);
  for (size_t done = 0; done < columns; done += CK_SUPER) {
    const size_t count = columns - done < CK_SUPER ? columns - done : CK_SUPER;
    decode(row + ck_bytes_of(type, done), count, weights);
    for (size_t i = count; i % 8; i++) weights[i] = 0;
    size_t t = 0;
    for (; t + 3 <= tokens; t += 3) {
      accumulate(weights, count, x + t * x_stride + done, x_stride, sums + t, 3);
    }
    const float *last = x + t * x_stride + done;
    if (tokens - t == 2) accumulate(weights, count, last, x_stride, sums + t, 2);
    if (tokens - t == 1) accumulate(weights, count, last, x_stride, sums + t, 1);
  }
  for (size_t t = 0; t < tokens; t++) out[t * out_stride] = ck_total(&sums[t]);
}

void ck_avx2_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                      size_t out_stride) {
  const ck_type *type = ck_find_type(w.type);
  const ck_avx2_row own = rows_by_type[w.type];
  ck_decode *decode = own.decode ? own.decode : type->decode;
  for (size_t first = 0; first < w.rows; first += ROW_GROUP) {
    const size_t end = w.rows - first < ROW_GROUP ? w.rows : first + ROW_GROUP;
    for (size_t t = 0; t < tokens; t += TOKEN_GROUP) {
      const size_t group = tokens - t < TOKEN_GROUP ? tokens - t : TOKEN_GROUP;
      for (size_t r = first; r < end; r++) {
        const uint8_t *row = (const uint8_t *)w.base + r * w.stride_bytes;
        const float *activations = x + t * x_stride;
        float *result = out + t * out_stride + r;
        if (group == 1 && own.dot) {
          *result = own.dot(row, w.columns, activations);
        } else {
          multiply_row(type, decode, row, w.columns, activations, x_stride, group, result,
                       out_stride);
        }
      }
    }
  }
}

#endif

/* Blocks of 32 elements with a scale of their own: Q8_0, Q4_0, IQ4_NL, MXFP4. */
#include "half.h"
#include "scale_search.h"

#define CQ_32 (32 / CQ_LANES)

/* The scale that puts the largest element at an end of 255 levels, so that no search pays. */
static void encode_Q8_0(const float *x, const float *weights, size_t columns, uint8_t *out) {
  (void)weights;
  ck_block_Q8_0 *block = (void *)out;
  for (size_t c = 0; c < columns; c += 32, block++) {
    lanes most = lanes_of(0);
    for (int i = 0; i < CQ_32; i++) most = lanes_max(most, lanes_abs(lanes_load(x + c + CQ_LANES * i)));
    block->d = half_from_float(lanes_greatest(most) / 127);
    const float scale = ck_float_from_half(block->d);
    const float inverse = scale == 0 ? 0 : 1 / scale;
    for (int i = 0; i < CQ_32; i++) {
      const lanes level =
          lanes_clamped_round(lanes_load(x + c + CQ_LANES * i) * lanes_of(inverse), -127, 127);
      for (int j = 0; j < CQ_LANES; j++) block->qs[CQ_LANES * i + j] = (int8_t)level[j];
    }
  }
}

/* The codes of 32 elements at `scale`, element i in the low half of byte i, i + 16 in the high one. */
CQ_INLINE void put_nibbles(const group *g, enum book book, float scale, uint8_t qs[16]) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  float level[32];
  for (int i = 0; i < CQ_32; i++) {
    lanes_store(level + CQ_LANES * i, book_nearest(book, g->x[i] * lanes_of(inverse)));
  }
  for (int i = 0; i < 16; i++) {
    qs[i] = (uint8_t)(book_code(book, level[i]) | book_code(book, level[i + 16]) << 4);
  }
}

CQ_INLINE void encode_nibbles(const float *x, const float *weights, size_t columns, uint8_t *out,
                              enum book book, search_range range) {
  _Static_assert(sizeof(ck_block_Q4_0) == sizeof(ck_block_IQ4_NL), "one layout");
  ck_block_Q4_0 *block = (void *)out;
  for (size_t c = 0; c < columns; c += 32, block++) {
    group g;
    group_load(&g, x + c, weights ? weights + c : NULL, CQ_32);
    block->d = half_from_float(group_best_scale(&g, CQ_32, book, range));
    put_nibbles(&g, book, ck_float_from_half(block->d), block->qs);
  }
}

static void encode_Q4_0(const float *x, const float *weights, size_t columns, uint8_t *out) {
  encode_nibbles(x, weights, columns, out, BOOK_4_BIT, (search_range){12, 0.75f, 0.035f});
}

static void encode_IQ4_NL(const float *x, const float *weights, size_t columns, uint8_t *out) {
  encode_nibbles(x, weights, columns, out, BOOK_IQ4, (search_range){12, 0.75f, 0.035f});
}

/* The scale is a power of two: the one that reaches the largest element, and those beside it. */
static void encode_MXFP4(const float *x, const float *weights, size_t columns, uint8_t *out) {
  ck_block_MXFP4 *block = (void *)out;
  for (size_t c = 0; c < columns; c += 32, block++) {
    group g;
    group_load(&g, x + c, weights ? weights + c : NULL, CQ_32);
    uint32_t bits;
    const float peak = scalar_abs(g.peak);
    memcpy(&bits, &peak, sizeof bits);
    /* The largest element is 4 to 8 times the scale 2^(e - 127); a level is half a scale. */
    const int nearest = (int)(bits >> 23) - 2;
    int best = 0;
    float least = g.energy;
    for (int e = nearest - 1; e <= nearest + 1; e++) {
      if (e < 1 || e > 254) continue;
      level_sums sums;
      const float error = group_error(&g, CQ_32, BOOK_FP4, ck_float_from_half_e8m0((uint8_t)e), &sums);
      if (error < least) {
        least = error;
        best = e;
      }
    }
    block->e = (uint8_t)best;
    /* Without a scale that helps all elements are zero: far below the scale that is stored. */
    put_nibbles(&g, BOOK_FP4, best ? ck_float_from_half_e8m0(block->e) : 0, block->qs);
  }
}

/* The sets of signed levels that one scale multiplies, and the nearest level of a number. */
#ifndef CQ_BOOKS_H
#define CQ_BOOKS_H

#include "lanes.h"
#include "tables.h"

enum book {
  BOOK_4_BIT, /* -8 ... 7 (Q4_0) */
  BOOK_6_BIT, /* -32 ... 31 (Q6_K) */
  BOOK_IQ4,   /* ck_iq4_values (IQ4_NL, IQ4_XS) */
  BOOK_FP4,   /* ck_fp4_values (MXFP4) */
};

/* The magnitudes of the lowest and of the highest level. */
CQ_INLINE float book_low(enum book book) {
  return book == BOOK_4_BIT ? 8 : book == BOOK_6_BIT ? 32 : book == BOOK_IQ4 ? 127 : 12;
}
CQ_INLINE float book_high(enum book book) {
  return book == BOOK_4_BIT ? 7 : book == BOOK_6_BIT ? 31 : book == BOOK_IQ4 ? 113 : 12;
}

/* From level to level, the step where `v` passes the middle between them. */
CQ_INLINE lanes book_nearest_iq4(lanes v) {
  lanes level = lanes_of(ck_iq4_values[0]);
  for (int i = 1; i < 16; i++) {
    const float below = ck_iq4_values[i - 1], above = ck_iq4_values[i];
    const lane_bits passed = v > lanes_of(0.5f * (below + above));
    level += (lanes)((lane_bits)lanes_of(above - below) & passed);
  }
  return level;
}

CQ_INLINE lanes book_nearest_fp4(lanes v) {
  const lanes magnitude = lanes_abs(v);
  lanes level = lanes_of(0);
  for (int i = 1; i < 8; i++) {
    const float below = ck_fp4_values[i - 1], above = ck_fp4_values[i];
    const lane_bits passed = magnitude > lanes_of(0.5f * (below + above));
    level += (lanes)((lane_bits)lanes_of(above - below) & passed);
  }
  return (lanes)((lane_bits)level | ((lane_bits)v & (INT32_MIN + (lane_bits){0})));
}

/* The level nearest to each of `v`. */
CQ_INLINE lanes book_nearest(enum book book, lanes v) {
  switch (book) {
    case BOOK_4_BIT: return lanes_clamped_round(v, -8, 7);
    case BOOK_6_BIT: return lanes_clamped_round(v, -32, 31);
    case BOOK_IQ4: return book_nearest_iq4(v);
    case BOOK_FP4: return book_nearest_fp4(v);
  }
}

/* The number that a block stores for the level `level`, as ggml numbers them. */
CQ_INLINE uint8_t book_code(enum book book, float level) {
  if (book == BOOK_4_BIT) return (uint8_t)((int)level + 8);
  if (book == BOOK_6_BIT) return (uint8_t)((int)level + 32);
  const int8_t *values = book == BOOK_IQ4 ? ck_iq4_values : ck_fp4_values;
  uint8_t code = 0;
  for (int i = 0; i < 16; i++) {
    if ((float)values[i] == level && !(book == BOOK_FP4 && i == 8)) code = (uint8_t)i;
  }
  return code;
}

#endif

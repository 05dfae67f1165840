/* Eight floats at a time, in the vector types of the compiler: element by element in IEEE arithmetic,
 * with sums in one fixed order, so that every instruction set gives the same bits. Nothing here may be
 * contracted into fused operations (-ffp-contract=off). */
#ifndef CQ_LANES_H
#define CQ_LANES_H

#include <stdint.h>
#include <string.h>

#define CQ_LANES 8
#define CQ_INLINE static inline __attribute__((always_inline))

/* Every function that takes lanes by value is inlined: there is no ABI to change. */
#pragma clang diagnostic ignored "-Wpsabi"

typedef float lanes __attribute__((vector_size(4 * CQ_LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * CQ_LANES)));

CQ_INLINE lanes lanes_load(const float *p) {
  lanes v;
  memcpy(&v, p, sizeof v);
  return v;
}

CQ_INLINE void lanes_store(float *p, lanes v) { memcpy(p, &v, sizeof v); }

CQ_INLINE lanes lanes_of(float v) { return (lanes){v, v, v, v, v, v, v, v}; }

/* `mask` is all ones where `a` is taken, zero where `b` is. */
CQ_INLINE lanes lanes_select(lane_bits mask, lanes a, lanes b) {
  return (lanes)(((lane_bits)a & mask) | ((lane_bits)b & ~mask));
}

CQ_INLINE lanes lanes_min(lanes a, lanes b) { return lanes_select(a < b, a, b); }
CQ_INLINE lanes lanes_max(lanes a, lanes b) { return lanes_select(a > b, a, b); }
CQ_INLINE lanes lanes_abs(lanes v) {
  return (lanes)((lane_bits)v & (0x7fffffff - (lane_bits){0}));
}

/* To the nearest integer, ties to even, for magnitudes below 2^22: the sum leaves no bit for a
 * fraction. */
CQ_INLINE lanes lanes_round(lanes v) {
  const lanes shift = lanes_of(0x1.8p23f);
  return (v + shift) - shift;
}

CQ_INLINE lanes lanes_clamped_round(lanes v, float low, float high) {
  return lanes_round(lanes_min(lanes_max(v, lanes_of(low)), lanes_of(high)));
}

#define CQ_REDUCE(NAME, COMBINE)                                         \
  CQ_INLINE float NAME(lanes v) {                                        \
    const float a = COMBINE(v[0], v[4]), b = COMBINE(v[1], v[5]);        \
    const float c = COMBINE(v[2], v[6]), d = COMBINE(v[3], v[7]);        \
    return COMBINE(COMBINE(a, c), COMBINE(b, d));                        \
  }
#define CQ_PLUS(a, b) ((a) + (b))
#define CQ_LESS(a, b) ((a) < (b) ? (a) : (b))
#define CQ_MORE(a, b) ((a) > (b) ? (a) : (b))
CQ_REDUCE(lanes_sum, CQ_PLUS)
CQ_REDUCE(lanes_least, CQ_LESS)
CQ_REDUCE(lanes_greatest, CQ_MORE)

CQ_INLINE float scalar_round(float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }
CQ_INLINE float scalar_clamp(float v, float low, float high) {
  return v < low ? low : v > high ? high : v;
}
CQ_INLINE float scalar_abs(float v) { return v < 0 ? -v : v; }

#endif

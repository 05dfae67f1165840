/* Scales as the blocks store them. */
#ifndef CQ_HALF_H
#define CQ_HALF_H

#include "blocks.h"
#include "lanes.h"

/* Binary32 to binary16, to nearest, ties to even; what is too large becomes the largest finite
 * number, so that no block decodes to infinities. `v` is a number. */
CQ_INLINE uint16_t half_from_float(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  const float magnitude = ck_float_from_bits(bits & 0x7fffffff);
  if (magnitude >= 65504.0f) return sign | 0x7bff;
  if (magnitude < 0x1p-14f) {
    /* A subnormal counts steps of 2^-24. */
    return sign | (uint16_t)scalar_round(magnitude * 0x1p24f);
  }
  const uint32_t rebased = (bits & 0x7fffffff) - (112u << 23);
  return sign | (uint16_t)((rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
}

/* The nearest number that a float16 holds. */
CQ_INLINE float half_rounded(float v) { return ck_float_from_half(half_from_float(v)); }

#endif

/* binary32 to binary16. */
#ifndef CK_HALF_H
#define CK_HALF_H

#include "blocks.h"

/* The nearest binary16, ties to even; what is too large becomes infinite, NaN stays NaN. */
static inline uint16_t ck_half_from_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  /* Half way between the largest binary16 and the next power of two, and above. */
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    /* Subnormal, or the least normal one: adding 1/2 leaves multiples of 2^-24 in the low bits. */
    const float shifted = ck_float_from_bits(magnitude) + 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &shifted, sizeof rounded);
    return sign | (uint16_t)(rounded - 0x3f000000);
  }
  const uint32_t is_odd = magnitude >> 13 & 1;
  return sign | (uint16_t)((magnitude - 0x38000000 + 0xfff + is_odd) >> 13);
}

#endif

/* Types without blocks: floats and integers, stored as they are. */
#include "../internal/decode.h"

void ck_decode_F32(const uint8_t *blocks, size_t count, float *out) {
  memcpy(out, blocks, count * sizeof *out);
}

void ck_decode_F16(const uint8_t *blocks, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint16_t v;
    memcpy(&v, blocks + 2 * i, sizeof v);
    out[i] = ck_float_from_half(v);
  }
}

void ck_decode_BF16(const uint8_t *blocks, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint16_t v;
    memcpy(&v, blocks + 2 * i, sizeof v);
    out[i] = ck_float_from_bits((uint32_t)v << 16);
  }
}

#define DECODE(NAME, STORED)                                              \
  void ck_decode_##NAME(const uint8_t *blocks, size_t count, float *out) { \
    for (size_t i = 0; i < count; i++) {                                  \
      STORED v;                                                           \
      memcpy(&v, blocks + sizeof v * i, sizeof v);                        \
      out[i] = (float)v;                                                  \
    }                                                                     \
  }

DECODE(F64, double)
DECODE(I8, int8_t)
DECODE(I16, int16_t)
DECODE(I32, int32_t)

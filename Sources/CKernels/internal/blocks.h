/* On-disk blocks of ggml's tensor types (the `block_*` structs of ggml-common.h). Multi-byte fields
 * are little-endian, as are the machines this is built for. All structs are packed: a block may
 * start at any address. */
#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "block formats are little-endian"
#endif

/* Elements of a super-block. */
#define CK_SUPER 256

#define CK_BLOCK(NAME, BYTES, ...)                        \
  typedef struct __attribute__((packed)) {                \
    __VA_ARGS__                                           \
  } ck_block_##NAME;                                      \
  _Static_assert(sizeof(ck_block_##NAME) == (BYTES), #NAME " is " #BYTES " bytes on disk");

/* `d` is a float16 scale, `m` a float16 minimum. 4-bit halves: low nibbles are elements 0..15, high
 * nibbles 16..31. */
CK_BLOCK(Q4_0, 18, uint16_t d; uint8_t qs[16];)
CK_BLOCK(Q4_1, 20, uint16_t d; uint16_t m; uint8_t qs[16];)
CK_BLOCK(Q5_0, 22, uint16_t d; uint8_t qh[4]; uint8_t qs[16];)
CK_BLOCK(Q5_1, 24, uint16_t d; uint16_t m; uint8_t qh[4]; uint8_t qs[16];)
CK_BLOCK(Q8_0, 34, uint16_t d; int8_t qs[32];)

/* `dmin` scales the minimum that is subtracted. */
CK_BLOCK(Q2_K, 84, uint8_t scales[16]; uint8_t qs[64]; uint16_t d; uint16_t dmin;)
CK_BLOCK(Q3_K, 110, uint8_t hmask[32]; uint8_t qs[64]; uint8_t scales[12]; uint16_t d;)
CK_BLOCK(Q4_K, 144, uint16_t d; uint16_t dmin; uint8_t scales[12]; uint8_t qs[128];)
CK_BLOCK(Q5_K, 176, uint16_t d; uint16_t dmin; uint8_t scales[12]; uint8_t qh[32];
         uint8_t qs[128];)
CK_BLOCK(Q6_K, 210, uint8_t ql[128]; uint8_t qh[64]; int8_t scales[16]; uint16_t d;)

/* Code book indices in `qs` (high bits in `qh`), signs one bit an element. */
CK_BLOCK(IQ1_S, 50, uint16_t d; uint8_t qs[32]; uint16_t qh[8];)
CK_BLOCK(IQ1_M, 56, uint8_t qs[32]; uint8_t qh[16]; uint16_t scales[4];)
CK_BLOCK(IQ2_XXS, 66, uint16_t d; uint8_t qs[64];)
CK_BLOCK(IQ2_XS, 74, uint16_t d; uint16_t qs[32]; uint8_t scales[8];)
CK_BLOCK(IQ2_S, 82, uint16_t d; uint8_t qs[32]; uint8_t signs[32]; uint8_t qh[8];
         uint8_t scales[8];)
CK_BLOCK(IQ3_XXS, 98, uint16_t d; uint8_t qs[64]; uint8_t scales_and_signs[32];)
CK_BLOCK(IQ3_S, 110, uint16_t d; uint8_t qs[64]; uint8_t qh[8]; uint8_t signs[32];
         uint8_t scales[4];)
CK_BLOCK(IQ4_NL, 18, uint16_t d; uint8_t qs[16];)
CK_BLOCK(IQ4_XS, 136, uint16_t d; uint16_t scales_h; uint8_t scales_l[4]; uint8_t qs[128];)

/* `e` is an E8M0 exponent; NVFP4 has an unsigned E4M3 scale for every 16 elements. */
CK_BLOCK(MXFP4, 17, uint8_t e; uint8_t qs[16];)
CK_BLOCK(NVFP4, 36, uint8_t d[4]; uint8_t qs[32];)

/* Ternary: base-3 digits, five or four a byte; 2-bit codes. */
CK_BLOCK(TQ1_0, 54, uint8_t qs[48]; uint8_t qh[4]; uint16_t d;)
CK_BLOCK(TQ2_0, 66, uint8_t qs[64]; uint16_t d;)

static inline uint16_t ck_load_u16(const void *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint32_t ck_load_u32(const void *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline float ck_float_from_bits(uint32_t bits) {
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static inline uint64_t ck_load_u64(const void *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* IEEE binary16 to binary32, exact; subnormals, infinities and NaNs included. */
static inline float ck_float_from_half(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
  const uint32_t magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) return ck_float_from_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return ck_float_from_bits(sign | ((magnitude << 13) + (112u << 23)));
  const float subnormal = (float)magnitude * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

/* 2^(e - 128): half of the E8M0 value, for tables that hold twice the FP4 value. */
static inline float ck_float_from_half_e8m0(uint8_t e) {
  return ck_float_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* Half of an unsigned E4M3 value (bias 7); 0x7f is NaN in the format and 0 in ggml. */
static inline float ck_float_from_half_e4m3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if (bits == 0x7f) return 0;
  if (exponent == 0) return (float)mantissa * 0x1p-10f;
  return (float)(8 + mantissa) * ck_float_from_bits((uint32_t)(exponent - 11 + 127) << 23);
}

/* Digit `place` (0: most significant) of a byte that holds a base-3 fraction of 256, less 1. */
static inline int ck_ternary_digit(uint8_t packed, int place) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  return ((uint8_t)(packed * powers[place]) * 3 >> 8) - 1;
}

/* The eight 6-bit scales and minima of Q4_K and Q5_K, one a byte. */
static inline void ck_unpack_k_scales(const uint8_t packed[12], uint64_t *scales,
                                      uint64_t *minima) {
  const uint32_t a = ck_load_u32(packed), b = ck_load_u32(packed + 4), c = ck_load_u32(packed + 8);
  const uint32_t last_scales = (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030);
  const uint32_t last_minima = ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030);
  *scales = (uint64_t)last_scales << 32 | (a & 0x3f3f3f3f);
  *minima = (uint64_t)last_minima << 32 | (b & 0x3f3f3f3f);
}

/* The eight signs of a 7-bit index: the eighth makes their number even. Bit set: negative. */
static inline uint8_t ck_even_signs(uint32_t index) {
  return (uint8_t)(index | (uint32_t)__builtin_parity(index) << 7);
}

#endif

/* NEON rows of F32, F16 and BF16. Rows may have any length; a tail of fewer than four elements
 * counts as one more vector, filled with zeros. */
#include "neon.h"

#if defined(__aarch64__)

/* Rows start at any address, hence loads of bytes. */
CK_NEON_INLINE float32x4_t load4_F32(const uint8_t *p) {
  return vreinterpretq_f32_u8(vld1q_u8(p));
}

CK_NEON_INLINE float32x4_t load4_F16(const uint8_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

CK_NEON_INLINE float32x4_t load4_BF16(const uint8_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

#define DEFINE_ROW(NAME, BYTES)                                                            \
  CK_NEON_INLINE float32x4_t load_first_##NAME(const uint8_t *p, size_t count) {           \
    uint8_t padded[4 * (BYTES)] = {0};                                                     \
    memcpy(padded, p, count * (BYTES));                                                    \
    return load4_##NAME(padded);                                                           \
  }                                                                                        \
  float ck_neon_dot_##NAME(const uint8_t *row, size_t columns, const float *x) {           \
    ck_sums sums;                                                                          \
    for (int i = 0; i < CK_SUMS; i++) sums.v[i] = vdupq_n_f32(0);                          \
    for (; columns >= 32; columns -= 32, row += 32 * (BYTES), x += 32) {                   \
      for (int i = 0; i < CK_SUMS; i++) {                                                  \
        sums.v[i] = vfmaq_f32(sums.v[i], load4_##NAME(row + 4 * i * (BYTES)),              \
                              vld1q_f32(x + 4 * i));                                       \
      }                                                                                    \
    }                                                                                      \
    int i = 0;                                                                             \
    for (; columns >= 4; columns -= 4, row += 4 * (BYTES), x += 4, i++) {                  \
      sums.v[i] = vfmaq_f32(sums.v[i], load4_##NAME(row), vld1q_f32(x));                   \
    }                                                                                      \
    if (columns) {                                                                         \
      sums.v[i] = vfmaq_f32(sums.v[i], load_first_##NAME(row, columns),                    \
                            ck_load_first(x, columns));                                    \
    }                                                                                      \
    return ck_total(&sums);                                                                \
  }                                                                                        \
  void ck_neon_decode_##NAME(const uint8_t *blocks, size_t count, float *out) {            \
    for (; count >= 4; count -= 4, blocks += 4 * (BYTES), out += 4) {                      \
      vst1q_f32(out, load4_##NAME(blocks));                                                \
    }                                                                                      \
    if (count) ck_store_first(out, count, load_first_##NAME(blocks, count));               \
  }

DEFINE_ROW(F32, 4)
DEFINE_ROW(F16, 2)
DEFINE_ROW(BF16, 2)

#endif

/* Activations to integers with a scale for 32 neighbours. The values, scales and sums are those of the
 * x86 kernels, to the bit. */
#include "activations.h"
#include "neon.h"

#if defined(__aarch64__)

/* The largest magnitude of 32 floats. As integers, so that what is not a number is the largest and
 * cannot get lost. */
CK_NEON_INLINE float largest_of32(const float32x4_t part[8]) {
  const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
  uint32x4_t largest = vdupq_n_u32(0);
  for (int i = 0; i < 8; i++) {
    largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(part[i]), magnitude));
  }
  return ck_float_from_bits(vmaxvq_u32(largest));
}

/* Writes 16 values and returns their sum: of the values themselves, or of their upper bytes unless
 * they are wide. */
CK_NEON_INLINE int32_t put16(int8_t *high, int8_t *low, const float32x4_t part[4], float factor,
                             uint32x4_t kept, bool is_wide) {
  int32x4_t v[4];
  for (int i = 0; i < 4; i++) {
    const int32x4_t nearest = vcvtnq_s32_f32(vmulq_n_f32(part[i], factor));
    v[i] = vandq_s32(nearest, vreinterpretq_s32_u32(kept));
  }
  const int16x8_t a = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
  const int16x8_t b = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
  /* (v + 128) >> 8; 32512 + 128 still fits. */
  const int8x16_t upper = vcombine_s8(vrshrn_n_s16(a, 8), vrshrn_n_s16(b, 8));
  vst1q_s8(high, upper);
  if (!is_wide) return vaddlvq_s8(upper);
  /* v - 256 * upper lies within -128 ..< 128: the lower byte as it is. */
  vst1q_s8(low, vcombine_s8(vmovn_s16(a), vmovn_s16(b)));
  return vaddlvq_s16(a) + vaddlvq_s16(b);
}

void ck_neon_quantize(const float *x, size_t x_stride, size_t columns, size_t rows, bool is_wide,
                      void *out) {
  for (size_t r = 0; r < rows; r++, x += x_stride) {
    const ck_neon_activations to =
        ck_neon_activations_at((uint8_t *)out + r * ck_activations_bytes(columns), columns);
    for (size_t g = 0; g < columns / 32; g++) {
      float32x4_t part[8];
      for (size_t i = 0; i < 8; i++) part[i] = vld1q_f32(x + 32 * g + 4 * i);
      const float top = largest_of32(part);
      const ck_activation_scale rule = ck_scale_activations(top);
      const float scale = is_wide ? rule.scale : 256 * rule.scale, factor = rule.factor;
      const uint32x4_t kept = vdupq_n_u32(factor != 0 ? ~0u : 0);
      int8_t *high = to.high + 32 * g, *low = to.low + 32 * g;
      const int32_t head = put16(high, low, part, factor, kept, is_wide);
      const int32_t tail = put16(high + 16, low + 16, part + 4, factor, kept, is_wide);
      to.scales[g] = scale;
      to.sums16[2 * g] = scale * (float)head;
      to.sums16[2 * g + 1] = scale * (float)tail;
      to.sums32[g] = scale * (float)(head + tail);
    }
  }
}

#endif

/* What the AMX kernels share. */
#ifndef CK_AMX_H
#define CK_AMX_H

#include "avx512.h"

#if defined(__x86_64__)

#define CK_AMX_FEATURES CK_AVX512_FEATURES ",amx-tile,amx-int8,amx-bf16"
#define CK_AMX __attribute__((target(CK_AMX_FEATURES)))
#define CK_AMX_INLINE static inline __attribute__((always_inline, target(CK_AMX_FEATURES)))

/* The operand of LDTILECFG (Intel's manual, volume 1, "Programming with AMX"). */
typedef struct {
  uint8_t palette, first_row, unused[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} ck_tile_configuration;

CK_AMX_INLINE void ck_configure_tiles(const ck_tile_configuration *c) {
  /* Compilers have taken the instruction for one that reads no memory, and left the stores out. */
  __asm__ volatile("" : : "r"(c) : "memory");
  _tile_loadconfig(c);
}

/* Whether the CPU has AMX with products of bytes and of BF16, and the system lets this process use it, which
 * is asked for here: tiles are 8 KiB that it has to save for each thread. Any thread, any number of times. */
bool ck_amx_is_available(void);

/* BF16; other types as AVX2. */
void ck_amx_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                     size_t out_stride);
void ck_amx_multiply_quantized(ck_matrix w, const void *x, const int32_t *rows, size_t tokens,
                               bool is_wide, float *out, size_t out_stride);

#endif
#endif

/* What the AMX kernels share. */
#ifndef CK_AMX_H
#define CK_AMX_H

#include "avx512.h"

#if defined(__x86_64__)

#define CK_AMX __attribute__((target(CK_AVX512_FEATURES ",amx-tile,amx-int8")))
#define CK_AMX_INLINE static inline __attribute__((always_inline, target(CK_AVX512_FEATURES ",amx-tile,amx-int8")))

/* Whether the CPU has AMX with byte products and the system lets this process use it, which is asked for
 * here: tiles are 8 KiB that it has to save for each thread. Any thread, any number of times. */
bool ck_amx_is_available(void);

void ck_amx_multiply_quantized(ck_matrix w, const void *x, const int32_t *rows, size_t tokens,
                               bool is_wide, float *out, size_t out_stride);

#endif
#endif

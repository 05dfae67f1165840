/* Attention with AVX2. */
#include "attention256.h"

#if defined(__x86_64__)

#define CK_ATTENTION CK_AVX2_INLINE
#include "../internal/attention.h"

CK_AVX2 void ck_avx2_attend(const ck_attention *a, float *scratch) { attention_all(a, scratch); }

#endif

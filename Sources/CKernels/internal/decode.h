/* Scalar decoders, one a tensor type, and the table that finds them. */
#ifndef CK_DECODE_H
#define CK_DECODE_H

#include "blocks.h"
#include "ckernels.h"

/* Writes `count` elements, a whole number of blocks starting at `blocks`, to `out`. */
typedef void ck_decode(const uint8_t *blocks, size_t count, float *out);

ck_decode ck_decode_F32, ck_decode_F16, ck_decode_BF16, ck_decode_F64, ck_decode_I8, ck_decode_I16,
    ck_decode_I32;
ck_decode ck_decode_Q4_0, ck_decode_Q4_1, ck_decode_Q5_0, ck_decode_Q5_1, ck_decode_Q8_0;
ck_decode ck_decode_Q2_K, ck_decode_Q3_K, ck_decode_Q4_K, ck_decode_Q5_K, ck_decode_Q6_K;
ck_decode ck_decode_IQ1_S, ck_decode_IQ1_M, ck_decode_IQ2_XXS, ck_decode_IQ2_XS, ck_decode_IQ2_S,
    ck_decode_IQ3_XXS, ck_decode_IQ3_S, ck_decode_IQ4_NL, ck_decode_IQ4_XS;
ck_decode ck_decode_MXFP4, ck_decode_NVFP4, ck_decode_TQ1_0, ck_decode_TQ2_0;

/* ggml's type numbers. */
enum {
  CK_F32 = 0, CK_F16 = 1, CK_Q4_0 = 2, CK_Q4_1 = 3, CK_Q5_0 = 6, CK_Q5_1 = 7, CK_Q8_0 = 8,
  CK_Q2_K = 10, CK_Q3_K = 11, CK_Q4_K = 12, CK_Q5_K = 13, CK_Q6_K = 14, CK_IQ2_XXS = 16,
  CK_IQ2_XS = 17, CK_IQ3_XXS = 18, CK_IQ1_S = 19, CK_IQ4_NL = 20, CK_IQ3_S = 21, CK_IQ2_S = 22,
  CK_IQ4_XS = 23, CK_I8 = 24, CK_I16 = 25, CK_I32 = 26, CK_F64 = 28, CK_IQ1_M = 29, CK_BF16 = 30,
  CK_TQ1_0 = 34, CK_TQ2_0 = 35, CK_MXFP4 = 39, CK_NVFP4 = 40, CK_TYPES = 41
};

typedef struct ck_type {
  size_t elements; /* a block; 0: not supported */
  size_t bytes;    /* a block */
  ck_decode *decode;
} ck_type;

/* Facts of `type`, or NULL when it is not supported. */
const ck_type *ck_find_type(uint32_t type);

/* Bytes of `count` elements, a whole number of blocks. */
static inline size_t ck_bytes_of(const ck_type *type, size_t count) {
  return count / type->elements * type->bytes;
}

#endif

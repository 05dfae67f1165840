/* All encoders of one instruction set. */
#include "encode_blocks32.h"
#include "encode_scaled_groups.h"
#include "encode_minima.h"
#include "encode_iq3.h"

cq_encode *CQ_TABLE(uint32_t type) {
  switch (type) {
    case 2: return encode_Q4_0;
    case 8: return encode_Q8_0;
    case 12: return encode_Q4_K;
    case 13: return encode_Q5_K;
    case 14: return encode_Q6_K;
    case 18: return encode_IQ3_XXS;
    case 20: return encode_IQ4_NL;
    case 23: return encode_IQ4_XS;
    case 39: return encode_MXFP4;
    default: return NULL;
  }
}

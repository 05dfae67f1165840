/* The encoders in the instructions that every CPU of the architecture has. */
#include "cquantizers.h"

#define CQ_TABLE cq_plain_encoder
#include "internal/encoders.h"

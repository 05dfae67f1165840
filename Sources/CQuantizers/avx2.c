/* The same code for AVX2: eight lanes in one register instead of two. No FMA, which would round
 * differently. */
#include "cquantizers.h"

#if defined(__x86_64__)
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define CQ_TABLE avx2_encoder
static cq_encode *avx2_encoder(uint32_t type);
#include "internal/encoders.h"
#pragma clang attribute pop

cq_encode *cq_avx2_encoder(uint32_t type) {
  return __builtin_cpu_supports("avx2") ? avx2_encoder(type) : NULL;
}
#else
cq_encode *cq_avx2_encoder(uint32_t type) {
  (void)type;
  return NULL;
}
#endif

cq_encode *cq_encoder(uint32_t type) {
  cq_encode *fastest = cq_avx2_encoder(type);
  return fastest ? fastest : cq_plain_encoder(type);
}

/* What the checks of the NEON kernels share: expectations, seeded inputs, guarded memory. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/CKernels/include/ckernels.h"
#include "../../Sources/CKernels/internal/decode.h"
#include "../../Sources/CKernels/internal/levels.h"

/* The table under test. */
extern const ck_kernels *kernels;

/* Expectations so far, and those that were not met. */
extern long expectations, failures;

/* Counts an expectation; the first unmet ones are printed. */
void expect(bool is_met, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Mixes `count` bytes into the digest of all results, which is the same on every CPU. */
void digest(const void *bytes, size_t count);
/* Into that of products of BF16, which differs with AMX, whose tiles have an order of their own. */
void digest_bf16(const void *bytes, size_t count);
extern uint64_t digest_so_far, bf16_digest_so_far;

/* SplitMix64: small, seeded, the same everywhere. */
typedef struct {
  uint64_t state;
} random_source;

uint64_t next_random(random_source *random);
/* -1 ..< 1 */
float next_float(random_source *random);
void fill_floats(random_source *random, float *out, size_t count);

/* What random blocks look like. */
typedef enum {
  RANDOM,
  ZERO_SCALE,
  SUBNORMAL_SCALE,
  LARGEST_SCALE,
  BITS_CLEAR,
  BITS_SET,
  STYLES
} block_style;

/* `count` valid blocks of `type`: random bytes, with all scales finite. */
void fill_blocks(random_source *random, uint32_t type, block_style style, uint8_t *out, size_t count);

/* Memory whose last byte is followed by a page that may not be touched. */
void *guarded(size_t bytes);
void free_guarded(void *start, size_t bytes);

/* Fills what a kernel will have as its scratch memory with what is not a number. */
void soil_stack(void);

/* Whether two results are the same bits; what is not a number equals any other such. */
bool is_same(float a, float b);

extern const char *const type_names[CK_TYPES];

void check_levels(const char *fixtures);
void check_quantized_products(void);
void check_float_products(void);
void check_attention(void);
void check_vectors(void);

#endif

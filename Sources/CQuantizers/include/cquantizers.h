/* Encoders from float32 to ggml's block formats. They allocate nothing, keep no state and may run on any
 * number of threads at once. The bytes depend on the arguments alone, not on machine or instruction set.
 *
 * Caveats: nothing is checked here. The Swift target Quantizers is the only caller and checks shapes and
 * values: elements are numbers of magnitude CQ_LARGEST at most, weights are from 2^-20 to 2^20. */
#ifndef CQUANTIZERS_H
#define CQUANTIZERS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* The largest magnitude that can be encoded: that of the float16 scales. */
#define CQ_LARGEST 65504.0f

/* Writes the blocks of one row of `columns` elements, a whole number of blocks, to `out`, so that
 * sum(weights[i] * (x[i] - decoded[i])^2) is small; without `weights` all count the same. */
typedef void cq_encode(const float *x, const float *_Nullable weights, size_t columns, uint8_t *out);

/* The encoder to tensor type `type`, ggml's number; NULL when there is none. The fastest that the CPU
 * runs. */
cq_encode *_Nullable cq_encoder(uint32_t type);

/* The same in baseline instructions, and in AVX2 (NULL where CPU or build has none), for tests of their
 * equality. */
cq_encode *_Nullable cq_plain_encoder(uint32_t type);
cq_encode *_Nullable cq_avx2_encoder(uint32_t type);

/* Index of the first of `count` elements that cannot be encoded (too large, infinite or no number), or
 * `count`. */
size_t cq_unencodable(const float *x, size_t count);

#pragma clang assume_nonnull end

#endif

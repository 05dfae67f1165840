/* XXH3-128 of bytes that arrive in any order, from any thread.
 *
 * XXH3 adds up a function of the 16 stripes of each block of 1024 bytes, then scrambles the sum (xxHash
 * specification 0.8, "XXH3 algorithm", long inputs). The sum of a block depends on nothing before it, so
 * it can be taken where and when the block is in memory; only the scrambling, a sixteenth of the data,
 * has to follow the order of the file. Seed 0 and the default secret throughout. */
#ifndef CDIGEST_H
#define CDIGEST_H

#include <stddef.h>
#include <stdint.h>

#define CD_BLOCK_BYTES 1024
#define CD_LANES 8
/* Inputs up to this length are hashed by other rules; so are pieces of them. */
#define CD_LONG_BYTES 241

/* Writes the CD_LANES sums of each of `count` whole blocks at `bytes` to `sums`. No alignment is asked. */
void cd_block_sums(const void *_Nonnull bytes, size_t count, uint64_t *_Nonnull sums);

/* Sets the accumulators of an input of which no block has been folded. */
void cd_start(uint64_t *_Nonnull lanes);

/* Adds the next `count` blocks of the input, whose sums are given, to `lanes`. */
void cd_fold(uint64_t *_Nonnull lanes, const uint64_t *_Nonnull sums, size_t count);

/* The digest of an input of `length` bytes, at least CD_LONG_BYTES, of which (length - 1) / 1024 blocks
 * are folded into `lanes`. `rest` holds the last `rest_count` bytes of the input: what is not folded, and
 * at least 64. Writes the upper half, then the lower. */
void cd_finish(const uint64_t *_Nonnull lanes, uint64_t length, const uint8_t *_Nonnull rest,
               size_t rest_count, uint64_t *_Nonnull digest);

#endif

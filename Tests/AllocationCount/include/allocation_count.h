/* How often the calling thread has allocated memory, for tests of code that must not. With glibc this
 * target's malloc, calloc, realloc, aligned_alloc and posix_memalign stand before the library's own, for
 * the whole test program: they count and pass on. */
#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this program counts: with glibc, and without a sanitizer, which has an allocator of its own. */
bool ac_is_counting(void);

/* Allocations of the calling thread so far. */
uint64_t ac_thread_count(void);

/* Allocations of the calling thread since it last called this; 0 the first time. */
uint64_t ac_count_since_last_call(void);

#endif

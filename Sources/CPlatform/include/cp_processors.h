/* Processors: how many cores there are, and which thread runs where. */
#ifndef CP_PROCESSORS_H
#define CP_PROCESSORS_H

#include <stdbool.h>

#pragma clang assume_nonnull begin

/* Logical processors this process may run on. */
int cp_processor_count(void);

/* One logical processor of every core that this process may run on: its number goes to `processors`, for
 * up to `capacity` of them. Returns how many cores there are, at least 1. Processors whose core is not
 * known count as cores of their own. On macOS the numbers mean nothing. */
int cp_cores(int *_Nullable processors, int capacity);

/* Keeps the calling thread on logical processor `processor`. Best effort: false where the system refuses,
 * or has no such call (macOS). */
bool cp_pin_thread(int processor);

#pragma clang assume_nonnull end

#endif

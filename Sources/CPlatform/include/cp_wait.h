/* Sleeping until a word in memory changes: futex on Linux, os_sync_wait_on_address on macOS. */
#ifndef CP_WAIT_H
#define CP_WAIT_H

#include <stdint.h>

#pragma clang assume_nonnull begin

/* Sleeps while the word at `address` is `value`, until a wake. Returns at once when it is not; may also
 * return for no reason, so the caller looks again. No wake is lost: a thread that changes the word and
 * then wakes finds this one asleep, or this one finds the change. */
void cp_wait_while_equal(const void *address, uint32_t value);

/* Wakes up to `count` threads, at least 1, that wait at `address`; all of them on macOS when `count` is more
 * than 1. */
void cp_wake(const void *address, int count);

#pragma clang assume_nonnull end

#endif

/* A Swift closure of type (Range<Int>) -> Void that does not escape, handed to other threads while the call
 * it was given to lasts. Swift lets such a closure be called and nothing else; what makes it escape for a
 * time (withoutActuallyEscaping) allocates a box, which for a job of some microseconds is too much. */
#ifndef CP_CLOSURE_H
#define CP_CLOSURE_H

#include <stddef.h>

#pragma clang assume_nonnull begin

/* The two words of such a closure. Owns nothing. */
typedef struct {
  const void *code;
  const void *_Nullable context;
} cp_range_closure;

/* Calls the closure with lower..<upper, on any thread, while it lives. */
void cp_call_range_closure(cp_range_closure closure, ptrdiff_t lower, ptrdiff_t upper);

/* What cp_with_range_closure(body, use, argument) calls with the words of `body`, which are valid until it
 * returns. That function has Swift's calling convention, so that Swift can give it the closure; it is
 * declared where it is used. */
typedef void (*cp_use_range_closure)(cp_range_closure closure, void *argument);

#pragma clang assume_nonnull end

#endif

#include "cp_closure.h"

/* Swift passes a closure as two words, its code and its context, and Range<Int> as its two bounds; the code
 * finds its context in a register of its own. That is the calling convention that clang knows as swiftcall,
 * part of the stable interface on macOS and the same on Linux. */
#define SWIFT_CALL __attribute__((swiftcall))

typedef SWIFT_CALL void (*range_code)(ptrdiff_t lower, ptrdiff_t upper,
                                      __attribute__((swift_context)) void *context);

void cp_call_range_closure(cp_range_closure closure, ptrdiff_t lower, ptrdiff_t upper) {
  ((range_code)closure.code)(lower, upper, (void *)closure.context);
}

SWIFT_CALL void cp_with_range_closure(const void *code, const void *context,
                                      cp_use_range_closure use, void *argument);

SWIFT_CALL void cp_with_range_closure(const void *code, const void *context,
                                      cp_use_range_closure use, void *argument) {
  use((cp_range_closure){.code = code, .context = context}, argument);
}

#include "cquantizers.h"

size_t cq_unencodable(const float *x, size_t count) {
  for (size_t start = 0; start < count; start += 64) {
    const size_t end = start + 64 < count ? start + 64 : count;
    int bad = 0;
    for (size_t i = start; i < end; i++) bad |= !(__builtin_fabsf(x[i]) <= CQ_LARGEST);
    if (!bad) continue;
    for (size_t i = start; i < end; i++) {
      if (!(__builtin_fabsf(x[i]) <= CQ_LARGEST)) return i;
    }
  }
  return count;
}

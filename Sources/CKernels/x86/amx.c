/* Permission to use AMX. */
#include "amx.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Documentation/arch/x86/xstate.rst of Linux. */
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static bool has_tiles(void) {
  unsigned a, b, c, d;
  /* CPUID 1, ECX bit 27: XGETBV may be used. CPUID 7, EDX bits 22, 24 and 25: AMX-BF16, AMX-TILE, AMX-INT8. */
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 13) != 13) return false;
  /* XCR0 bits 17 and 18: the system saves the tiles' configuration and data. */
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17 & 3) == 3;
}

bool ck_amx_is_available(void) {
  return has_tiles() && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

#elif defined(__x86_64__)

bool ck_amx_is_available(void) { return false; }

#endif

#include "cp_wait.h"

#if defined(__linux__)

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void cp_wait_while_equal(const void *address, uint32_t value) {
  syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void cp_wake(const void *address, int count) {
  syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#else

#include <os/os_sync_wait_on_address.h>

void cp_wait_while_equal(const void *address, uint32_t value) {
  os_sync_wait_on_address((void *)address, value, sizeof value, OS_SYNC_WAIT_ON_ADDRESS_NONE);
}

void cp_wake(const void *address, int count) {
  if (count > 1) {
    os_sync_wake_by_address_all((void *)address, sizeof(uint32_t), OS_SYNC_WAKE_BY_ADDRESS_NONE);
  } else {
    os_sync_wake_by_address_any((void *)address, sizeof(uint32_t), OS_SYNC_WAKE_BY_ADDRESS_NONE);
  }
}

#endif

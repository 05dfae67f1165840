#include "cplatform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/sysmacros.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

int cp_open_direct(const char *path) {
#if defined(__linux__)
  return open(path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);
#else
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) (void)fcntl(fd, F_NOCACHE, 1);
  return fd;
#endif
}

bool cp_make_direct(int fd) {
#if defined(__linux__)
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
#else
  return fcntl(fd, F_NOCACHE, 1) == 0;
#endif
}

bool cp_is_regular_file(int fd) {
  struct stat facts;
  return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

size_t cp_direct_alignment(int fd) {
#if defined(__linux__) && defined(STATX_DIOALIGN)
  struct statx facts;
  memset(&facts, 0, sizeof facts);
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
      (facts.stx_mask & STATX_DIOALIGN) && facts.stx_dio_offset_align > 0) {
    size_t memory = facts.stx_dio_mem_align, offset = facts.stx_dio_offset_align;
    return memory > offset ? memory : offset;
  }
#else
  (void)fd;
#endif
  return 4096;
}

uint64_t cp_content_stamp(int fd) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) return 0;
#if defined(__APPLE__)
  struct timespec time = facts.st_ctimespec;
#else
  struct timespec time = facts.st_ctim;
#endif
  /* Not the time of modification: tools that copy a file set that back to the original's. */
  uint64_t nanoseconds = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
  return nanoseconds ^ (uint64_t)facts.st_size * 0x9E3779B97F4A7C15u;
}

void cp_device(int fd, uint32_t *major_number, uint32_t *minor_number) {
  struct stat facts;
  bool known = fstat(fd, &facts) == 0;
  *major_number = known ? (uint32_t)major(facts.st_dev) : 0;
  *minor_number = known ? (uint32_t)minor(facts.st_dev) : 0;
}

bool cp_advise_huge_pages(void *address, size_t length) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  return madvise(address, length, MADV_HUGEPAGE) == 0;
#else
  (void)address;
  (void)length;
  return false;
#endif
}

void cp_populate(void *address, size_t length) {
#if defined(__linux__)
  /* MADV_POPULATE_WRITE, which the C library may be too old to know; kernels before 5.14 refuse. */
  (void)madvise(address, length, 23);
#else
  (void)address;
  (void)length;
#endif
}

void cp_name_thread(const char *name) {
#if defined(__linux__)
  char cut[16];
  strncpy(cut, name, sizeof cut - 1);
  cut[sizeof cut - 1] = 0;
  (void)pthread_setname_np(pthread_self(), cut);
#elif defined(__APPLE__)
  (void)pthread_setname_np(name);
#else
  (void)name;
#endif
}

uint64_t cp_peak_resident_bytes(void) {
#if defined(__linux__)
  /* Not getrusage: its figure starts with the peak of the process that started this one. */
  FILE *status = fopen("/proc/self/status", "re");
  if (!status) return 0;
  char line[256];
  unsigned long long kibibytes = 0;
  while (fgets(line, sizeof line, status)) {
    if (sscanf(line, "VmHWM: %llu kB", &kibibytes) == 1) break;
  }
  fclose(status);
  return (uint64_t)kibibytes * 1024;
#else
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
#endif
}

uint64_t cp_physical_memory_bytes(void) {
#if defined(__APPLE__)
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
#else
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
#endif
}

bool cp_lock(int fd) {
  int status;
  do status = flock(fd, LOCK_EX | LOCK_NB);
  while (status != 0 && errno == EINTR);
  return status == 0 || errno != EWOULDBLOCK;
}

bool cp_is_file_at(int fd, const char *path) {
  struct stat own, named;
  return fstat(fd, &own) == 0 && lstat(path, &named) == 0 && own.st_dev == named.st_dev &&
         own.st_ino == named.st_ino;
}

void cp_reserve_standard_descriptors(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    /* The lowest free descriptor is `fd`, for those below are open. */
    (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int cp_full_sync(int fd) {
#if defined(__APPLE__)
  if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  /* Interrupted it has not failed; any other error must not be tried again: the kernel may have dropped
   * what it could not write. */
  int status;
  do status = fsync(fd);
  while (status != 0 && errno == EINTR);
  return status;
}

#include "cp_space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int cp_free_space(const char *path, uint64_t *free_bytes, uint64_t *block_bytes) {
  struct statvfs facts;
  int status;
  do status = statvfs(path, &facts);
  while (status != 0 && errno == EINTR);
  if (status != 0) return -1;
  *free_bytes = (uint64_t)facts.f_bavail * (uint64_t)facts.f_frsize;
  *block_bytes = facts.f_frsize > 0 ? (uint64_t)facts.f_frsize : 4096;
  return 0;
}

uint64_t cp_allocated_bytes(const char *path) {
  struct stat facts;
  return lstat(path, &facts) == 0 ? (uint64_t)facts.st_blocks * 512 : 0;
}

int cp_reserve(int fd, uint64_t offset, uint64_t length) {
#if defined(__linux__)
  int status;
  do status = fallocate(fd, 0, (off_t)offset, (off_t)length);
  while (status != 0 && errno == EINTR);
  return status;
#else
  (void)fd;
  (void)offset;
  (void)length;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

int cp_punch_hole(int fd, uint64_t offset, uint64_t length) {
#if defined(__linux__)
  int status;
  do status = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
  while (status != 0 && errno == EINTR);
  return status;
#elif defined(F_PUNCHHOLE)
  struct fpunchhole range;
  memset(&range, 0, sizeof range);
  range.fp_offset = (off_t)offset;
  range.fp_length = (off_t)length;
  return fcntl(fd, F_PUNCHHOLE, &range);
#else
  (void)fd;
  (void)offset;
  (void)length;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

int64_t cp_modified(int fd) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) return 0;
#if defined(__APPLE__)
  return (int64_t)facts.st_mtimespec.tv_sec * 1000000000 + facts.st_mtimespec.tv_nsec;
#else
  return (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
#endif
}

int cp_set_modified(int fd, int64_t nanoseconds) {
  const struct timespec times[2] = {
      {.tv_nsec = UTIME_OMIT},
      {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};
  return futimens(fd, times);
}

bool cp_lock_shared(int fd) {
  int status;
  do status = flock(fd, LOCK_SH | LOCK_NB);
  while (status != 0 && errno == EINTR);
  return status == 0 || errno != EWOULDBLOCK;
}

uint64_t cp_link_count(int fd) {
  struct stat facts;
  return fstat(fd, &facts) == 0 ? (uint64_t)facts.st_nlink : 0;
}

#ifdef __APPLE__
int cp_set_attribute(int fd, const char *name) { return fsetxattr(fd, name, "1", 1, 0, 0); }

bool cp_has_attribute(const char *path, const char *name) {
  return getxattr(path, name, NULL, 0, 0, XATTR_NOFOLLOW) >= 0;
}
#else
int cp_set_attribute(int fd, const char *name) { return fsetxattr(fd, name, "1", 1, 0); }

bool cp_has_attribute(const char *path, const char *name) {
  return lgetxattr(path, name, NULL, 0) >= 0;
}
#endif

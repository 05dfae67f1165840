/* Preloaded into moepack: lets call number FAULT_AT of those that change the disk (write, fsync, rename,
 * fallocate, ftruncate, unlink, mkdir, rmdir) fail as FAULT_KIND says, once:
 *   kill    the process ends instead of the call        killed  it ends right after the call
 *   eio, enospc, eintr  the call fails with this error  short   a write stops halfway (others succeed)
 * FAULT_LOG, when set, gets the number of calls at the end, and the bytes written; FAULT_FIRED names a file
 * that is there once the call was met. FAULT_PACE has every write wait for so many microseconds. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls, bytes;
static long fault_at = -1, pace;
static const char *kind = "";

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("FAULT_AT");
  if (at) fault_at = atol(at);
  if (getenv("FAULT_KIND")) kind = getenv("FAULT_KIND");
  if (getenv("FAULT_PACE")) pace = atol(getenv("FAULT_PACE"));
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("FAULT_LOG");
  FILE *log = path ? fopen(path, "w") : NULL;
  if (!log) return;
  fprintf(log, "%ld %ld\n", atomic_load(&calls), atomic_load(&bytes));
  fclose(log);
}

static void die(void) {
  raise(SIGKILL);
  for (;;) pause();
}

/* Whether this is the call that fails; errno is set, or *shortened. */
static bool fails(bool *shortened) {
  if (atomic_fetch_add(&calls, 1) + 1 != fault_at) return false;
  const char *mark = getenv("FAULT_FIRED");
  if (mark) close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  if (!strcmp(kind, "kill")) die();
  if (!strcmp(kind, "short")) {
    if (shortened) *shortened = true;
    return false;
  }
  if (!strcmp(kind, "killed")) return false;
  errno = !strcmp(kind, "enospc") ? ENOSPC : !strcmp(kind, "eintr") ? EINTR : EIO;
  return true;
}

static void ended(long call) {
  if (call == fault_at && !strcmp(kind, "killed")) die();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRAP(name, parameters, arguments)              \
  int name parameters {                                \
    if (fails(NULL)) return -1;                        \
    long call = atomic_load(&calls);                   \
    int result = NEXT(name) arguments;                 \
    ended(call);                                       \
    return result;                                     \
  }

WRAP(fsync, (int fd), (fd))
WRAP(rename, (const char *from, const char *to), (from, to))
WRAP(fallocate, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
WRAP(fallocate64, (int fd, int mode, off64_t offset, off64_t length), (fd, mode, offset, length))
WRAP(ftruncate, (int fd, off_t length), (fd, length))
WRAP(ftruncate64, (int fd, off64_t length), (fd, length))
WRAP(unlink, (const char *path), (path))
WRAP(rmdir, (const char *path), (path))
WRAP(mkdir, (const char *path, mode_t mode), (path, mode))

static size_t cut(size_t count, bool shortened) {
  /* Whole pages, as a direct write that stops short would. */
  return shortened && count > 1 ? (count >= 8192 ? count / 2 / 4096 * 4096 : count / 2) : count;
}

#define WRAP_WRITE(name, parameters, arguments)        \
  ssize_t name parameters {                            \
    if (fd <= 2) return NEXT(name) arguments;          \
    if (pace) usleep(pace);                            \
    bool shortened = false;                            \
    if (fails(&shortened)) return -1;                  \
    long call = atomic_load(&calls);                   \
    count = cut(count, shortened);                     \
    ssize_t result = NEXT(name) arguments;             \
    if (result > 0) atomic_fetch_add(&bytes, result);  \
    ended(call);                                       \
    return result;                                     \
  }

WRAP_WRITE(write, (int fd, const void *buffer, size_t count), (fd, buffer, count))
WRAP_WRITE(pwrite, (int fd, const void *buffer, size_t count, off_t offset), (fd, buffer, count, offset))
WRAP_WRITE(pwrite64, (int fd, const void *buffer, size_t count, off64_t offset),
           (fd, buffer, count, offset))

#include "cp_uring.h"

#include <errno.h>

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#define CP_HAS_URING 1
#endif
#endif

#ifdef CP_HAS_URING

#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct cp_uring {
  int fd, event; /* the event is polled, not read, so that no completion writes to this struct */
  bool is_disabled; /* until cp_uring_enable */
  unsigned *sq_head, *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
  unsigned sq_entries, queued;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  void *rings;
  size_t rings_length, sqes_length;
};

static int ring_setup(unsigned entries, struct io_uring_params *params) {
  return (int)syscall(SYS_io_uring_setup, entries, params);
}

static int ring_register(cp_uring *ring, unsigned what, const void *arg, unsigned count) {
  return syscall(SYS_io_uring_register, ring->fd, what, arg, count) < 0 ? errno : 0;
}

/* The next free submission entry, cleared and published by push; NULL when all are in use. */
static struct io_uring_sqe *next_entry(cp_uring *ring) {
  /* This thread alone writes the tail; the kernel moves the head. */
  unsigned tail = *ring->sq_tail;
  if (tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) == ring->sq_entries) return NULL;
  struct io_uring_sqe *entry = &ring->sqes[tail & *ring->sq_mask];
  memset(entry, 0, sizeof *entry);
  return entry;
}

static void push_entry(cp_uring *ring) {
  unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
  ring->sq_array[index] = index;
  __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
  ring->queued++;
}

static void arm_wake(cp_uring *ring) {
  struct io_uring_sqe *entry = next_entry(ring); /* the ring has one more than it has reads */
  if (!entry) return;
  entry->opcode = IORING_OP_POLL_ADD;
  entry->fd = ring->event;
  entry->poll32_events = POLLIN;
  entry->user_data = CP_URING_WAKE;
  push_entry(ring);
}

int cp_uring_create(unsigned entries, cp_uring **result) {
  cp_uring *ring = calloc(1, sizeof *ring);
  if (!ring) return ENOMEM;
  ring->fd = ring->event = -1;
  ring->rings = ring->sqes = MAP_FAILED;

  struct io_uring_params params;
  memset(&params, 0, sizeof params);
#ifdef IORING_SETUP_DEFER_TASKRUN
  /* Completions are handled when the one submitting thread asks, not by interrupting it. */
  params.flags =
      IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  ring->fd = ring_setup(entries + 1, &params);
  ring->is_disabled = ring->fd >= 0;
#endif
  if (ring->fd < 0) { /* kernels before 6.1 */
    memset(&params, 0, sizeof params);
    ring->fd = ring_setup(entries + 1, &params);
  }
  if (ring->fd < 0) goto failed;
  if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !(params.features & IORING_FEAT_NODROP)) {
    errno = ENOSYS; /* kernels before 5.5, which cannot read into plain memory either */
    goto failed;
  }

  size_t sq = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t cq = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  ring->rings_length = sq > cq ? sq : cq;
  ring->sqes_length = params.sq_entries * sizeof(struct io_uring_sqe);
  ring->rings = mmap(NULL, ring->rings_length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     ring->fd, IORING_OFF_SQ_RING);
  ring->sqes = mmap(NULL, ring->sqes_length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                    ring->fd, IORING_OFF_SQES);
  if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED) goto failed;
  char *base = ring->rings;
  ring->sq_head = (unsigned *)(base + params.sq_off.head);
  ring->sq_tail = (unsigned *)(base + params.sq_off.tail);
  ring->sq_mask = (unsigned *)(base + params.sq_off.ring_mask);
  ring->sq_array = (unsigned *)(base + params.sq_off.array);
  ring->cq_head = (unsigned *)(base + params.cq_off.head);
  ring->cq_tail = (unsigned *)(base + params.cq_off.tail);
  ring->cq_mask = (unsigned *)(base + params.cq_off.ring_mask);
  ring->cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
  ring->sq_entries = params.sq_entries;

  ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (ring->event < 0) goto failed;
  arm_wake(ring);
  *result = ring;
  return 0;

failed:;
  int error = errno;
  cp_uring_destroy(ring);
  return error;
}

int cp_uring_register_files(cp_uring *ring, const int *descriptors, unsigned count) {
  return ring_register(ring, IORING_REGISTER_FILES, descriptors, count);
}

int cp_uring_register_buffers(cp_uring *ring, void *address, size_t length, size_t piece) {
  size_t count = piece ? (length + piece - 1) / piece : 0;
  if (count == 0 || count > 1024) return EINVAL;
  struct iovec *pieces = calloc(count, sizeof *pieces);
  if (!pieces) return ENOMEM;
  for (size_t i = 0; i < count; i++) {
    pieces[i].iov_base = (char *)address + i * piece;
    pieces[i].iov_len = i + 1 < count ? piece : length - i * piece;
  }
  int error = ring_register(ring, IORING_REGISTER_BUFFERS, pieces, (unsigned)count);
  free(pieces);
  return error;
}

int cp_uring_enable(cp_uring *ring) {
  if (!ring->is_disabled) return 0;
  int error = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (!error) ring->is_disabled = false;
  return error;
}

bool cp_uring_read(cp_uring *ring, int file, bool is_registered, int buffer, void *target,
                   unsigned length, uint64_t offset, uint64_t user_data) {
  struct io_uring_sqe *entry = next_entry(ring);
  if (!entry) return false;
  entry->opcode = buffer >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ;
  entry->flags = is_registered ? IOSQE_FIXED_FILE : 0;
  entry->fd = file;
  entry->off = offset;
  entry->addr = (uint64_t)(uintptr_t)target;
  entry->len = length;
  entry->buf_index = buffer >= 0 ? (uint16_t)buffer : 0;
  entry->user_data = user_data;
  push_entry(ring);
  return true;
}

static bool has_completion(cp_uring *ring) {
  return *ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
}

int cp_uring_submit(cp_uring *ring, unsigned wait_for) {
  if (wait_for > 0 && has_completion(ring)) wait_for = 0;
  long taken = syscall(SYS_io_uring_enter, ring->fd, ring->queued, wait_for,
                       IORING_ENTER_GETEVENTS, NULL, (size_t)0);
  if (taken < 0) return errno;
  ring->queued -= (unsigned)taken;
  return 0;
}

bool cp_uring_take(cp_uring *ring, uint64_t *user_data, int32_t *result) {
  if (!has_completion(ring)) return false;
  unsigned head = *ring->cq_head;
  struct io_uring_cqe *entry = &ring->cqes[head & *ring->cq_mask];
  *user_data = entry->user_data;
  *result = entry->res;
  __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
  if (*user_data == CP_URING_WAKE) {
    uint64_t count;
    ssize_t ignored = read(ring->event, &count, sizeof count);
    (void)ignored;
    arm_wake(ring);
  }
  return true;
}

void cp_uring_wake(cp_uring *ring) {
  uint64_t one = 1;
  ssize_t ignored = write(ring->event, &one, sizeof one);
  (void)ignored;
}

void cp_uring_destroy(cp_uring *ring) {
  if (ring->sqes != MAP_FAILED) munmap(ring->sqes, ring->sqes_length);
  if (ring->rings != MAP_FAILED) munmap(ring->rings, ring->rings_length);
  if (ring->fd >= 0) close(ring->fd);
  if (ring->event >= 0) close(ring->event);
  free(ring);
}

#else

int cp_uring_create(unsigned entries, cp_uring **ring) {
  (void)entries, (void)ring;
  return ENOSYS;
}
int cp_uring_register_files(cp_uring *ring, const int *descriptors, unsigned count) {
  (void)ring, (void)descriptors, (void)count;
  return ENOSYS;
}
int cp_uring_register_buffers(cp_uring *ring, void *address, size_t length, size_t piece) {
  (void)ring, (void)address, (void)length, (void)piece;
  return ENOSYS;
}
int cp_uring_enable(cp_uring *ring) {
  (void)ring;
  return ENOSYS;
}
bool cp_uring_read(cp_uring *ring, int file, bool is_registered, int buffer, void *target,
                   unsigned length, uint64_t offset, uint64_t user_data) {
  (void)ring, (void)file, (void)is_registered, (void)buffer, (void)target, (void)length;
  (void)offset, (void)user_data;
  return false;
}
int cp_uring_submit(cp_uring *ring, unsigned wait_for) {
  (void)ring, (void)wait_for;
  return ENOSYS;
}
bool cp_uring_take(cp_uring *ring, uint64_t *user_data, int32_t *result) {
  (void)ring, (void)user_data, (void)result;
  return false;
}
void cp_uring_wake(cp_uring *ring) { (void)ring; }
void cp_uring_destroy(cp_uring *ring) { (void)ring; }

#endif

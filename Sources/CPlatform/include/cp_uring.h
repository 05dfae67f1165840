/* io_uring by raw system calls: reads into memory, one thread that submits and collects. No library
 * is needed, and where the system has no io_uring, cp_uring_create says ENOSYS. */
#ifndef CP_URING_H
#define CP_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cp_uring cp_uring;

/* `user_data` of the completion that a call of cp_uring_wake causes. */
#define CP_URING_WAKE UINT64_MAX

/* Makes a ring for `entries` reads at once (1 to 4096). 0, or an errno: ENOSYS or EPERM where
 * io_uring is missing or forbidden. Any thread may create and register; the thread that calls
 * cp_uring_enable is the only one to use the ring from then on, but for cp_uring_wake. */
int cp_uring_create(unsigned entries, cp_uring **ring);

/* Registers descriptors, so that reads need no look-up; reads then name them by index. 0 or errno. */
int cp_uring_register_files(cp_uring *ring, const int *descriptors, unsigned count);

/* Registers `length` bytes at `address` as buffers of `piece` bytes (the last one shorter), so that
 * reads into one of them need not pin pages. 0, or an errno: ENOMEM above the limit on locked
 * memory. */
int cp_uring_register_buffers(cp_uring *ring, void *address, size_t length, size_t piece);

/* Hands the ring to the calling thread. 0 or errno. */
int cp_uring_enable(cp_uring *ring);

/* Queues a read of `length` bytes at `offset`. `file` is a registered index if `is_registered`, else
 * a descriptor; `buffer` is the registered buffer the target lies in, -1 for none. False when the
 * submission queue is full, which takes more reads at once than the ring was made for. */
bool cp_uring_read(cp_uring *ring, int file, bool is_registered, int buffer, void *target,
                   unsigned length, uint64_t offset, uint64_t user_data);

/* Submits what is queued and waits until `wait_for` completions (0 or 1) can be taken. 0 or errno;
 * EINTR, EAGAIN and EBUSY leave everything as it was. */
int cp_uring_submit(cp_uring *ring, unsigned wait_for);

/* Takes one completion, if there is one: `result` is the count of bytes or a negative errno. */
bool cp_uring_take(cp_uring *ring, uint64_t *user_data, int32_t *result);

/* Lets a wait of the ring's thread end, now or when it comes. Any thread; never blocks. */
void cp_uring_wake(cp_uring *ring);

/* Frees the ring. No read may be in flight. */
void cp_uring_destroy(cp_uring *ring);

#endif

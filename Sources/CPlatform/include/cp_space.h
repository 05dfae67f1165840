/* Room on file systems: what is free, what a file takes, reserving and giving back. */
#ifndef CP_SPACE_H
#define CP_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that this user may still write to the file system of `path`, and bytes of one of its blocks. 0, or
 * -1 with errno. */
int cp_free_space(const char *path, uint64_t *free_bytes, uint64_t *block_bytes);

/* Bytes that the file `path` itself (no link is followed) takes on its disk; 0 when unknown. */
uint64_t cp_allocated_bytes(const char *path);

/* Reserves the blocks of [offset, offset + length) of `fd` and makes the file at least that long. 0, or -1
 * with errno; EOPNOTSUPP or EINVAL where the file system cannot. */
int cp_reserve(int fd, uint64_t offset, uint64_t length);

/* Gives the blocks of [offset, offset + length) of `fd` back; the range reads as zeros, the length of the
 * file stays. 0, or -1 with errno; EOPNOTSUPP where the file system cannot. */
int cp_punch_hole(int fd, uint64_t offset, uint64_t length);

/* Directory entries of the file; 0 when the system does not say. */
uint64_t cp_link_count(int fd);

/* Gives the file the extended attribute `name`, which holds a "1": 0, or -1 with errno. */
int cp_set_attribute(int fd, const char *name);

/* Whether the file at `path`, not a link to it, has the extended attribute `name`. */
bool cp_has_attribute(const char *path, const char *name);

/* When the content of `fd` was last modified, nanoseconds since 1970; 0 when unknown. */
int64_t cp_modified(int fd);

/* Sets that time; the time of the last access stays. 0, or -1 with errno. */
int cp_set_modified(int fd, int64_t nanoseconds);

/* Takes the shared lock of the open file `fd`, without waiting. False when another
 * descriptor's lock forbids it; true also where locks do not exist. */
bool cp_lock_shared(int fd);

#endif

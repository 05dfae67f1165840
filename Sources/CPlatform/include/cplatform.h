/* What Swift's libc import hides: open flags behind _GNU_SOURCE, thread names, huge pages, and peak
 * memory. Every function is safe to call from any thread. */
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cp_closure.h"
#include "cp_interrupt.h"
#include "cp_processors.h"
#include "cp_space.h"
#include "cp_terminal.h"
#include "cp_uring.h"
#include "cp_wait.h"

/* Opens `path` for reading past the page cache: O_DIRECT on Linux, F_NOCACHE on macOS.
 * Returns a descriptor, or -1 with errno; EINVAL when the file system has no direct reads. */
int cp_open_direct(const char *path);

/* Makes reads and writes of the open file `fd` pass the page cache. False when its file system
 * cannot. */
bool cp_make_direct(int fd);

/* Whether `fd` is a regular file: not a directory, pipe, socket or device. */
bool cp_is_regular_file(int fd);

/* Alignment that direct reads of `fd` ask of memory address and file offset, in bytes;
 * 4096 when the kernel does not say. */
size_t cp_direct_alignment(int fd);

/* When `fd` was last changed, its content or what the system keeps about it, in nanoseconds, mixed with
 * its length: two equal values mean that nothing wrote to it in between. No process can set this
 * time. */
uint64_t cp_content_stamp(int fd);

/* The device that `fd` lies on; both 0 when unknown. */
void cp_device(int fd, uint32_t *major_number, uint32_t *minor_number);

/* Advises huge pages for [address, address + length). Best effort; false when refused. */
bool cp_advise_huge_pages(void *address, size_t length);

/* Gives [address, address + length), aligned to 4 KiB, its pages now. Best effort. */
void cp_populate(void *address, size_t length);

/* Names the calling thread, cut to what the system allows (15 bytes on Linux). */
void cp_name_thread(const char *name);

/* Largest resident set of this process so far, in bytes; 0 when unknown. */
uint64_t cp_peak_resident_bytes(void);

/* Physical memory of the machine in bytes; 0 when unknown. */
uint64_t cp_physical_memory_bytes(void);

/* Takes the lock of the open file or directory `fd`, without waiting; it ends with the descriptor, or
 * the process. False when another descriptor holds it; true also where locks do not exist. */
bool cp_lock(int fd);

/* Whether `path` names the file that is open as `fd`; a symbolic link there is another file. */
bool cp_is_file_at(int fd, const char *path);

/* Opens what is closed of standard input, output and error, so that no file that is opened later gets
 * their numbers and with them what is meant for a terminal. Reads and writes there still fail. */
void cp_reserve_standard_descriptors(void);

/* Flushes `fd` to stable storage: fsync, F_FULLFSYNC on macOS. 0, or -1 with errno. */
int cp_full_sync(int fd);

#endif

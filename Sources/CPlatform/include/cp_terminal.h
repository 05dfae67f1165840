/* The terminal behind a descriptor: its size, and how it is put in order when a signal ends the
 * process. */
#ifndef CP_TERMINAL_H
#define CP_TERMINAL_H

#include <stdbool.h>

/* Columns and rows of the terminal `fd`; false when it is none, or one that does not say. */
bool cp_terminal_size(int fd, int *columns, int *rows);

/* Keeps a copy of `sequence` (at most 127 bytes), which cp_restore_terminal writes; "" for nothing.
 * One thread at a time. */
void cp_set_terminal_restore(const char *sequence);

/* Writes what cp_set_terminal_restore was given to standard error. Safe in a signal handler. */
void cp_restore_terminal(void);

#endif

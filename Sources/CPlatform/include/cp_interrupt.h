/* What SIGINT, SIGTERM and SIGHUP do. The signals of a process are one: so is this state. */
#ifndef CP_INTERRUPT_H
#define CP_INTERRUPT_H

#include <stdbool.h>

/* Makes SIGINT, SIGTERM and SIGHUP write `message` (a copy of at most 255 bytes is kept) to standard
 * error and end the process at once with status 128 + signal. A SIGHUP that is ignored stays so; a
 * signal that is blocked is unblocked. For the main thread, before it starts others. */
void cp_exit_on_interrupt(const char *message);

/* From now on the first of these signals is only noted, for cp_interrupt_signal. When the process has
 * not ended `grace_seconds` later, or a second signal comes, it ends as by cp_exit_on_interrupt with
 * `message`; whatever its threads wait for then. */
void cp_stop_on_interrupt(const char *message, unsigned grace_seconds);

/* The signal that was noted; 0 for none. */
int cp_interrupt_signal(void);

/* The file at `path` (a copy is kept) is removed when a signal ends the process; NULL for none. False
 * when the path is too long to be kept. */
bool cp_remove_on_interrupt(const char *path);

/* Whether standard output ends within a line: a signal that ends the process ends the line, too. */
void cp_set_unfinished_line(bool unfinished);

#endif

#include "cp_terminal.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool cp_terminal_size(int fd, int *columns, int *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return false;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return true;
}

/* A handler may run between any two statements: it finds the old sequence, the new one or none. */
static char sequences[2][128];
static volatile sig_atomic_t current = -1;

void cp_set_terminal_restore(const char *sequence) {
  int other = current == 0 ? 1 : 0;
  strncpy(sequences[other], sequence, sizeof sequences[other] - 1);
  current = other;
}

void cp_restore_terminal(void) {
  if (current < 0) return;
  const char *sequence = sequences[current];
  /* A terminal that takes nothing now (Ctrl-S) must not keep the process from ending. */
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
  ssize_t ignored = write(STDERR_FILENO, sequence, strlen(sequence));
  (void)ignored;
}

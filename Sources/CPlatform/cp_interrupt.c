#include "cp_interrupt.h"

#include "cp_terminal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Written before the handlers can see them, or atomic. */
static char exit_message[256];
static char stop_message[256];
static char doomed_path[PATH_MAX];
static _Atomic bool stops_gracefully, removes_path, line_is_unfinished;
static _Atomic unsigned grace;
static _Atomic int noted_signal;

/* From here on only calls that POSIX lists as safe in a handler. */

/* Writes without ever waiting for a reader. */
static void write_if_possible(int fd, const char *text, size_t length) {
  struct pollfd ready = {.fd = fd, .events = POLLOUT};
  if (length == 0 || poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
  ssize_t ignored = write(fd, text, length);
  (void)ignored;
}

static void end_now(int signal_number, const char *message) {
  cp_restore_terminal();
  if (line_is_unfinished) write_if_possible(STDOUT_FILENO, "\n", 1);
  if (removes_path) (void)unlink(doomed_path);
  write_if_possible(STDERR_FILENO, message, strlen(message));
  _exit(128 + signal_number);
}

static void interrupted(int signal_number) {
  int error = errno;
  int none = 0;
  if (!stops_gracefully) end_now(signal_number, exit_message);
  if (!atomic_compare_exchange_strong(&noted_signal, &none, signal_number)) {
    end_now(none, stop_message);
  }
  (void)alarm(grace);
  errno = error;
}

static void grace_ended(int signal_number) {
  (void)signal_number;
  end_now(noted_signal, stop_message);
}

static void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  /* What waits for a disk or a terminal goes on: the noted signal is looked at between two steps. */
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, NULL);
  /* Whoever started the process may have done so from a thread that blocks signals, as the workers
   * of thread pools do; the mask is inherited. */
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &own, NULL);
}

void cp_exit_on_interrupt(const char *message) {
  strncpy(exit_message, message, sizeof exit_message - 1);
  handle(SIGINT, interrupted);
  handle(SIGTERM, interrupted);
  struct sigaction current;
  if (sigaction(SIGHUP, NULL, &current) == 0 && current.sa_handler != SIG_IGN) {
    handle(SIGHUP, interrupted);
  }
}

void cp_stop_on_interrupt(const char *message, unsigned grace_seconds) {
  strncpy(stop_message, message, sizeof stop_message - 1);
  grace = grace_seconds;
  handle(SIGALRM, grace_ended);
  stops_gracefully = true;
}

int cp_interrupt_signal(void) { return noted_signal; }

bool cp_remove_on_interrupt(const char *path) {
  removes_path = false;
  if (!path) return true;
  if (strlen(path) >= sizeof doomed_path) return false;
  strcpy(doomed_path, path);
  removes_path = true;
  return true;
}

void cp_set_unfinished_line(bool unfinished) { line_is_unfinished = unfinished; }

#include "cp_processors.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__linux__)

#include <sched.h>

int cp_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

/* The lowest processor on the same core as `processor`; itself when the kernel does not say. */
static int first_sibling(int processor, const cpu_set_t *allowed) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
           processor);
  FILE *file = fopen(path, "re");
  if (file == NULL) return processor;
  int first = processor, low, high;
  char separator;
  /* A list such as 0,8 or 0-1. */
  while (fscanf(file, "%d", &low) == 1) {
    high = low;
    if (fscanf(file, "%c", &separator) == 1 && separator == '-') {
      if (fscanf(file, "%d%c", &high, &separator) < 1) break;
    }
    for (int p = low; p <= high && p < first; p++) {
      if (p >= 0 && p < CPU_SETSIZE && CPU_ISSET(p, allowed)) first = p;
    }
  }
  fclose(file);
  return first;
}

int cp_cores(int *processors, int capacity) {
  cpu_set_t allowed;
  int count = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    for (int p = 0; p < CPU_SETSIZE; p++) {
      if (!CPU_ISSET(p, &allowed) || first_sibling(p, &allowed) != p) continue;
      if (count < capacity) processors[count] = p;
      count++;
    }
  }
  return count > 0 ? count : cp_processor_count();
}

bool cp_pin_thread(int processor) {
  if (processor < 0 || processor >= CPU_SETSIZE) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

#else

#include <sys/sysctl.h>

int cp_processor_count(void) {
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

int cp_cores(int *processors, int capacity) {
  int count = 0;
  size_t size = sizeof count;
  if (sysctlbyname("hw.physicalcpu", &count, &size, NULL, 0) != 0 || count < 1) {
    count = cp_processor_count();
  }
  for (int i = 0; i < count && i < capacity; i++) processors[i] = i;
  return count;
}

bool cp_pin_thread(int processor) {
  (void)processor;
  return false;
}

#endif

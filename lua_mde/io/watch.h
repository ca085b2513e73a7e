/* The descriptors that a transport waits for: set as often as libcurl likes, told to the kernel only
 * before a wait, and only what has changed since.
 *
 *   mde_watch_set(&watch, fd, MDE_WATCH_READ);              0: not any more
 *   int count = mde_watch_wait(&watch, 100, ready);         ready[i].fd, ready[i].events
 *   mde_watch_list(&watch, list, MDE_WATCH_READY_MAX)       for somebody else's loop to wait for
 *
 * On Linux this is one epoll instance, and the list is that one descriptor (and those that the kernel has
 * no memory for); elsewhere it is poll. */
#ifndef MDE_IO_WATCH_H
#define MDE_IO_WATCH_H

#include "core/memory.h"

#include <stdbool.h>
#include <stdint.h>

enum { MDE_WATCH_READ = 1, MDE_WATCH_WRITE = 2, MDE_WATCH_READY_MAX = 64 };

typedef struct mde_ready {
  int fd;
  unsigned events;
} mde_ready;

typedef struct mde_watched mde_watched;

typedef struct mde_watch {
  const mde_memory *memory; /* borrows */
  mde_watched *at;          /* by descriptor; and the list of what the kernel is still to be told */
  size_t capacity;
  size_t changed_count;
  int epoll; /* -1: there is none */
} mde_watch;

/* False: no descriptor left. */
bool mde_watch_open(mde_watch *watch, const mde_memory *memory);
void mde_watch_close(mde_watch *watch);

/* False: no memory to remember it. */
bool mde_watch_set(mde_watch *watch, int fd, unsigned events);
bool mde_watch_wants(const mde_watch *watch, int fd);
/* It is being closed: the kernel forgets it by itself. */
void mde_watch_forget(mde_watch *watch, int fd);

/* Waits for at most so long; -1 for ever. Returns how many are ready, at most MDE_WATCH_READY_MAX. */
int mde_watch_wait(mde_watch *watch, int wait_ms, mde_ready ready[MDE_WATCH_READY_MAX]);

/* How many descriptors there are to wait for; writes at most `most` of them. */
size_t mde_watch_list(mde_watch *watch, mde_ready *list, size_t most);

#endif

#include "io/watch.h"

#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/epoll.h>
#else
#include <poll.h>
#endif

enum { FIRST_CAPACITY = 64 };

struct mde_watched {
  uint8_t wanted;
  uint8_t told; /* to the kernel */
  bool changed; /* is in the list of changes */
  int change;   /* not of this descriptor: this place of that list */
};

static bool grow(mde_watch *watch, size_t capacity)
{
  size_t had = watch->capacity;
  mde_watched *at =
      mde_memory_resize(watch->memory, watch->at, had * sizeof *at, capacity * sizeof *at);
  if (at == NULL)
    return false;
  memset(at + had, 0, (capacity - had) * sizeof *at);
  watch->at = at;
  watch->capacity = capacity;
  return true;
}

static bool make_room(mde_watch *watch, int fd)
{
  size_t capacity = watch->capacity > 0 ? watch->capacity : FIRST_CAPACITY;
  while (capacity <= (size_t)fd)
    capacity *= 2;
  return capacity == watch->capacity || grow(watch, capacity);
}

bool mde_watch_set(mde_watch *watch, int fd, unsigned events)
{
  if (fd < 0 || !make_room(watch, fd))
    return false;
  mde_watched *watched = &watch->at[fd];
  watched->wanted = (uint8_t)events;
  if (watched->wanted == watched->told || watched->changed)
    return true;
  watched->changed = true;
  watch->at[watch->changed_count++].change = fd;
  return true;
}

bool mde_watch_wants(const mde_watch *watch, int fd)
{
  return fd >= 0 && (size_t)fd < watch->capacity && watch->at[fd].wanted != 0;
}

void mde_watch_forget(mde_watch *watch, int fd)
{
  if (fd < 0 || (size_t)fd >= watch->capacity)
    return;
  watch->at[fd].wanted = 0;
  watch->at[fd].told = 0;
}

static void free_table(mde_watch *watch)
{
  if (watch->at != NULL)
    mde_memory_resize(watch->memory, watch->at, watch->capacity * sizeof *watch->at, 0);
  watch->at = NULL;
  watch->capacity = watch->changed_count = 0;
}

#if defined(__linux__)

enum { UNTOLD_MS = 1 };

bool mde_watch_open(mde_watch *watch, const mde_memory *memory)
{
  *watch = (mde_watch){.memory = memory, .epoll = epoll_create1(EPOLL_CLOEXEC)};
  return watch->epoll >= 0;
}

void mde_watch_close(mde_watch *watch)
{
  free_table(watch);
  if (watch->memory != NULL && watch->epoll >= 0)
    close(watch->epoll);
  watch->epoll = -1;
}

static uint32_t to_epoll(unsigned events)
{
  return ((events & MDE_WATCH_READ) != 0 ? EPOLLIN : 0u) |
         ((events & MDE_WATCH_WRITE) != 0 ? EPOLLOUT : 0u);
}

/* A descriptor that was closed and opened again since is new to the kernel, whatever was told. */
static bool tell(const mde_watch *watch, int fd, mde_watched *watched)
{
  struct epoll_event event = {.events = to_epoll(watched->wanted), .data = {.fd = fd}};
  if (watched->wanted == watched->told)
    return true;
  if (watched->wanted == 0)
    epoll_ctl(watch->epoll, EPOLL_CTL_DEL, fd, &event);
  else if (epoll_ctl(watch->epoll, EPOLL_CTL_MOD, fd, &event) != 0 &&
           epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return false;
  watched->told = watched->wanted;
  return true;
}

/* What the kernel has no memory for stays in the list. */
static void tell_all(mde_watch *watch)
{
  size_t left = 0;
  for (size_t i = 0; i < watch->changed_count; i++) {
    int fd = watch->at[i].change;
    watch->at[fd].changed = !tell(watch, fd, &watch->at[fd]);
    if (watch->at[fd].changed)
      watch->at[left++].change = fd;
  }
  watch->changed_count = left;
}

/* Those may be ready: whoever tries them finds out. */
static size_t add_untold(const mde_watch *watch, mde_ready *list, size_t most)
{
  for (size_t i = 0; i < watch->changed_count && i < most; i++) {
    int fd = watch->at[i].change;
    list[i] = (mde_ready){fd, watch->at[fd].wanted};
  }
  return watch->changed_count;
}

int mde_watch_wait(mde_watch *watch, int wait_ms, mde_ready ready[MDE_WATCH_READY_MAX])
{
  struct epoll_event events[MDE_WATCH_READY_MAX];
  tell_all(watch);
  if (watch->changed_count > 0 && wait_ms != 0)
    wait_ms = UNTOLD_MS;
  int count = epoll_wait(watch->epoll, events, MDE_WATCH_READY_MAX, wait_ms);
  for (int i = 0; i < count; i++) {
    unsigned in = (events[i].events & ~(uint32_t)EPOLLOUT) != 0 ? MDE_WATCH_READ : 0;
    unsigned out = (events[i].events & EPOLLOUT) != 0 ? MDE_WATCH_WRITE : 0;
    ready[i] = (mde_ready){events[i].data.fd, in | out};
  }
  size_t found = count > 0 ? (size_t)count : 0;
  found += add_untold(watch, ready + found, MDE_WATCH_READY_MAX - found);
  return found < MDE_WATCH_READY_MAX ? (int)found : MDE_WATCH_READY_MAX;
}

size_t mde_watch_list(mde_watch *watch, mde_ready *list, size_t most)
{
  tell_all(watch);
  if (most == 0)
    return 1 + watch->changed_count;
  list[0] = (mde_ready){watch->epoll, MDE_WATCH_READ};
  return 1 + add_untold(watch, list + 1, most - 1);
}

#else

bool mde_watch_open(mde_watch *watch, const mde_memory *memory)
{
  *watch = (mde_watch){.memory = memory, .epoll = -1};
  return true;
}

void mde_watch_close(mde_watch *watch)
{
  free_table(watch);
}

size_t mde_watch_list(mde_watch *watch, mde_ready *list, size_t most)
{
  size_t count = 0;
  for (size_t fd = 0; fd < watch->capacity; fd++) {
    watch->at[fd].changed = false;
    watch->at[fd].told = watch->at[fd].wanted;
    if (watch->at[fd].wanted != 0 && count++ < most)
      list[count - 1] = (mde_ready){(int)fd, watch->at[fd].wanted};
  }
  watch->changed_count = 0;
  return count;
}

static void to_poll(struct pollfd *poll, const mde_ready *wanted)
{
  short in = (wanted->events & MDE_WATCH_READ) != 0 ? POLLIN : 0;
  short out = (wanted->events & MDE_WATCH_WRITE) != 0 ? POLLOUT : 0;
  *poll = (struct pollfd){.fd = wanted->fd, .events = (short)(in | out)};
}

/* Those beyond the limit wait for their turn: libcurl's own timer asks for them again. */
int mde_watch_wait(mde_watch *watch, int wait_ms, mde_ready ready[MDE_WATCH_READY_MAX])
{
  struct pollfd polls[MDE_WATCH_READY_MAX];
  mde_ready wanted[MDE_WATCH_READY_MAX];
  size_t count = mde_watch_list(watch, wanted, MDE_WATCH_READY_MAX);
  int found = 0;
  if (count > MDE_WATCH_READY_MAX)
    count = MDE_WATCH_READY_MAX;
  for (size_t i = 0; i < count; i++)
    to_poll(&polls[i], &wanted[i]);
  if (poll(polls, (nfds_t)count, wait_ms) <= 0)
    return 0;
  for (size_t i = 0; i < count; i++) {
    unsigned in = (polls[i].revents & ~POLLOUT) != 0 ? MDE_WATCH_READ : 0;
    unsigned out = (polls[i].revents & POLLOUT) != 0 ? MDE_WATCH_WRITE : 0;
    if ((in | out) != 0)
      ready[found++] = (mde_ready){polls[i].fd, in | out};
  }
  return found;
}

#endif

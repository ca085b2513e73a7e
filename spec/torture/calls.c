#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>

static size_t maps;

static bool fails(torture_call *call)
{
  call->count++;
  if (call->fail_at == 0 || call->count < call->fail_at ||
      (call->count > call->fail_at && !call->for_good))
    return false;
  errno = call->code;
  return true;
}

/* name, result, result of a failure, parameters, arguments. Those that need more than this are below. */
#define PLAIN_CALLS(X)                                                                             \
  X(read, ssize_t, -1, (int fd, void *to, size_t size), (fd, to, size))                            \
  X(pread, ssize_t, -1, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))             \
  X(stat, int, -1, (const char *path, struct stat *facts), (path, facts))                          \
  X(fstat, int, -1, (int fd, struct stat *facts), (fd, facts))                                     \
  X(fstatfs, int, -1, (int fd, struct statfs *facts), (fd, facts))                                 \
  X(flock, int, -1, (int fd, int how), (fd, how))                                                  \
  X(fchmod, int, -1, (int fd, mode_t mode), (fd, mode))                                            \
  X(posix_fallocate, int, call->code, (int fd, off_t at, off_t size), (fd, at, size))              \
  X(link, int, -1, (const char *from, const char *to), (from, to))                                 \
  X(rename, int, -1, (const char *from, const char *to), (from, to))                               \
  X(unlink, int, -1, (const char *path), (path))                                                   \
  X(getcwd, char *, NULL, (char *to, size_t size), (to, size))                                     \
  X(getentropy, int, -1, (void *to, size_t size), (to, size))                                      \
  X(madvise, int, -1, (void *at, size_t size, int advice), (at, size, advice))                     \
  X(sysconf, long, -1, (int name), (name))                                                         \
  X(kill, int, -1, (pid_t pid, int number), (pid, number))                                         \
  X(socket, int, -1, (int family, int type, int protocol), (family, type, protocol))               \
  X(dup2, int, -1, (int from, int to), (from, to))                                                 \
  X(epoll_create1, int, -1, (int flags), (flags))                                                  \
  X(epoll_ctl, int, -1, (int epoll, int how, int fd, struct epoll_event *event),                   \
    (epoll, how, fd, event))                                                                       \
  X(epoll_wait, int, -1, (int epoll, struct epoll_event *events, int most, int wait_ms),           \
    (epoll, events, most, wait_ms))

enum {
#define NUMBER(name, result, failure, parameters, arguments) CALL_##name,
  PLAIN_CALLS(NUMBER)
#undef NUMBER
      CALL_open,
  CALL_close,
  CALL_fcntl,
  CALL_mmap,
  CALL_munmap,
};

/* Shared with forked children, whose calls count, too. */
torture_call *torture_calls;

void *__real_mmap(void *at, size_t size, int access, int flags, int fd, off_t from);

bool torture_calls_start(void)
{
  static const torture_call all[] = {
#define NAME(name, result, failure, parameters, arguments) [CALL_##name] = {#name, 0, 0, 0, 0},
      PLAIN_CALLS(NAME)
#undef NAME
          [CALL_open] = {.name = "open"},
      [CALL_close] = {.name = "close"},
      [CALL_fcntl] = {.name = "fcntl"},
      [CALL_mmap] = {.name = "mmap"},
      [CALL_munmap] = {.name = "munmap"},
      {.name = NULL},
  };
  void *shared =
      __real_mmap(NULL, sizeof all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    return false;
  torture_calls = memcpy(shared, all, sizeof all);
  return true;
}

#define WRAP(name, result, failure, parameters, arguments)                                         \
  result __real_##name parameters;                                                                 \
  result __wrap_##name parameters;                                                                 \
  result __wrap_##name parameters                                                                  \
  {                                                                                                \
    torture_call *call = &torture_calls[CALL_##name];                                              \
    return fails(call) ? failure : __real_##name arguments;                                        \
  }
PLAIN_CALLS(WRAP)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
  mode_t mode = 0;
  va_list rest;
  va_start(rest, flags);
  if ((flags & O_CREAT) != 0)
    mode = va_arg(rest, mode_t);
  va_end(rest);
  return fails(&torture_calls[CALL_open]) ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...)
{
  int argument = 0;
  va_list rest;
  va_start(rest, what);
  if (what == F_SETFD || what == F_SETFL)
    argument = va_arg(rest, int);
  va_end(rest);
  return fails(&torture_calls[CALL_fcntl]) ? -1 : __real_fcntl(fd, what, argument);
}

/* On Linux a descriptor is gone whatever close says. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
  int result = __real_close(fd);
  return fails(&torture_calls[CALL_close]) ? -1 : result;
}

void *__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t from);
void *__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t from)
{
  if (fails(&torture_calls[CALL_mmap]))
    return MAP_FAILED;
  maps++;
  return __real_mmap(at, size, access, flags, fd, from);
}

int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size)
{
  maps--;
  int result = __real_munmap(at, size);
  return fails(&torture_calls[CALL_munmap]) ? -1 : result;
}

/* Nobody waits. */
int __wrap_nanosleep(const struct timespec *length, struct timespec *left);
int __wrap_nanosleep(const struct timespec *length, struct timespec *left)
{
  (void)length, (void)left;
  return 0;
}

torture_call *torture_call_find(const char *name)
{
  for (torture_call *at = torture_calls; at->name != NULL; at++) {
    if (strcmp(at->name, name) == 0)
      return at;
  }
  return NULL;
}

size_t torture_descriptors(void)
{
  size_t count = 0;
  for (int fd = 0; fd < 1024; fd++)
    count += __real_fcntl(fd, F_GETFD, 0) >= 0;
  return count;
}

size_t torture_maps(void)
{
  return maps;
}

#include "io/sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 8, UNREAD_STEP = 16384, UNREAD_STEPS = 1024 };

#if !defined(SOCK_CLOEXEC)
#define SOCK_CLOEXEC 0 /* macOS: between socket() and fcntl() another thread may fork */
#endif

void mde_sockets_init(mde_sockets *sockets, const mde_memory *memory)
{
  *sockets = (mde_sockets){.memory = memory};
}

void mde_sockets_free(mde_sockets *sockets)
{
  if (sockets->fds != NULL)
    mde_memory_resize(sockets->memory, sockets->fds, sockets->capacity * sizeof(int), 0);
  sockets->fds = NULL;
  sockets->count = sockets->capacity = 0;
}

static int make_room(mde_sockets *sockets)
{
  if (sockets->count < sockets->capacity)
    return 1;
  size_t capacity = sockets->capacity > 0 ? sockets->capacity * 2 : FIRST_CAPACITY;
  int *fds = mde_memory_resize(sockets->memory, sockets->fds, sockets->capacity * sizeof(int),
                               capacity * sizeof(int));
  if (fds == NULL)
    return 0;
  sockets->fds = fds;
  sockets->capacity = capacity;
  return 1;
}

static void seal(int fd)
{
  int flags = fcntl(fd, F_GETFD);
  if (flags >= 0)
    fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

int mde_sockets_open(mde_sockets *sockets, int family, int type, int protocol)
{
  if (!make_room(sockets))
    return -1;
  int fd = socket(family, type | SOCK_CLOEXEC, protocol);
  if (fd < 0)
    return -1;
  if (SOCK_CLOEXEC == 0)
    seal(fd);
  sockets->fds[sockets->count++] = fd;
  return fd;
}

void mde_sockets_close(mde_sockets *sockets, int fd)
{
  for (size_t i = 0; i < sockets->count; i++) {
    if (sockets->fds[i] == fd) {
      sockets->fds[i] = sockets->fds[--sockets->count];
      break;
    }
  }
  close(fd);
}

/* A datagram socket without a peer refuses what is written, and raises no SIGPIPE. It must not block:
 * TLS reads once more when it says goodbye, and nothing ever comes. */
static int open_nowhere(void)
{
  int nowhere = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (nowhere < 0 || fcntl(nowhere, F_SETFL, O_NONBLOCK) == 0)
    return nowhere;
  close(nowhere);
  return -1;
}

/* Without a place to lead it to it is closed: nothing is opened until libcurl closes it, too. */
void mde_sockets_mute(mde_sockets *sockets)
{
  int nowhere = open_nowhere();
  for (size_t i = 0; i < sockets->count; i++) {
    if (nowhere >= 0 && dup2(nowhere, sockets->fds[i]) >= 0)
      seal(sockets->fds[i]);
    else
      close(sockets->fds[i]);
  }
  if (nowhere >= 0)
    close(nowhere);
}

/* Not for writing: TLS says goodbye, and a write might raise SIGPIPE. */
void mde_sockets_end(mde_sockets *sockets)
{
  for (size_t i = 0; i < sockets->count; i++)
    shutdown(sockets->fds[i], SHUT_RD);
}

/* Shut alone, it would still give what has come already. More than that is an attack by the very server
 * that is asked, which may as well lie in its answers. */
void mde_socket_end_unclean(int fd)
{
  char bytes[UNREAD_STEP];
  ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (size < 0)
    return;
  for (int i = 0; i < UNREAD_STEPS && size > 0; i++)
    size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  shutdown(fd, SHUT_RD);
}

void mde_spare_fds(int spare[MDE_SPARE_FDS])
{
  int fd = 0;
  for (int i = 0; i < MDE_SPARE_FDS; i++, fd++) {
    while (fcntl(fd, F_GETFD) >= 0)
      fd++;
    spare[i] = fd;
  }
}

void mde_spare_fds_seal(const int spare[MDE_SPARE_FDS])
{
  for (int i = 0; i < MDE_SPARE_FDS; i++)
    seal(spare[i]);
}

/* Preloaded, it refuses what REFUSE names, so many times: REFUSE=epoll_ctl TIMES=2. It stands before the C library and
 * libcurl, whose functions it calls otherwise. */
#define _GNU_SOURCE
#include <curl/curl.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static bool refuses(const char *name)
{
  static int left = -1;
  const char *refused = getenv("REFUSE"), *times = getenv("TIMES");
  if (refused == NULL || times == NULL || strcmp(refused, name) != 0)
    return false;
  if (left < 0)
    left = atoi(times);
  return left > 0 && left-- > 0;
}

/* What would have been called. */
#define NEXT(name) __typeof__(name) *next = dlsym(RTLD_NEXT, #name)

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
  NEXT(epoll_ctl);
  if (operation == EPOLL_CTL_ADD && refuses("epoll_ctl")) {
    errno = ENOMEM;
    return -1;
  }
  return next(epoll, operation, fd, event);
}

/* Of the kind that a forked child leads its copies to. */
int socket(int domain, int type, int protocol)
{
  NEXT(socket);
  if (domain == AF_UNIX && (type & SOCK_DGRAM) != 0 && refuses("socket")) {
    errno = EMFILE;
    return -1;
  }
  return next(domain, type, protocol);
}

CURLcode curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
                              curl_realloc_callback r, curl_strdup_callback s,
                              curl_calloc_callback c)
{
  NEXT(curl_global_init_mem);
  return refuses("curl_global_init_mem") ? CURLE_OUT_OF_MEMORY : next(flags, m, f, r, s, c);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *running)
{
  NEXT(curl_multi_socket_action);
  if (fd != CURL_SOCKET_TIMEOUT && refuses("curl_multi_socket_action"))
    return CURLM_OUT_OF_MEMORY;
  return next(multi, fd, events, running);
}

/* Preloaded, it makes the first look-up of a name last, and the others fail at once. */
#include <netdb.h>
#include <stddef.h>
#include <unistd.h>

enum { SECONDS = 5 };

static int asked;

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
  (void)node, (void)service, (void)hints;
  *result = NULL;
  if (asked++ == 0)
    sleep(SECONDS);
  return EAI_NONAME;
}

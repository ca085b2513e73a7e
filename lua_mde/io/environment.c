#include "io/environment.h"

#include <stddef.h>
#include <stdlib.h>

static const char *first_set(const char *const *names)
{
  for (; *names != NULL; names++) {
    const char *value = getenv(*names);
    if (value != NULL && value[0] != '\0')
      return value;
  }
  return NULL;
}

/* Plain http is for loopback only, and no proxy of the environment reaches this machine's loopback. */
const char *mde_environment_proxy(bool https)
{
  static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
  return https ? first_set(names) : NULL;
}

const char *mde_environment_no_proxy(void)
{
  static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
  return first_set(names);
}

const char *mde_environment_ca_file(void)
{
  static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", NULL};
  return first_set(names);
}

const char *mde_environment_azure(const char *name)
{
  const char *const names[] = {name, NULL};
  return first_set(names);
}

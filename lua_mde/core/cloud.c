#include "core/cloud.h"

#include <string.h>

#define LOGIN "https://login.microsoftonline.com"
#define LOGIN_US "https://login.microsoftonline.us"
#define AUDIENCE "https://api.securitycenter.microsoft.com"
#define REGION(name)                                                                               \
  {                                                                                                \
    name, "https://" name ".api.security.microsoft.com", LOGIN, AUDIENCE                           \
  }
#define API_GCC "https://api-gcc.securitycenter.microsoft.us"
#define API_GOV "https://api-gov.securitycenter.microsoft.us"

const mde_cloud mde_clouds[] = {
    {"global", "https://api.security.microsoft.com", LOGIN, AUDIENCE},
    REGION("us"),
    REGION("eu"),
    REGION("uk"),
    REGION("au"),
    REGION("swa"),
    REGION("ina"),
    REGION("aea"),
    {"gcc", API_GCC, LOGIN, API_GCC},
    {"gcc-high", API_GOV, LOGIN_US, API_GOV},
    {"dod", API_GOV, LOGIN_US, API_GOV},
};

const size_t mde_cloud_count = sizeof mde_clouds / sizeof mde_clouds[0];

static char lower(char byte)
{
  return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

/* Hosts are the same in any case. */
static bool equals(mde_slice text, const char *other)
{
  if (text.length != strlen(other))
    return false;
  for (size_t i = 0; i < text.length; i++) {
    if (lower(text.data[i]) != other[i])
      return false;
  }
  return true;
}

static mde_slice without_port(mde_slice origin)
{
  static const char port[] = ":443";
  size_t length = sizeof port - 1;
  if (origin.length > length && memcmp(origin.data + origin.length - length, port, length) == 0)
    origin.length -= length;
  return origin;
}

const mde_cloud *mde_cloud_find(mde_slice name)
{
  for (size_t i = 0; i < mde_cloud_count; i++) {
    if (strlen(mde_clouds[i].name) == name.length &&
        memcmp(mde_clouds[i].name, name.data, name.length) == 0)
      return &mde_clouds[i];
  }
  return NULL;
}

const mde_cloud *mde_cloud_of_api(mde_slice origin)
{
  mde_slice plain = without_port(origin);
  for (size_t i = 0; i < mde_cloud_count; i++) {
    if (equals(plain, mde_clouds[i].api))
      return &mde_clouds[i];
  }
  /* The host's older name, still in samples and next links. */
  return equals(plain, AUDIENCE) ? &mde_clouds[0] : NULL;
}

bool mde_cloud_akin(const mde_cloud *a, const mde_cloud *b)
{
  return strcmp(a->authority, b->authority) == 0 && strcmp(a->audience, b->audience) == 0;
}

bool mde_cloud_fits(const mde_cloud *cloud, mde_slice authority)
{
  static const char *const hosts[][2] = {
      {LOGIN, LOGIN},
      {"https://login.windows.net", LOGIN},
      {"https://login.microsoft.com", LOGIN},
      {"https://sts.windows.net", LOGIN},
      {LOGIN_US, LOGIN_US},
      {"https://login.partner.microsoftonline.cn", "China"},
      {"https://login.chinacloudapi.cn", "China"},
  };
  mde_slice plain = without_port(authority);
  for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
    if (equals(plain, hosts[i][0]))
      return strcmp(hosts[i][1], cloud->authority) == 0;
  }
  return true;
}

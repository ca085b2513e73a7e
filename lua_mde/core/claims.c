#include "core/claims.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

/* The API's application id, which stands for its address in some tokens. */
static const char API_ID[] = "fc780465-2017-40d4-a0c5-307022471b92";

void mde_instant_text(char text[MDE_INSTANT_TEXT_SIZE], int64_t seconds)
{
  time_t moment = (time_t)seconds;
  struct tm parts;
  text[0] = '\0';
  if (gmtime_r(&moment, &parts) != NULL)
    strftime(text, MDE_INSTANT_TEXT_SIZE, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

static void add(mde_buffer *text, const char *words)
{
  mde_buffer_append_text(text, words);
}

/* --- who it is for, and until when --- */

static bool is_audience(const char *claimed, mde_slice wanted)
{
  size_t length = strlen(claimed);
  if (strcmp(claimed, API_ID) == 0)
    return true;
  while (length > 0 && claimed[length - 1] == '/')
    length--;
  while (wanted.length > 0 && wanted.data[wanted.length - 1] == '/')
    wanted.length--;
  return length == wanted.length && memcmp(claimed, wanted.data, length) == 0;
}

static bool hint_audience(mde_buffer *text, const mde_claims *claims,
                          const mde_claims_wanted *wanted)
{
  if (claims->audience[0] == '\0' || is_audience(claims->audience, wanted->audience))
    return false;
  add(text, "The token is for ");
  add(text, claims->audience);
  add(text, "; this API needs ");
  mde_buffer_append(text, wanted->audience.data, wanted->audience.length);
  add(text, ".");
  return true;
}

static bool hint_expiry(mde_buffer *text, const mde_claims *claims, const mde_claims_wanted *wanted)
{
  char moment[MDE_INSTANT_TEXT_SIZE];
  if (claims->expires_s == 0 || claims->expires_s > wanted->now_s)
    return false;
  mde_instant_text(moment, claims->expires_s);
  add(text, "The token expired at ");
  add(text, moment);
  add(text, "; get a new one.");
  return true;
}

static bool hint_tenant(mde_buffer *text, const mde_claims *claims, const mde_claims_wanted *wanted)
{
  mde_slice tenant = wanted->tenant;
  bool is_id = tenant.length == 36 && memchr(tenant.data, '.', tenant.length) == NULL;
  if (claims->tenant[0] == '\0' || !is_id)
    return false; /* a tenant's domain name says nothing about its id */
  if (strlen(claims->tenant) == tenant.length &&
      memcmp(claims->tenant, tenant.data, tenant.length) == 0)
    return false;
  add(text, "The token is of the tenant ");
  add(text, claims->tenant);
  add(text, ", not of ");
  mde_buffer_append(text, tenant.data, tenant.length);
  add(text, ".");
  return true;
}

/* --- what it permits --- */

static bool is_name(char byte)
{
  return isalnum((unsigned char)byte) || byte == '.';
}

/* A delegated permission is named like the application's, without ".All". */
static bool ends_name(const char *at)
{
  return !is_name(at[0]) || (strncmp(at, ".All", 4) == 0 && !is_name(at[4]));
}

static bool permits(const char *permission, const char *name, size_t length)
{
  for (const char *at = permission; *at != '\0'; at++) {
    bool starts = at == permission || !is_name(at[-1]);
    if (starts && strncmp(at, name, length) == 0 && ends_name(at + length))
      return true;
  }
  return false;
}

static bool has_permission(const mde_claims *claims, const char *permission)
{
  for (const char *at = claims->permissions; *at != '\0';) {
    size_t length = strcspn(at, " ");
    if (length > 0 && permits(permission, at, length))
      return true;
    at += length + (at[length] == ' ');
  }
  return false;
}

static bool hint_permission(mde_buffer *text, const mde_claims *claims,
                            const mde_claims_wanted *wanted)
{
  if (wanted->permission == NULL || has_permission(claims, wanted->permission))
    return false;
  if (claims->permissions[0] == '\0') {
    add(text, "The token has no permission at all");
  } else {
    add(text, "The token has only ");
    add(text, claims->permissions);
  }
  add(text, "; this call needs the permission ");
  add(text, wanted->permission);
  add(text, ", granted to the app registration and consented to by an administrator.");
  return true;
}

void mde_claims_hint(mde_buffer *text, const mde_claims *claims, const mde_claims_wanted *wanted,
                     int status)
{
  if (!claims->known)
    return;
  if (hint_audience(text, claims, wanted) || hint_expiry(text, claims, wanted) ||
      hint_tenant(text, claims, wanted))
    return;
  if (status == 403)
    hint_permission(text, claims, wanted);
}

#include "core/grant.h"

#include "core/credential.h"

#include <string.h>

static const char MEMBER[] = "\"access_token\"";
enum { MEMBER_LENGTH = sizeof MEMBER - 1 };

static char *skip_space(char *at)
{
  return at + strspn(at, " \t\r\n");
}

/* The value's first byte, or NULL. A body ends with a NUL, whatever else it holds. */
static char *find_value(mde_buffer *body)
{
  char *at = body->length > 0 ? strstr(body->data, MEMBER) : NULL;
  if (at == NULL)
    return NULL;
  at = skip_space(at + MEMBER_LENGTH);
  if (*at != ':')
    return NULL;
  at = skip_space(at + 1);
  return *at == '"' ? at + 1 : NULL;
}

bool mde_grant_cut(mde_buffer *body, mde_buffer *token)
{
  char *value = find_value(body);
  if (value == NULL)
    return false;
  size_t length = strcspn(value, "\"\\");
  if (value[length] != '"' || !mde_token_valid(value, length))
    return false;
  mde_buffer_reset(token);
  mde_buffer_append(token, value, length);
  memset(value, MDE_GRANT_MASK, length);
  return true;
}

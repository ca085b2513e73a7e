#include "bind/claims.h"

#include "bind/json.h"
#include "core/base64url.h"

#include <string.h>

/* --- the payload --- */

/* The part between the dots of HEADER.PAYLOAD.SIGNATURE; empty if there are not two. */
static mde_slice find_payload(mde_slice token)
{
  mde_slice none = {"", 0};
  const char *end = token.data + token.length;
  const char *first = memchr(token.data, '.', token.length);
  if (first == NULL)
    return none;
  const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
  return second != NULL ? (mde_slice){first + 1, (size_t)(second - first - 1)} : none;
}

/* Pushes the payload as a table, or returns false (with something pushed all the same). It is decoded
 * into a block of Lua's: nothing to free, whatever raises. */
static bool push_payload(lua_State *L, mde_slice token)
{
  char reason[JSON_REASON_MAX + 1];
  mde_slice payload = find_payload(token);
  mde_memory block = mde_memory_block(compat_newuserdata(L, payload.length + 1));
  mde_buffer text;
  mde_buffer_init(&text, &block, payload.length);
  if (payload.length == 0 || !mde_base64url_decode(&text, payload))
    return false;
  lua_pushlstring(L, mde_buffer_text(&text), text.length);
  return json_decode(L, reason) && lua_istable(L, -1);
}

/* --- its claims; the table is at `index` --- */

static void copy(char *text, size_t size, const char *bytes, size_t length)
{
  if (length > size - 1)
    length = size - 1;
  memcpy(text, bytes, length);
  text[length] = '\0';
}

static void read_text(lua_State *L, int index, const char *name, char *text, size_t size)
{
  lua_pushstring(L, name);
  lua_rawget(L, index);
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t length;
    const char *bytes = lua_tolstring(L, -1, &length);
    copy(text, size, bytes, length);
  }
  lua_pop(L, 1);
}

static void read_expiry(lua_State *L, int index, mde_claims *claims)
{
  lua_pushliteral(L, "exp");
  lua_rawget(L, index);
  lua_Number seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
  if (seconds > 0 && seconds < 1e12)
    claims->expires_s = (int64_t)seconds;
  lua_pop(L, 1);
}

/* What does not fit is left out: too few would be better than half a name. */
static void add_permission(mde_claims *claims, const char *name)
{
  size_t used = strlen(claims->permissions);
  size_t length = strlen(name);
  if (used + 1 + length > MDE_CLAIM_PERMISSIONS_MAX)
    return;
  if (used > 0)
    claims->permissions[used++] = ' ';
  memcpy(claims->permissions + used, name, length + 1);
}

/* `roles` of an application is an array, `scp` of a user is one string. */
static void read_permissions(lua_State *L, int index, mde_claims *claims)
{
  read_text(L, index, "scp", claims->permissions, sizeof claims->permissions);
  lua_pushliteral(L, "roles");
  lua_rawget(L, index);
  int count = lua_istable(L, -1) ? (int)compat_rawlen(L, -1) : 0;
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    if (lua_type(L, -1) == LUA_TSTRING)
      add_permission(claims, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void claims_read(lua_State *L, mde_slice token, mde_claims *claims)
{
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "claims");
  *claims = (mde_claims){.known = false};
  if (push_payload(L, token)) {
    int payload = lua_gettop(L);
    claims->known = true;
    read_expiry(L, payload, claims);
    read_text(L, payload, "aud", claims->audience, sizeof claims->audience);
    read_text(L, payload, "tid", claims->tenant, sizeof claims->tenant);
    read_permissions(L, payload, claims);
  }
  lua_settop(L, top);
}

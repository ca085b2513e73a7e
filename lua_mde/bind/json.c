#include "bind/json.h"

#include "bind/interrupt.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* The registry's keys of our instance's functions, for each Lua state its own. */
static const char decode_key = 'd';
static const char new_key = 'n';
static const char null_key = '0';

static void keep(lua_State *L, const char *key)
{
  lua_pushlightuserdata(L, (void *)(size_t)key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static void push_kept(lua_State *L, const char *key)
{
  lua_pushlightuserdata(L, (void *)(size_t)key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

static void require_cjson(lua_State *L)
{
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
}

/* Calls instance.name(value); the instance is on top, the value above it is popped. */
static void set_up(lua_State *L, const char *name)
{
  lua_getfield(L, -2, name);
  lua_insert(L, -2);
  lua_call(L, 1, 0);
}

void json_open(lua_State *L)
{
  require_cjson(L);
  lua_getfield(L, -1, "null");
  keep(L, &null_key);
  lua_getfield(L, -1, "new");
  lua_pushvalue(L, -1);
  keep(L, &new_key);
  lua_call(L, 0, 1);
  lua_pushboolean(L, 0);
  set_up(L, "decode_invalid_numbers");
  lua_pushinteger(L, DEPTH_MAX);
  set_up(L, "decode_max_depth");
  lua_getfield(L, -1, "decode");
  keep(L, &decode_key);
  lua_pop(L, 2);
}

void json_push_null(lua_State *L)
{
  push_kept(L, &null_key);
}

/* Replaces the string on top by its value (true), or by an error (false). */
static bool decode(lua_State *L)
{
  push_kept(L, &decode_key);
  lua_insert(L, -2);
  return interrupt_pcall(L, 1, 1);
}

/* lua-cjson notes the locale's decimal point when an instance is made, for the whole process. If the
 * locale has changed since, 0.5 cannot be read any more. */
static bool reads_numbers(lua_State *L)
{
  lua_pushliteral(L, "0.5");
  bool ok = decode(L) && lua_tonumber(L, -1) == 0.5;
  lua_pop(L, 1);
  return ok;
}

/* True if that was needed. */
static bool heed_locale(lua_State *L)
{
  if (reads_numbers(L))
    return false;
  push_kept(L, &new_key);
  if (lua_pcall(L, 0, 1, 0) != 0)
    lua_error(L);
  lua_pop(L, 1);
  return true;
}

/* lua-cjson takes a NUL byte for the end, whatever comes after it. */
static bool holds_nul(lua_State *L)
{
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  return memchr(text, '\0', length) != NULL;
}

/* Pushes what the string on top stands for (true), or an error (false). */
static bool decode_copy(lua_State *L)
{
  lua_pushvalue(L, -1);
  return decode(L);
}

static bool has_decimal_comma(void)
{
  return strcmp(nl_langinfo(RADIXCHAR), ".") != 0;
}

/* Likewise, whatever locale is or was set. Where it has a comma, lua-cjson may take [1,5] for [1.5];
 * else it can only refuse what is right, and need not be asked before. */
static bool decode_anywhere(lua_State *L)
{
  if (has_decimal_comma())
    heed_locale(L);
  if (decode_copy(L))
    return true;
  if (!heed_locale(L))
    return false;
  lua_pop(L, 1);
  return decode_copy(L);
}

bool json_decode(lua_State *L, char *reason)
{
  luaL_checkstack(L, 6, "JSON");
  if (holds_nul(L)) {
    lua_pushliteral(L, "a NUL byte");
  } else if (decode_anywhere(L) && !lua_isnil(L, -1)) {
    lua_remove(L, -2);
    return true;
  }
  const char *words = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no value";
  if (strstr(words, "not enough memory") != NULL)
    lua_error(L);
  snprintf(reason, JSON_REASON_MAX + 1, "%s", words);
  lua_pop(L, 2);
  return false;
}

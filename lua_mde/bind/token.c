#include "bind/token.h"

#include "bind/claims.h"
#include "bind/event.h"
#include "bind/interrupt.h"
#include "bind/login.h"
#include "bind/token_file.h"

#include <stdio.h>
#include <string.h>

enum { SHORTEST_LIFE_MS = 1000, LONGEST_LIFE_S = 365 * 86400 };

/* --- the function's two results, at `first` and above it --- */

static int call_tostring(lua_State *L)
{
  return luaL_callmeta(L, 1, "__tostring");
}

/* The words of a message or an error, which may be an object that prints itself: by Lua code, which
 * may fail in its turn. What they borrow from is left on top. */
static const char *push_words(lua_State *L, int index)
{
  lua_pushvalue(L, index);
  if (lua_type(L, index) != LUA_TSTRING) {
    lua_pushcfunction(L, call_tostring);
    lua_insert(L, -2);
    if (!interrupt_pcall(L, 1, 1))
      return "something that cannot be printed";
  }
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
}

/* Why the results cannot be used, or NULL. `reason` is room for words of our own. */
static const char *find_fault(lua_State *L, int first, char *reason, size_t size)
{
  if (lua_isnil(L, first) || (lua_isboolean(L, first) && !lua_toboolean(L, first))) {
    snprintf(reason, size, "the token function says: %s",
             lua_isnil(L, first + 1) ? "nothing (it returned nil without a message)"
                                     : push_words(L, first + 1));
    return reason;
  }
  if (lua_type(L, first) != LUA_TSTRING) {
    snprintf(reason, size, "the token function returned a %s, not a string",
             luaL_typename(L, first));
    return reason;
  }
  size_t length;
  const char *token = lua_tolstring(L, first, &length);
  if (!mde_token_valid(token, length))
    return "the token function returned an empty string, one with characters that no token holds"
           " (a line end, perhaps), or one that is too long";
  if (!lua_isnil(L, first + 1) &&
      (lua_type(L, first + 1) != LUA_TNUMBER || !(lua_tonumber(L, first + 1) > 0)))
    return "the token function's second result, the token's life, is not a number of seconds";
  return NULL;
}

/* 0: for ever. */
static double life_seconds(lua_State *L, int index)
{
  lua_Number seconds = lua_tonumber(L, index);
  return seconds < LONGEST_LIFE_S ? (double)seconds : 0;
}

/* Calls the function; on success two results are on top, else one error value. */
static bool call_function(lua_State *L, int client_index)
{
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_TOKEN);
  lua_remove(L, -2);
  return interrupt_pcall(L, 0, 2);
}

static void fail(Client *client, const char *reason)
{
  mde_credential_fail(&client->credential, MDE_FETCH_FAILED, 0, reason, client_now_ms(client));
}

static void fail_with_error(lua_State *L, Client *client, int index)
{
  char reason[MDE_TOKEN_REASON_MAX + 1];
  const char *words = push_words(L, index);
  bool yielded =
      strstr(words, "yield across") != NULL || strstr(words, "outside a coroutine") != NULL;
  snprintf(reason, sizeof reason, "the token function failed: %s%s", words,
           yielded ? " (it must not yield here)" : "");
  fail(client, reason);
}

void token_look(lua_State *L, Client *client, mde_slice token)
{
  claims_read(L, token, &client->source.claims);
}

bool token_accept(Client *client, mde_slice token, int64_t expires_ms)
{
  return mde_credential_set(&client->credential, token, expires_ms) == MDE_OK;
}

int64_t token_end_ms(const Client *client, int64_t from_ms, double life_s)
{
  if (life_s <= 0 || life_s >= LONGEST_LIFE_S)
    return MDE_TIME_NEVER;
  return token_used_once_ms(client, from_ms + (int64_t)(life_s * 1000));
}

int64_t token_used_once_ms(const Client *client, int64_t end_ms)
{
  int64_t earliest_ms = client_now_ms(client) + SHORTEST_LIFE_MS;
  return end_ms > earliest_ms ? end_ms : earliest_ms;
}

int64_t token_expiry_ms(const Client *client)
{
  const mde_claims *claims = &client->source.claims;
  if (claims->expires_s == 0)
    return MDE_TIME_NEVER;
  int64_t life_s = claims->expires_s - mde_clock_unix_s(client->clock);
  return client_now_ms(client) + life_s * 1000;
}

/* The function's results are at `first` and above it. `seconds` is the token's life. */
static bool judge(lua_State *L, Client *client, bool ok, int first, double *seconds)
{
  char reason[MDE_TOKEN_REASON_MAX + 1];
  if (!ok) {
    fail_with_error(L, client, first);
    return false;
  }
  const char *fault = find_fault(L, first, reason, sizeof reason);
  if (fault != NULL) {
    fail(client, fault);
    return false;
  }
  mde_slice token;
  token.data = lua_tolstring(L, first, &token.length);
  *seconds = life_seconds(L, first + 1);
  token_look(L, client, token);
  if (token_accept(client, token, token_end_ms(client, client_now_ms(client), *seconds)))
    return true;
  fail(client, "not enough memory for the token");
  return false;
}

void token_take(lua_State *L, int client_index, bool ok, int first)
{
  Client *client = lua_touserdata(L, client_index);
  double seconds = 0;
  bool had = judge(L, client, ok, first, &seconds);
  /* Not before: if there is no memory to judge it, the host is to come again. */
  client->token_wanted = client->token_asked = false;
  lua_settop(L, first - 1);
  event_token(L, client_index, had, seconds);
}

static void fetch_from_function(lua_State *L, int client_index, const Call *call)
{
  Client *client = lua_touserdata(L, client_index);
  int64_t began_ms = client_now_ms(client);
  int first = lua_gettop(L) + 1;
  client->stats.tokens++;
  client->token_wanted = client->hosted;
  if (client->hosted)
    return;
  bool ok = call_function(L, client_index);
  int64_t waited_ms = client_now_ms(client) - began_ms;
  client->stats.waited_ms += waited_ms;
  token_take(L, client_index, ok, first);
  if (waited_ms > 0)
    event_wait(L, client_index, call, MDE_WAIT_TOKEN, waited_ms, NULL);
}

void token_fetch(lua_State *L, int client_index, const Call *call)
{
  const Client *client = lua_touserdata(L, client_index);
  if (client->source.kind == SOURCE_FUNCTION)
    fetch_from_function(L, client_index, call);
  else if (client->source.kind == SOURCE_TOKEN_FILE)
    token_file_read(L, client_index);
  else
    login_begin(L, client_index);
}

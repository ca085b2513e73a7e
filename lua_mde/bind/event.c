#include "bind/event.h"

/* Pushes the function and a table { kind = kind }; false (and nothing) if nobody listens. */
static bool begin(lua_State *L, int client_index, const char *kind)
{
  const Client *client = lua_touserdata(L, client_index);
  if (!client->has_events)
    return false;
  luaL_checkstack(L, 6, "event");
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_ON_EVENT);
  lua_remove(L, -2);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  return true;
}

static void finish(lua_State *L)
{
  lua_call(L, 1, 0);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double number)
{
  lua_pushnumber(L, (lua_Number)number);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t number)
{
  lua_pushinteger(L, (lua_Integer)number);
  lua_setfield(L, -2, name);
}

void event_attempt(lua_State *L, int client_index, const Call *call, const mde_outcome *outcome,
                   uint32_t attempt, size_t bytes)
{
  if (!begin(L, client_index, "attempt"))
    return;
  int64_t elapsed_ms = client_now_ms(call->client) - call->sent_ms;
  set_text(L, "operation", call->core.operation->name);
  if (call->core.response.status != 0)
    set_integer(L, "status", call->core.response.status);
  if (outcome->detail != NULL)
    set_text(L, "error", outcome->detail);
  set_number(L, "seconds", (double)elapsed_ms / 1000);
  set_integer(L, "bytes", (int64_t)bytes);
  set_integer(L, "attempt", attempt);
  finish(L);
}

void event_wait(lua_State *L, int client_index, const Call *call, mde_wait_reason reason,
                int64_t wait_ms, const char *trouble)
{
  static const char *const names[] = {"quota", "retry_after", "backoff", "token"};
  if (!begin(L, client_index, "wait"))
    return;
  set_text(L, "operation", call->core.operation->name);
  set_text(L, "reason", names[reason]);
  set_number(L, "seconds", (double)wait_ms / 1000);
  if (trouble != NULL)
    set_text(L, "message", trouble);
  finish(L);
}

void event_token(lua_State *L, int client_index, bool ok, double seconds)
{
  if (!begin(L, client_index, "token"))
    return;
  lua_pushboolean(L, ok);
  lua_setfield(L, -2, "ok");
  if (seconds > 0)
    set_number(L, "seconds", seconds);
  finish(L);
}

void event_page(lua_State *L, int client_index, const Call *call, int64_t items)
{
  if (!begin(L, client_index, "page"))
    return;
  set_text(L, "operation", call->core.operation->name);
  set_integer(L, "page", call->core.paging.pages);
  set_integer(L, "items", items);
  finish(L);
}

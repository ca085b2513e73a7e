#include "bind/script.h"

#include <string.h>

#define CLOCK_CLASS "mde.clock"

/* --- answers --- */

#define TIMED_OUT                                                                                  \
  {                                                                                                \
    MDE_OUTCOME_TIMEOUT, true, "timed out (scripted)"                                              \
  }

static const mde_outcome timed_out = TIMED_OUT;

typedef struct outcome_name {
  const char *name;
  mde_outcome outcome;
} outcome_name;

static const outcome_name outcomes[] = {
    {"answer", {MDE_OUTCOME_ANSWER, true, NULL}},
    {"unreachable", {MDE_OUTCOME_UNREACHABLE, false, "connection refused (scripted)"}},
    {"timeout", TIMED_OUT},
    {"broken", {MDE_OUTCOME_BROKEN, true, "connection reset (scripted)"}},
    {"tls", {MDE_OUTCOME_TLS, false, "certificate refused (scripted)"}},
};

static mde_outcome find_outcome(lua_State *L, int index)
{
  const char *name = luaL_checkstring(L, index);
  for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
    if (strcmp(outcomes[i].name, name) == 0)
      return outcomes[i].outcome;
  }
  luaL_error(L, "mde.testing: unknown outcome '%s'", name);
  return outcomes[0].outcome;
}

static void take_head(mde_response *response, const char *head, size_t length)
{
  const char *end = head + length;
  while (head < end) {
    const char *stop = memchr(head, '\n', (size_t)(end - head));
    size_t line = stop != NULL ? (size_t)(stop - head) + 1 : (size_t)(end - head);
    mde_response_header(response, head, line);
    head += line;
  }
}

static mde_outcome take_answer(lua_State *L, int first, mde_response *response)
{
  size_t head_length, body_length;
  mde_outcome outcome = find_outcome(L, first);
  if (outcome.kind != MDE_OUTCOME_ANSWER)
    return outcome;
  const char *head = luaL_checklstring(L, first + 3, &head_length);
  const char *body = luaL_checklstring(L, first + 4, &body_length);
  take_head(response, head, head_length);
  response->status = (int)luaL_checkinteger(L, first + 2);
  switch (mde_buffer_append(&response->body, body, body_length)) {
  case MDE_TOO_LARGE:
    outcome.kind = MDE_OUTCOME_TOO_LARGE;
    break;
  case MDE_NO_MEMORY:
    outcome.kind = MDE_OUTCOME_NO_MEMORY;
    break;
  case MDE_OK:
    break;
  }
  return outcome;
}

static void ask_script(lua_State *L, int client_index, const Call *call, const mde_request *request)
{
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_SCRIPT);
  lua_remove(L, -2);
  lua_pushstring(L, call->core.operation->name);
  lua_pushstring(L, request->method);
  lua_pushstring(L, request->url);
  lua_call(L, 3, 5);
}

void script_start(lua_State *L, int client_index, Call *call, const mde_request *request)
{
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, "mde.testing");
  ask_script(L, client_index, call, request);
  mde_outcome outcome = take_answer(L, top + 1, request->response);
  lua_Number takes_ms = luaL_checknumber(L, top + 2) * 1000;
  bool in_time = takes_ms >= 0 && takes_ms < (lua_Number)request->timeout_ms;
  call->scripted = in_time ? outcome : timed_out;
  call->scripted_ms = call->sent_ms + (in_time ? (int64_t)takes_ms : request->timeout_ms);
  lua_settop(L, top);
}

Call *script_take(Client *client)
{
  for (Call *at = client->flying.first; at != NULL; at = at->next) {
    if (at->scripted_ms > 0 && at->scripted_ms <= client->clock->moved_ms) {
      at->scripted_ms = 0;
      return at;
    }
  }
  return NULL;
}

int64_t script_next_ms(const Client *client)
{
  int64_t next_ms = MDE_TIME_NEVER;
  for (const Call *at = client->flying.first; at != NULL; at = at->next) {
    if (at->scripted_ms > 0 && at->scripted_ms < next_ms)
      next_ms = at->scripted_ms;
  }
  return next_ms;
}

void script_wait(lua_State *L, Client *client, int64_t wake_ms)
{
  int64_t next_ms = script_next_ms(client);
  if (next_ms < wake_ms)
    wake_ms = next_ms;
  if (wake_ms == MDE_TIME_NEVER)
    luaL_error(L, "mde.testing: nothing is left that could end this wait");
  if (wake_ms > client->clock->moved_ms)
    client->clock->moved_ms = wake_ms;
}

/* --- the clock --- */

static mde_clock *check_clock(lua_State *L, int index)
{
  return luaL_checkudata(L, index, CLOCK_CLASS);
}

static int clock_new(lua_State *L)
{
  mde_clock *clock = compat_newuserdata(L, sizeof *clock);
  *clock = (mde_clock){.by_hand = true, .moved_ms = 1000000};
  luaL_getmetatable(L, CLOCK_CLASS);
  lua_setmetatable(L, -2);
  return 1;
}

static int clock_now(lua_State *L)
{
  lua_pushnumber(L, (lua_Number)check_clock(L, 1)->moved_ms / 1000);
  return 1;
}

static int clock_advance(lua_State *L)
{
  mde_clock *clock = check_clock(L, 1);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 2, "seconds, from 0 to 1e9, expected");
  clock->moved_ms += (int64_t)(seconds * 1000 + 0.5);
  return 0;
}

/* --- clients --- */

/* (options, answering function, clock, jitter in [0, 1)) -> client */
static int client_scripted(lua_State *L)
{
  luaL_checktype(L, 2, LUA_TFUNCTION);
  mde_clock *clock = check_clock(L, 3);
  lua_Number jitter = luaL_checknumber(L, 4);
  luaL_argcheck(L, jitter >= 0 && jitter < 1, 4, "a number in [0, 1) expected");
  Client *client = client_create(L, 1, clock);
  compat_getuservalue(L, -1);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, CLIENT_SCRIPT);
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, CLIENT_CLOCK);
  lua_pop(L, 1);
  client->fixed_jitter = (double)jitter;
  return 1;
}

/* (options, clock) -> quota */
static int quota_scripted(lua_State *L)
{
  check_clock(L, 2);
  quota_create(L, 1, 2);
  return 1;
}

void script_register(lua_State *L)
{
  static const luaL_Reg clock_methods[] = {
      {"now", clock_now}, {"advance", clock_advance}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"client", client_scripted}, {"quota", quota_scripted}, {"clock", clock_new}, {NULL, NULL}};
  luaL_newmetatable(L, CLOCK_CLASS);
  lua_newtable(L);
  compat_setfuncs(L, clock_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  compat_setfuncs(L, functions);
}

#include "bind/budget.h"

#include "bind/interrupt.h"
#include "bind/options.h"

#include <math.h>

enum {
  LONGEST_PAUSE_SECONDS = 31 * 86400,
  PAUSE_MS = 1000,
  /* A lease may have begun before the answer: within what it has in reserve. */
  SLOWEST_MS = MDE_QUOTA_LINGER_MS - 2 * MDE_QUOTA_FRESH_MS
};

static const char *const methods[] = {"reserve", "settle", "penalize", "remaining", NULL};

/* --- the option --- */

static void check_ours(lua_State *L, int argument, const Quota *quota, bool scripted)
{
  if (!quota->open)
    luaL_argerror(L, argument, "option 'quota': it is closed");
  if (quota->clock->by_hand != scripted)
    luaL_argerror(L, argument,
                  scripted ? "option 'quota': a client of mde.testing needs one of mde.testing"
                           : "option 'quota': one of mde.testing is for its clients only");
}

/* Not every userdata can be asked for a field. */
static bool has_fields(lua_State *L)
{
  if (lua_type(L, -1) == LUA_TUSERDATA && luaL_getmetafield(L, -1, "__index")) {
    lua_pop(L, 1);
    return true;
  }
  return lua_istable(L, -1);
}

/* The quota is on top. */
static void check_protocol(lua_State *L, int argument)
{
  bool has_all = has_fields(L);
  for (int i = 0; has_all && methods[i] != NULL; i++) {
    lua_getfield(L, -1, methods[i]);
    has_all = lua_isfunction(L, -1);
    lua_pop(L, 1);
  }
  if (!has_all)
    luaL_argerror(L, argument,
                  "option 'quota': a quota expected: mde.quota{...}, or an object with the methods"
                  " reserve, settle, penalize and remaining");
}

void budget_check_quota(lua_State *L, int argument, bool scripted)
{
  options_push(L, argument, "quota");
  const Quota *quota = compat_testudata(L, -1, QUOTA_CLASS);
  if (!lua_isnil(L, -1) && options_has(L, argument, "rate_limit"))
    luaL_argerror(L, argument, "option 'rate_limit': with 'quota' it is the quota's to say");
  if (quota != NULL)
    check_ours(L, argument, quota, scripted);
  else if (!lua_isnil(L, -1))
    check_protocol(L, argument);
  lua_pop(L, 1);
}

/* --- a quota that a script made --- */

/* Pushes the method, the quota and the operation's name. */
static void push_method(lua_State *L, int client_index, const Call *call, const char *name)
{
  luaL_checkstack(L, 12, "quota");
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_QUOTA);
  lua_remove(L, -2);
  lua_getfield(L, -1, name);
  lua_insert(L, -2);
  lua_pushstring(L, call->core.operation->name);
}

static void keep_slot(lua_State *L, int call_index, int slot_index)
{
  compat_getuservalue(L, call_index);
  lua_pushvalue(L, slot_index);
  lua_rawseti(L, -2, CALL_SLOT);
  lua_pop(L, 1);
}

/* What a script says of waiting may be anything. */
static int64_t pause_ms(lua_State *L, int index)
{
  lua_Number seconds = lua_tonumber(L, index);
  if (!(seconds > 0))
    return PAUSE_MS;
  return (int64_t)ceil((double)(seconds < LONGEST_PAUSE_SECONDS ? seconds : LONGEST_PAUSE_SECONDS) *
                       1000);
}

static mde_quota_answer read_refusal(lua_State *L, int first)
{
  mde_quota_answer answer = {.wait_ms = pause_ms(L, first + 1)};
  answer.closed = lua_toboolean(L, first + 3);
  if (!lua_isnil(L, first + 2))
    answer.trouble = lua_isstring(L, first + 2) ? lua_tostring(L, first + 2) : "it says why not";
  else if (lua_type(L, first + 1) != LUA_TNUMBER)
    answer.trouble = "its reserve() returned neither a slot nor seconds to wait";
  return answer;
}

static void settle_script(lua_State *L, int client_index, int call_index, mde_slot_end end)
{
  static const char *const names[] = {"unsent", "answered", "abandoned"};
  push_method(L, client_index, lua_touserdata(L, call_index), "settle");
  compat_getuservalue(L, call_index);
  lua_rawgeti(L, -1, CALL_SLOT);
  lua_remove(L, -2);
  lua_pushstring(L, names[end]);
  interrupt_pcall(L, 4, 0); /* what fails here is settled by the end of the lease */
}

static mde_quota_answer ask_script(lua_State *L, int client_index, int call_index, int64_t now_ms)
{
  Call *call = lua_touserdata(L, call_index);
  int first = lua_gettop(L) + 1;
  push_method(L, client_index, call, "reserve");
  lua_pushnumber(L, (lua_Number)mde_call_lease_ms(&call->core, now_ms) / 1000);
  if (!interrupt_pcall(L, 3, 4)) {
    const char *words = lua_tostring(L, -1);
    return (mde_quota_answer){.wait_ms = PAUSE_MS, .trouble = words != NULL ? words : "it failed"};
  }
  if (!lua_toboolean(L, first))
    return read_refusal(L, first);
  keep_slot(L, call_index, first);
  if (client_now_ms(call->client) - now_ms <= SLOWEST_MS)
    return (mde_quota_answer){.granted = true};
  settle_script(L, client_index, call_index, MDE_SLOT_UNSENT);
  return (mde_quota_answer){.wait_ms = PAUSE_MS,
                            .trouble = "it answers so slowly that its leases may be over"};
}

static void teach_script(lua_State *L, int client_index, const Call *call)
{
  const mde_lesson *lesson = &call->core.lesson;
  push_method(L, client_index, call, "penalize");
  lua_pushnumber(L, (lua_Number)lesson->close_for_ms / 1000);
  if (lesson->limit.calls == 0) {
    lua_pushnil(L);
  } else {
    lua_createtable(L, 2, 0);
    lua_pushnumber(L, (lua_Number)lesson->limit.length_ms / 1000);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, (lua_Integer)lesson->limit.calls);
    lua_rawseti(L, -2, 2);
  }
  interrupt_pcall(L, 4, 0); /* the next answer will teach it again */
}

/* --- either --- */

mde_quota_answer budget_reserve(lua_State *L, int client_index, int call_index, int64_t now_ms)
{
  Call *call = lua_touserdata(L, call_index);
  Client *client = call->client;
  mde_quota_answer answer;
  if (client->quota == NULL)
    answer = ask_script(L, client_index, call_index, now_ms);
  else
    answer = quota_reserve(client->quota, call->core.operation, now_ms,
                           mde_call_lease_ms(&call->core, now_ms), &call->slot);
  if (answer.granted) {
    call->has_slot = true;
    client->in_flight++;
  }
  return answer;
}

bool budget_release(Call *call, mde_slot_end end)
{
  Client *client = call->client;
  if (!call->has_slot)
    return true;
  call->has_slot = false;
  client->in_flight--;
  if (client->quota != NULL)
    quota_settle(client->quota, call->core.operation, &call->slot, end, client_now_ms(client));
  return client->quota != NULL;
}

void budget_tell(lua_State *L, int client_index, int call_index, mde_slot_end end)
{
  int top = lua_gettop(L);
  settle_script(L, client_index, call_index, end);
  lua_settop(L, top);
}

void budget_learn(lua_State *L, int client_index, const Call *call)
{
  const mde_lesson *lesson = &call->core.lesson;
  Client *client = call->client;
  int top = lua_gettop(L);
  if (lesson->close_for_ms == 0 && lesson->limit.calls == 0)
    return;
  if (client->quota != NULL)
    quota_learn(client->quota, call->core.operation, lesson, client_now_ms(client));
  else
    teach_script(L, client_index, call);
  lua_settop(L, top);
}

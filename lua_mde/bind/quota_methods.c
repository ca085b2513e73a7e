/* What a quota's methods are in Lua: the protocol that quotas of scripts have as well. */
#include "bind/error.h"
#include "bind/quota_view.h"
#include "core/response.h"

#include <string.h>

enum { DEFAULT_LEASE_MS = 35000, CLOSED_PAUSE_SECONDS = 1 };

/* --- arguments --- */

static Quota *check_quota(lua_State *L)
{
  return luaL_checkudata(L, 1, QUOTA_CLASS);
}

static const mde_operation *check_operation(lua_State *L, int argument)
{
  size_t length;
  luaL_checktype(L, argument, LUA_TSTRING);
  const char *name = lua_tolstring(L, argument, &length);
  const mde_operation *operation = mde_operation_find(name, length);
  if (operation == NULL)
    luaL_argerror(L, argument, lua_pushfstring(L, "there is no operation '%s'", name));
  return operation;
}

static int64_t check_lease_ms(lua_State *L, int argument)
{
  if (lua_isnoneornil(L, argument))
    return DEFAULT_LEASE_MS;
  lua_Number seconds = luaL_checknumber(L, argument);
  luaL_argcheck(L, seconds > 0 && seconds * 1000 <= MDE_LEASE_MAX_MS, argument,
                "seconds, more than 0 and at most 200000, expected");
  return (int64_t)(seconds * 1000) + 1;
}

static mde_slot_end check_end(lua_State *L, int argument)
{
  static const char *const names[] = {"unsent", "answered", "abandoned", NULL};
  return (mde_slot_end)luaL_checkoption(L, argument, NULL, names);
}

/* --- the protocol --- */

static int push_refusal(lua_State *L, const mde_quota_answer *answer)
{
  lua_pushnil(L);
  quota_push_seconds(L, answer->wait_ms != MDE_WAIT_UNKNOWN ? answer->wait_ms
                                                            : CLOSED_PAUSE_SECONDS * 1000);
  lua_pushstring(L, answer->trouble); /* nil for NULL */
  lua_pushboolean(L, answer->closed);
  return 4;
}

/* A slot of a file is its place, as bytes. */
static int reserve_shared(lua_State *L, Quota *quota, const mde_operation *operation,
                          int64_t lease_ms)
{
  mde_file_slot slot;
  memset(&slot, 0, sizeof slot); /* its gaps, too, become part of the string */
  mde_quota_answer answer =
      quota_reserve(quota, operation, mde_clock_now_ms(quota->clock), lease_ms, &slot);
  if (!answer.granted)
    return push_refusal(L, &answer);
  lua_pushlstring(L, (const char *)&slot, sizeof slot);
  return 1;
}

static int push_slots(lua_State *L)
{
  compat_getuservalue(L, 1);
  lua_rawgeti(L, -1, QUOTA_SLOTS);
  lua_remove(L, -2);
  return lua_gettop(L);
}

/* slots[number] = operation, or nil for NULL */
static void note_slot(lua_State *L, int slots, lua_Integer number, const mde_operation *operation)
{
  lua_pushinteger(L, number);
  if (operation != NULL)
    lua_pushlightuserdata(L, (void *)(size_t)operation);
  else
    lua_pushnil(L);
  lua_rawset(L, slots);
}

/* A private one has a number, which is noted first: no slot must be lost for want of memory. */
static int reserve_own(lua_State *L, Quota *quota, const mde_operation *operation)
{
  int slots = push_slots(L);
  lua_Integer number = ++quota->slots;
  note_slot(L, slots, number, operation);
  mde_quota_answer answer =
      quota_reserve(quota, operation, mde_clock_now_ms(quota->clock), 0, NULL);
  if (answer.granted) {
    lua_pushinteger(L, number);
    return 1;
  }
  note_slot(L, slots, number, NULL);
  return answer.status == MDE_OK ? push_refusal(L, &answer) : luaL_error(L, "not enough memory");
}

/* quota:reserve(operation [, lease]) -> slot | nil, seconds, message, closed */
static int quota_reserve_method(lua_State *L)
{
  static const mde_quota_answer closed = {.wait_ms = CLOSED_PAUSE_SECONDS * 1000,
                                          .trouble = "the quota is closed"};
  Quota *quota = check_quota(L);
  const mde_operation *operation = check_operation(L, 2);
  int64_t lease_ms = check_lease_ms(L, 3);
  if (!quota->open)
    return push_refusal(L, &closed);
  if (quota->shared)
    return reserve_shared(L, quota, operation, lease_ms);
  return reserve_own(L, quota, operation);
}

static void settle_shared(lua_State *L, Quota *quota, const mde_operation *operation,
                          mde_slot_end end)
{
  mde_file_slot slot;
  size_t length = 0;
  const char *bytes = lua_type(L, 3) == LUA_TSTRING ? lua_tolstring(L, 3, &length) : NULL;
  luaL_argcheck(L, length == sizeof slot, 3, "a slot of this quota expected");
  memcpy(&slot, bytes, sizeof slot);
  quota_settle(quota, operation, &slot, end, mde_clock_now_ms(quota->clock));
}

/* Once for each number. */
static void settle_own(lua_State *L, Quota *quota, const mde_operation *operation, mde_slot_end end)
{
  luaL_argcheck(L, lua_type(L, 3) == LUA_TNUMBER, 3, "a slot of this quota expected");
  int slots = push_slots(L);
  lua_pushvalue(L, 3);
  lua_rawget(L, slots);
  if (lua_touserdata(L, -1) != operation)
    return;
  lua_pushvalue(L, 3);
  lua_pushnil(L);
  lua_rawset(L, slots);
  quota_settle(quota, operation, NULL, end, mde_clock_now_ms(quota->clock));
}

/* quota:settle(operation, slot, how) */
static int quota_settle_method(lua_State *L)
{
  Quota *quota = check_quota(L);
  const mde_operation *operation = check_operation(L, 2);
  mde_slot_end end = check_end(L, 4);
  if (!quota->open)
    return 0;
  if (quota->shared)
    settle_shared(L, quota, operation, end);
  else
    settle_own(L, quota, operation, end);
  return 0;
}

static mde_window check_limit(lua_State *L, int argument)
{
  lua_Number seconds, calls;
  if (lua_isnoneornil(L, argument))
    return (mde_window){0, 0};
  luaL_checktype(L, argument, LUA_TTABLE);
  lua_rawgeti(L, argument, 1);
  lua_rawgeti(L, argument, 2);
  seconds = lua_tonumber(L, -2);
  calls = lua_tonumber(L, -1);
  lua_pop(L, 2);
  luaL_argcheck(L,
                seconds >= 0.001 && seconds * 1000 <= MDE_WINDOW_LENGTH_MAX_MS && calls >= 1 &&
                    calls <= MDE_WINDOW_CALLS_MAX,
                argument, "{ seconds, calls } expected");
  return (mde_window){(int64_t)(seconds * 1000 + 0.5), (uint32_t)calls};
}

/* quota:penalize(operation [, seconds [, { seconds, calls }]]) */
static int quota_penalize_method(lua_State *L)
{
  Quota *quota = check_quota(L);
  const mde_operation *operation = check_operation(L, 2);
  lua_Number seconds = luaL_optnumber(L, 3, 0);
  luaL_argcheck(L, seconds >= 0 && seconds * 1000 <= MDE_RETRY_AFTER_MAX_MS, 3,
                "seconds, from 0 to 3600, expected");
  mde_lesson lesson = {(int64_t)(seconds * 1000 + 0.5), check_limit(L, 4)};
  quota_learn(quota, operation, &lesson, mde_clock_now_ms(quota->clock));
  return 0;
}

/* --- what is left --- */

/* While all is in flight the next call is allowed a window from now at the earliest. */
static int64_t next_call_ms(const quota_view *view)
{
  if (view->answer.wait_ms != MDE_WAIT_UNKNOWN)
    return view->answer.wait_ms;
  int64_t shortest_ms = MDE_WAIT_UNKNOWN;
  for (uint32_t i = 0; i < view->windows.count; i++) {
    int64_t held_ms = mde_window_held_ms(&view->windows.window[i]);
    bool full = view->used[i] >= view->windows.window[i].calls;
    shortest_ms = full && held_ms < shortest_ms ? held_ms : shortest_ms;
  }
  return shortest_ms;
}

static int push_failure(lua_State *L, const Quota *quota)
{
  lua_pushnil(L);
  if (!quota->open)
    error_push_plain(L, MDE_ERROR_CLOSED, "remaining", "the quota is closed");
  else
    error_push_plain(L, MDE_ERROR_RATE_LIMITED, "remaining", mde_quota_file_trouble(quota->file));
  return 2;
}

/* quota:remaining(operation) -> { [60] = 97, ... }, seconds until the next call is allowed */
static int quota_remaining_method(lua_State *L)
{
  Quota *quota = check_quota(L);
  const mde_operation *operation = check_operation(L, 2);
  quota_view view;
  if (!quota->open || !quota_view_operation(quota, operation, &view))
    return push_failure(L, quota);
  lua_createtable(L, 0, (int)view.windows.count);
  for (uint32_t i = 0; i < view.windows.count; i++) {
    uint32_t calls = view.windows.window[i].calls, used = view.used[i];
    quota_push_length(L, &view.windows.window[i]);
    lua_pushinteger(L, used < calls ? (lua_Integer)(calls - used) : 0);
    lua_rawset(L, -3);
  }
  quota_push_seconds(L, next_call_ms(&view));
  return 2;
}

static int quota_tostring(lua_State *L)
{
  const Quota *quota = check_quota(L);
  const char *state = quota->open ? "open" : "closed";
  lua_pushfstring(L, "%s (%s, %s)", QUOTA_CLASS, quota->shared ? "shared" : "private", state);
  return 1;
}

/* --- registering; the class's table of methods is on top, its metatable below --- */

void quota_set_methods(lua_State *L)
{
  static const luaL_Reg methods[] = {
      {"reserve", quota_reserve_method},   {"settle", quota_settle_method},
      {"penalize", quota_penalize_method}, {"remaining", quota_remaining_method},
      {"status", quota_status_method},     {NULL, NULL}};
  compat_setfuncs(L, methods);
  lua_pushcfunction(L, quota_tostring);
  lua_setfield(L, -3, "__tostring");
}

int quota_windows(lua_State *L)
{
  const mde_windows *windows = &check_operation(L, 1)->windows;
  lua_createtable(L, 0, (int)windows->count);
  for (uint32_t i = 0; i < windows->count; i++) {
    quota_push_length(L, &windows->window[i]);
    lua_pushinteger(L, (lua_Integer)windows->window[i].calls);
    lua_rawset(L, -3);
  }
  return 1;
}

int quota_clock(lua_State *L)
{
  static const mde_clock machine = {.by_hand = false};
  return quota_push_seconds(L, mde_clock_now_ms(&machine));
}

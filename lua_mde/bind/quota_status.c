/* A quota for people to read: windows, use, and who has its file open. */
#include "bind/error.h"
#include "bind/quota_view.h"

static void set_text(lua_State *L, const char *name, const char *text)
{
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t number)
{
  lua_pushinteger(L, (lua_Integer)number);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool flag)
{
  lua_pushboolean(L, flag);
  lua_setfield(L, -2, name);
}

static void set_windows(lua_State *L, const quota_view *view)
{
  lua_createtable(L, (int)view->windows.count, 0);
  for (uint32_t i = 0; i < view->windows.count; i++) {
    lua_createtable(L, 0, 3);
    quota_push_length(L, &view->windows.window[i]);
    lua_setfield(L, -2, "seconds");
    set_integer(L, "calls", view->windows.window[i].calls);
    set_integer(L, "used", view->used[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, -2, "windows");
}

/* Appends { key =, operation =, windows =, in_flight =, closed_for = } to the array below it. */
static void append_operation(lua_State *L, const char *key, const char *operation,
                             const quota_view *view, uint32_t in_flight)
{
  lua_createtable(L, 0, 5);
  set_text(L, "key", key);
  set_text(L, "operation", operation);
  set_windows(L, view);
  set_integer(L, "in_flight", in_flight);
  quota_push_seconds(L, view->closed_ms);
  lua_setfield(L, -2, "closed_for");
  lua_rawseti(L, -2, (int)compat_rawlen(L, -2) + 1);
}

static void push_own_operations(lua_State *L, const Quota *quota)
{
  lua_newtable(L);
  for (size_t i = 0; i < mde_operation_count; i++) {
    quota_view view;
    quota_view_own(&quota->own[i], mde_clock_now_ms(quota->clock), &view);
    append_operation(L, "", mde_operations[i].name, &view, quota->own[i].in_flight);
  }
}

static void push_file_operations(lua_State *L, const Quota *quota,
                                 uint32_t in_flight[MDE_SLOT_HOLDERS])
{
  lua_newtable(L);
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++) {
    int64_t now_ms = mde_clock_now_ms(quota->clock);
    uint32_t here[MDE_SLOT_HOLDERS] = {0}, sum = 0;
    mde_quota_listing listing;
    quota_view view;
    if (!mde_quota_file_listing(quota->file, i, &now_ms, &listing))
      continue;
    quota_view_cell(&listing.cell, now_ms, &view);
    mde_slots_in_flight(&listing.cell.slots, now_ms, here);
    for (uint32_t holder = 1; holder < MDE_SLOT_HOLDERS; holder++) {
      in_flight[holder] += here[holder];
      sum += here[holder];
    }
    append_operation(L, listing.key, listing.operation, &view, sum);
  }
}

static void push_holders(lua_State *L, const Quota *quota,
                         const uint32_t in_flight[MDE_SLOT_HOLDERS])
{
  int64_t now_ms = mde_clock_now_ms(quota->clock);
  lua_newtable(L);
  for (uint32_t number = 1; number <= MDE_QUOTA_HOLDERS; number++) {
    mde_quota_holder holder;
    if (!mde_quota_file_holder(quota->file, number, now_ms, &holder))
      continue;
    lua_createtable(L, 0, 5);
    set_integer(L, "pid", holder.pid);
    set_integer(L, "seconds", holder.seconds);
    set_integer(L, "in_flight", in_flight[number]);
    set_flag(L, "alive", holder.alive);
    set_flag(L, "own", holder.own);
    lua_rawseti(L, -2, (int)compat_rawlen(L, -2) + 1);
  }
}

/* quota:status() -> { operations = { ... }, holders = { ... } } */
int quota_status_method(lua_State *L)
{
  const Quota *quota = luaL_checkudata(L, 1, QUOTA_CLASS);
  uint32_t in_flight[MDE_SLOT_HOLDERS] = {0};
  if (!quota->open) {
    lua_pushnil(L);
    error_push_plain(L, MDE_ERROR_CLOSED, "status", "the quota is closed");
    return 2;
  }
  if (quota->shared && !mde_quota_file_ready(quota->file, mde_clock_now_ms(quota->clock))) {
    lua_pushnil(L);
    error_push_plain(L, MDE_ERROR_RATE_LIMITED, "status", mde_quota_file_trouble(quota->file));
    return 2;
  }
  lua_createtable(L, 0, 2);
  if (quota->file != NULL)
    push_file_operations(L, quota, in_flight);
  else
    push_own_operations(L, quota);
  lua_setfield(L, -2, "operations");
  if (quota->file != NULL)
    push_holders(L, quota, in_flight);
  else
    lua_newtable(L);
  lua_setfield(L, -2, "holders");
  return 1;
}

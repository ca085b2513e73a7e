/* What a decision of the quota costs, measured from C: a Lua module for bench/quota.lua.
 *
 *   local measure = require "quota_bench"
 *   measure.own(calls)             nanoseconds for each decision of a private quota
 *   measure.file(path, calls)      the same through a file; then for each settling
 *   measure.clock(calls)           a bare clock_gettime
 *   measure.flock(path, calls)     a bare lock and unlock of a file
 *   measure.mutex(calls)           of a robust mutex that processes could share
 *
 * A decision is what the driver does before each request: read the clock, ask, get a slot. The windows
 * are the documented ones, and the quota has been in use for so long that all of them hold something;
 * 2.5 s pass from one call to the next. */
#include "core/operation.h"
#include "io/clock.h"
#include "io/quota_file.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { STEP_MS = 2500, WARM_UP = 3000, LEASE_MS = 35000 };

static int64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int push_each(lua_State *L, int64_t spent_ns, lua_Integer calls)
{
  lua_pushnumber(L, (lua_Number)spent_ns / (lua_Number)calls);
  return 1;
}

/* The real clock is read, as the driver would, and stands still: the windows see the moved one. */
static int64_t moved_ms(int64_t start_ms, lua_Integer i)
{
  static const mde_clock clock = {.by_hand = false};
  return start_ms + (mde_clock_now_ms(&clock) & 0) + (int64_t)i * STEP_MS;
}

/* --- private --- */

static int measure_own(lua_State *L)
{
  lua_Integer calls = luaL_checkinteger(L, 1);
  int64_t spent_ns = 0;
  mde_quota quota;
  mde_quota_init(&quota, &mde_memory_system, &mde_operation_find("alert_ips", 9)->windows);
  bool granted = true;
  for (lua_Integer i = 0; i < WARM_UP + calls; i++) {
    if (i == WARM_UP)
      spent_ns = -now_ns();
    granted = mde_quota_reserve(&quota, moved_ms(0, i)).granted && granted;
    mde_quota_settle(&quota, MDE_SLOT_ANSWERED, (int64_t)i * STEP_MS);
  }
  spent_ns += now_ns();
  mde_quota_free(&quota);
  return granted ? push_each(L, spent_ns, calls) : luaL_error(L, "a call was refused");
}

/* --- through a file --- */

typedef struct file_costs {
  int64_t reserve_ns, settle_ns;
  bool granted;
} file_costs;

static file_costs run_file(mde_quota_file *file, lua_Integer calls)
{
  const mde_operation *operation = mde_operation_find("alert_ips", 9);
  file_costs costs = {.granted = true};
  for (lua_Integer i = 0; i < WARM_UP + calls; i++) {
    mde_file_slot slot;
    int64_t began_ns = now_ns();
    bool granted = mde_quota_file_reserve(file, operation, moved_ms(1, i), LEASE_MS, &slot).granted;
    int64_t between_ns = now_ns();
    if (granted)
      mde_quota_file_settle(file, operation, &slot, MDE_SLOT_ANSWERED, (int64_t)i * STEP_MS);
    costs.granted = granted && costs.granted;
    if (i < WARM_UP)
      continue;
    costs.reserve_ns += between_ns - began_ns;
    costs.settle_ns += now_ns() - between_ns;
  }
  return costs;
}

/* (path, calls) -> nanoseconds of a decision, and of settling; the stopwatch's own are in them. */
static int measure_file(lua_State *L)
{
  char why[MDE_QUOTA_WHY_SIZE];
  lua_Integer calls = luaL_checkinteger(L, 2);
  mde_quota_settings settings = {.path = luaL_checkstring(L, 1), .key = "", .by_hand = true};
  mde_quota_file *file = mde_quota_file_open(&settings, &mde_memory_system, 0, why);
  if (file == NULL)
    return luaL_error(L, "%s", why);
  file_costs costs = run_file(file, calls);
  mde_quota_file_close(file);
  unlink(settings.path);
  if (!costs.granted)
    return luaL_error(L, "a call was refused");
  push_each(L, costs.reserve_ns, calls);
  push_each(L, costs.settle_ns, calls);
  return 2;
}

/* --- beside them --- */

static int measure_clock(lua_State *L)
{
  struct timespec now;
  lua_Integer calls = luaL_checkinteger(L, 1);
  int64_t spent_ns = -now_ns();
  for (lua_Integer i = 0; i < calls; i++)
    clock_gettime(CLOCK_BOOTTIME, &now);
  return push_each(L, spent_ns + now_ns(), calls);
}

static int measure_flock(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  lua_Integer calls = luaL_checkinteger(L, 2);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return luaL_error(L, "%s cannot be opened", path);
  int64_t spent_ns = -now_ns();
  for (lua_Integer i = 0; i < calls; i++) {
    flock(fd, LOCK_EX);
    flock(fd, LOCK_UN);
  }
  spent_ns += now_ns();
  close(fd);
  unlink(path);
  return push_each(L, spent_ns, calls);
}

static int measure_mutex(lua_State *L)
{
  pthread_mutexattr_t kind;
  pthread_mutex_t mutex;
  lua_Integer calls = luaL_checkinteger(L, 1);
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &kind);
  int64_t spent_ns = -now_ns();
  for (lua_Integer i = 0; i < calls; i++) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
  }
  spent_ns += now_ns();
  pthread_mutex_destroy(&mutex);
  return push_each(L, spent_ns, calls);
}

__attribute__((visibility("default"))) int luaopen_quota_bench(lua_State *L);

int luaopen_quota_bench(lua_State *L)
{
  static const luaL_Reg functions[] = {{"own", measure_own},     {"file", measure_file},
                                       {"clock", measure_clock}, {"flock", measure_flock},
                                       {"mutex", measure_mutex}, {NULL, NULL}};
  lua_newtable(L);
  for (const luaL_Reg *at = functions; at->name != NULL; at++) {
    lua_pushcfunction(L, at->func);
    lua_setfield(L, -2, at->name);
  }
  return 1;
}

#include "bind/quota.h"

#include "bind/options.h"

#include <string.h>

/* --- options --- */

typedef struct quota_options {
  mde_slice path, key, pace;
  mde_windows windows;
  bool has_windows;
  uint32_t burst;
} quota_options;

static const option_row rows[] = {
    {"path", OPTION_BYTES, offsetof(quota_options, path), 0, 0},
    {"key", OPTION_TEXT, offsetof(quota_options, key), 0, 0},
    {"rate_limit", OPTION_WINDOWS, offsetof(quota_options, windows), 0, 0},
    {"pace", OPTION_TEXT, offsetof(quota_options, pace), 0, 0},
    {"burst", OPTION_COUNT, offsetof(quota_options, burst), 1, MDE_WINDOW_CALLS_MAX},
    {NULL, OPTION_END, 0, 0, 0},
};

static bool is_text(mde_slice slice, const char *text)
{
  return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

static void check_pace(lua_State *L, int argument, const quota_options *options)
{
  bool named = options->pace.data != NULL;
  bool smooth = named && is_text(options->pace, "smooth");
  if (named && !smooth && !is_text(options->pace, "burst"))
    luaL_argerror(L, argument, "option 'pace': 'burst' or 'smooth' expected");
  if (options->burst > 0 && !smooth)
    luaL_argerror(L, argument, "option 'burst': only with pace = 'smooth'");
}

static void check_file(lua_State *L, int argument, const quota_options *options)
{
  bool shared = options->path.data != NULL;
  if (shared && options->path.length == 0)
    luaL_argerror(L, argument, "option 'path': the name of a file expected");
  if (options->key.data != NULL && !shared)
    luaL_argerror(L, argument, "option 'key': only with 'path'");
  if (options->key.length > MDE_QUOTA_KEY_MAX)
    luaL_argerror(L, argument, "option 'key': at most 71 characters");
  if (shared && mde_windows_most_calls(&options->windows) > MDE_CELL_CALLS_MAX)
    luaL_argerror(L, argument, "option 'rate_limit': with 'path' a window has at most 10000 calls");
}

static void read_options(lua_State *L, int argument, quota_options *options)
{
  memset(options, 0, sizeof *options);
  if (lua_isnoneornil(L, argument))
    return;
  options_read(L, argument, rows, options);
  options->has_windows = options_has(L, argument, "rate_limit");
  check_pace(L, argument, options);
  check_file(L, argument, options);
}

static mde_pace pace_of(const quota_options *options)
{
  bool smooth = options->pace.data != NULL && is_text(options->pace, "smooth");
  return (mde_pace){.smooth = smooth, .burst = options->burst > 0 ? options->burst : 1};
}

/* --- making one --- */

static Quota *push_zeroed(lua_State *L)
{
  Quota *quota = compat_newuserdata(L, sizeof *quota);
  memset(quota, 0, sizeof *quota);
  quota->clock = &quota->own_clock;
  luaL_getmetatable(L, QUOTA_CLASS);
  lua_setmetatable(L, -2);
  return quota;
}

static void take_own(lua_State *L, Quota *quota, const mde_windows *windows, mde_pace pace)
{
  size_t size = mde_operation_count * sizeof(mde_quota);
  quota->own = mde_memory_resize(&mde_memory_system, NULL, 0, size);
  if (quota->own == NULL)
    luaL_error(L, "not enough memory");
  for (size_t i = 0; i < mde_operation_count; i++) {
    const mde_windows *these = windows != NULL ? windows : &mde_operations[i].windows;
    mde_quota_init(&quota->own[i], &mde_memory_system, these);
    quota->own[i].pace = pace;
  }
  quota->open = true;
}

static void take_file(lua_State *L, Quota *quota, const quota_options *options)
{
  char why[MDE_QUOTA_WHY_SIZE];
  mde_quota_settings settings = {.path = options->path.data,
                                 .key = options->key.data != NULL ? options->key.data : "",
                                 .has_windows = options->has_windows,
                                 .windows = options->windows,
                                 .pace = pace_of(options),
                                 .by_hand = quota->clock->by_hand};
  quota->file =
      mde_quota_file_open(&settings, &mde_memory_system, mde_clock_now_ms(quota->clock), why);
  if (quota->file == NULL)
    luaL_error(L, "%s", why);
  quota->open = quota->shared = true;
}

/* { clock or nil, slots } */
static void set_uservalue(lua_State *L, Quota *quota, int clock_index)
{
  lua_createtable(L, 2, 0);
  if (clock_index != 0) {
    lua_pushvalue(L, clock_index);
    lua_rawseti(L, -2, QUOTA_CLOCK);
    quota->clock = lua_touserdata(L, clock_index);
  }
  lua_newtable(L);
  lua_rawseti(L, -2, QUOTA_SLOTS);
  compat_setuservalue(L, -2);
}

Quota *quota_push_private(lua_State *L, const mde_windows *windows)
{
  Quota *quota = push_zeroed(L);
  take_own(L, quota, windows, (mde_pace){.smooth = false});
  return quota;
}

Quota *quota_create(lua_State *L, int argument, int clock_index)
{
  quota_options options;
  luaL_checkstack(L, 8, "quota");
  read_options(L, argument, &options);
  Quota *quota = push_zeroed(L);
  set_uservalue(L, quota, clock_index);
  if (options.path.data != NULL)
    take_file(L, quota, &options);
  else
    take_own(L, quota, options.has_windows ? &options.windows : NULL, pace_of(&options));
  return quota;
}

int quota_new(lua_State *L)
{
  quota_create(L, 1, 0);
  return 1;
}

/* --- the end of one --- */

static void quota_close(Quota *quota)
{
  quota->open = false;
  for (size_t i = 0; quota->own != NULL && i < mde_operation_count; i++)
    mde_quota_free(&quota->own[i]);
  mde_memory_resize(&mde_memory_system, quota->own, mde_operation_count * sizeof(mde_quota), 0);
  quota->own = NULL;
  mde_quota_file_close(quota->file);
  quota->file = NULL;
}

/* close, __gc and __close: any object, any number of times. */
static int quota_gc(lua_State *L)
{
  Quota *quota = compat_testudata(L, 1, QUOTA_CLASS);
  if (quota != NULL)
    quota_close(quota);
  return 0;
}

static int quota_close_method(lua_State *L)
{
  luaL_checkudata(L, 1, QUOTA_CLASS);
  return quota_gc(L);
}

/* --- for those who ask it; a closed one knows nothing --- */

mde_quota_answer quota_reserve(Quota *quota, const mde_operation *operation, int64_t now_ms,
                               int64_t lease_ms, mde_file_slot *slot)
{
  if (quota->file != NULL)
    return mde_quota_file_reserve(quota->file, operation, now_ms, lease_ms, slot);
  return mde_quota_reserve(&quota->own[operation - mde_operations], now_ms);
}

void quota_settle(Quota *quota, const mde_operation *operation, const mde_file_slot *slot,
                  mde_slot_end end, int64_t now_ms)
{
  if (quota->file != NULL)
    mde_quota_file_settle(quota->file, operation, slot, end, now_ms);
  else if (quota->own != NULL)
    mde_quota_settle(&quota->own[operation - mde_operations], end, now_ms);
}

void quota_learn(Quota *quota, const mde_operation *operation, const mde_lesson *lesson,
                 int64_t now_ms)
{
  if (quota->file != NULL)
    mde_quota_file_learn(quota->file, operation, lesson, now_ms);
  else if (quota->own != NULL)
    mde_quota_learn(&quota->own[operation - mde_operations], lesson, now_ms);
}

/* --- the class --- */

void quota_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"close", quota_close_method}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", quota_gc}, {"__close", quota_gc}, {NULL, NULL}};
  luaL_newmetatable(L, QUOTA_CLASS);
  compat_setfuncs(L, metamethods);
  lua_newtable(L);
  compat_setfuncs(L, methods);
  quota_set_methods(L);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

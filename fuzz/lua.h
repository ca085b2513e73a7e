/* A Lua with the module in it, for targets whose bytes meet Lua: one state for all runs.
 *
 *   static lua_State *L;
 *   if (L == NULL)
 *     L = fuzz_lua("fuzz/answer.lua");
 *   fuzz_call(L, bytes, size);
 *
 * The file returns function(bytes), which raises an error if something does not hold.
 * They are started from the project's folder: from there comes mde.testing. */
#ifndef MDE_FUZZ_LUA_H
#define MDE_FUZZ_LUA_H

#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

int luaopen_mde(lua_State *L);

static inline void fuzz_must(lua_State *L, int status)
{
  if (status == LUA_OK)
    return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  abort();
}

static inline lua_State *fuzz_lua(const char *script)
{
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mde);
  lua_setfield(L, -2, "mde");
  fuzz_must(L, luaL_loadfile(L, "lua_mde/testing.lua"));
  lua_setfield(L, -2, "mde.testing");
  lua_settop(L, 0);
  fuzz_must(L, luaL_dostring(L, "package.path = './?.lua;' .. package.path; require 'mde'"));
  if (script != NULL)
    fuzz_must(L, luaL_dofile(L, script));
  return L;
}

static int fuzz_traced(lua_State *L)
{
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static inline void fuzz_call(lua_State *L, const uint8_t *bytes, size_t size)
{
  lua_settop(L, 1);
  lua_pushcfunction(L, fuzz_traced);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)bytes, size);
  fuzz_must(L, lua_pcall(L, 1, 0, 2));
  lua_settop(L, 1);
}

#endif

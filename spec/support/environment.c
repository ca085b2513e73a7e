/* setenv() for specs: require("environment").set(name, value). */
#include <lauxlib.h>
#include <lua.h>

#include <stdlib.h>

static int do_set(lua_State *L)
{
  lua_pushboolean(L, setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1) == 0);
  return 1;
}

int luaopen_environment(lua_State *L);

int luaopen_environment(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, do_set);
  lua_setfield(L, -2, "set");
  return 1;
}

/* What differs between Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT, under one name each.
 *
 * Each userdata has one user value, a table, for the Lua values that belong to it; on 5.1 this is
 * its environment. */
#ifndef MDE_BIND_COMPAT_H
#define MDE_BIND_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define compat_rawlen lua_objlen
#else
#define compat_rawlen lua_rawlen
#endif

static inline void *compat_newuserdata(lua_State *L, size_t size)
{
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 1);
#else
  return lua_newuserdata(L, size);
#endif
}

/* Pops a table and makes it the user value of the userdata at `index`. */
static inline void compat_setuservalue(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
  lua_setuservalue(L, index);
#else
  lua_setfenv(L, index);
#endif
}

static inline void compat_getuservalue(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
  lua_getuservalue(L, index);
#else
  lua_getfenv(L, index);
#endif
}

/* The userdata at `index` if it is of that class, or NULL. */
static inline void *compat_testudata(lua_State *L, int index, const char *class_name)
{
  void *object = lua_touserdata(L, index);
  if (object == NULL || !lua_getmetatable(L, index))
    return NULL;
  luaL_getmetatable(L, class_name);
  if (!lua_rawequal(L, -1, -2))
    object = NULL;
  lua_pop(L, 2);
  return object;
}

static inline int compat_absindex(lua_State *L, int index)
{
  return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}

/* Registers functions in the table on top. */
static inline void compat_setfuncs(lua_State *L, const luaL_Reg *list)
{
  for (; list->name != NULL; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

#endif

/* The C library's heap for specs: require("heap").used() is the bytes that are in use, .lose(n) takes n for ever. */
#include <lauxlib.h>
#include <lua.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static int do_used(lua_State *L)
{
  struct mallinfo2 info = mallinfo2();
  lua_pushnumber(L, (lua_Number)(info.uordblks + info.hblkhd));
  return 1;
}

static void *volatile last; /* or the compiler would leave out to fill it */

static int do_lose(lua_State *L)
{
  size_t size = (size_t)luaL_checknumber(L, 1);
  void *lost = malloc(size);
  if (lost == NULL)
    return luaL_error(L, "no memory to lose");
  memset(lost, 1, size);
  last = lost;
  return 0;
}

int luaopen_heap(lua_State *L);

int luaopen_heap(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, do_used);
  lua_setfield(L, -2, "used");
  lua_pushcfunction(L, do_lose);
  lua_setfield(L, -2, "lose");
  return 1;
}

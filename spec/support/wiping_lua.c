/* An interpreter whose allocator overwrites what Lua gives back: wiping_lua SCRIPT ARGUMENT...
 *
 * Strings that a script has let go of are then nowhere in the process, and what is still found in its memory is held by
 * somebody, or was left behind by a library. forget() overwrites what is dead of the C stack, and what copying has left in
 * the processor's registers. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *resize(void *context, void *block, size_t old_size, size_t new_size)
{
  void *fresh = new_size > 0 ? malloc(new_size) : NULL;
  (void)context;
  if (block == NULL || (new_size > 0 && fresh == NULL))
    return fresh;
  if (fresh != NULL)
    memcpy(fresh, block, old_size < new_size ? old_size : new_size);
  explicit_bzero(block, old_size);
  free(block);
  return fresh;
}

/* Copies of each length go by other registers. */
static int forget(lua_State *L)
{
  static char from[8192], to[8192];
  char dead[512 * 1024];
  (void)L;
  for (size_t size = 1; size < sizeof to; size++)
    memcpy(to, from, size);
  explicit_bzero(dead, sizeof dead);
  return 0;
}

static void push_arguments(lua_State *L, char **arguments)
{
  lua_newtable(L);
  for (int i = 0; arguments[i] != NULL; i++) {
    lua_pushstring(L, arguments[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

int main(int count, char **arguments)
{
  lua_State *L = lua_newstate(resize, NULL);
  if (L == NULL || count < 2)
    return 2;
  luaL_openlibs(L);
  lua_register(L, "forget", forget);
  forget(L); /* later it must not be looked up first: the loader puts the registers on the stack */
  push_arguments(L, arguments + 1);
  int status = luaL_dofile(L, arguments[1]);
  if (status != 0)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status;
}

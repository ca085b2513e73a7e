/* fork() for specs: require("fork").fork() -> pid or 0, .wait(pid) -> exit code, .exit(code) at once. */
#include <lauxlib.h>
#include <lua.h>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int do_fork(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)fork());
  return 1;
}

static int do_wait(lua_State *L)
{
  int status = -1;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 1;
}

static int do_exit(lua_State *L)
{
  _exit((int)luaL_checkinteger(L, 1));
  return 0;
}

int luaopen_fork(lua_State *L);

int luaopen_fork(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, do_fork);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, do_wait);
  lua_setfield(L, -2, "wait");
  lua_pushcfunction(L, do_exit);
  lua_setfield(L, -2, "exit");
  return 1;
}

/* An interpreter for run.lua, with a second Lua state that is its victim: there allocations and system calls fail.
 *
 *   torture.open "scenarios.lua"             a new victim, which has run that file
 *   torture.arm("own", 3, true, nil, "here")        for the next run: the third allocation fails, and all after it
 *   torture.arm("flock", 1, false, EINTR, "here")   ... or a system call; and what is to be said if it hangs
 *   torture.run("use", "text") -> true | nil, words     calls the victim's function of that name; then nothing fails
 *   torture.count "own"                      how many there were in it
 *   torture.live() -> { own = blocks, descriptors = ..., ... }
 *   torture.names, torture.codes             the names of what can fail; errno by name
 *
 * The victim's function `describe` makes words of an error; it is given `in_child`. */
#include "calls.h"
#include "heaps.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int luaopen_mde(lua_State *L);

enum { SECONDS_MAX = 10 };

static lua_State *victim;
static char point[200]; /* where it is */

/* --- what fails --- */

static int find_heap(const char *name)
{
  int which = 0;
  while (which < TORTURE_HEAPS && strcmp(torture_heap_names[which], name) != 0)
    which++;
  return which;
}

static torture_call *check_call(lua_State *L, const char *name)
{
  torture_call *call = torture_call_find(name);
  if (call == NULL)
    luaL_error(L, "nothing is called '%s'", name);
  return call;
}

typedef struct fault {
  int heap; /* TORTURE_HEAPS: the call */
  torture_call *call;
  size_t at;
  bool for_good;
  int code;
} fault;

static fault next_fault = {.heap = TORTURE_HEAPS};

static int arm(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  fault armed = {.heap = find_heap(name),
                 .at = (size_t)luaL_checknumber(L, 2),
                 .for_good = lua_toboolean(L, 3),
                 .code = (int)luaL_optinteger(L, 4, 0)};
  if (armed.heap == TORTURE_HEAPS)
    armed.call = check_call(L, name);
  next_fault = armed;
  snprintf(point, sizeof point, "%s\n", luaL_checkstring(L, 5));
  return 0;
}

static void begin(void)
{
  for (int i = 0; i < TORTURE_HEAPS; i++)
    torture_heap(i)->allocations = 0;
  for (torture_call *at = torture_calls; at->name != NULL; at++)
    at->count = 0;
  if (next_fault.heap < TORTURE_HEAPS) {
    torture_heap(next_fault.heap)->fail_at = next_fault.at;
    torture_heap(next_fault.heap)->fail_for_good = next_fault.for_good;
  } else if (next_fault.call != NULL) {
    next_fault.call->fail_at = next_fault.at;
    next_fault.call->for_good = next_fault.for_good;
    next_fault.call->code = next_fault.code;
  }
}

static void end(void)
{
  if (next_fault.heap < TORTURE_HEAPS)
    torture_heap(next_fault.heap)->fail_at = 0;
  else if (next_fault.call != NULL)
    next_fault.call->fail_at = 0;
  next_fault = (fault){.heap = TORTURE_HEAPS};
}

static int count(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  int heap = find_heap(name);
  size_t found =
      heap < TORTURE_HEAPS ? torture_heap(heap)->allocations : check_call(L, name)->count;
  lua_pushnumber(L, (lua_Number)found);
  return 1;
}

static void set_number(lua_State *L, const char *name, size_t number)
{
  lua_pushnumber(L, (lua_Number)number);
  lua_setfield(L, -2, name);
}

static int live(lua_State *L)
{
  lua_newtable(L);
  for (int i = 0; i < TORTURE_HEAPS; i++)
    set_number(L, torture_heap_names[i], torture_heap(i)->blocks);
  set_number(L, "descriptors", torture_descriptors());
  set_number(L, "maps", torture_maps());
  return 1;
}

static int twice(lua_State *L)
{
  lua_pushnumber(L, (lua_Number)torture_given_back_twice());
  return 1;
}

/* --- the victim --- */

static int close_victim(lua_State *L)
{
  (void)L;
  if (victim != NULL)
    lua_close(victim);
  victim = NULL;
  return 0;
}

/* The status of a protected call, whose error is on the victim's stack. */
static int report(lua_State *L, int status)
{
  if (status == 0) {
    lua_settop(victim, 0);
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_getglobal(victim, "describe");
  lua_insert(victim, -2);
  if (lua_isfunction(victim, -2))
    lua_pcall(victim, 1, 1, 0);
  lua_pushnil(L);
  lua_pushstring(L, lua_tostring(victim, -1));
  lua_settop(victim, 0);
  return 2;
}

/* (function) -> the number that it returns in a forked child, where only system calls fail: nobody sees how many blocks
 * it asks for. 2: it has raised. */
static int in_child(lua_State *L)
{
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS_MAX); /* which is not inherited */
    for (int i = 0; i < TORTURE_HEAPS; i++)
      torture_heap(i)->fail_at = 0;
    int raised = lua_pcall(L, 0, 1, 0); /* the rest is the parent's */
    _exit(raised ? 2 : (int)lua_tonumber(L, -1));
  }
  waitpid(child, &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 1;
}

static int run_file(lua_State *L)
{
  luaL_openlibs(L);
  lua_pushcfunction(L, in_child);
  lua_setglobal(L, "in_child");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_mde);
  lua_setfield(L, -2, "mde");
  lua_settop(L, 1);
  if (luaL_loadfile(L, lua_touserdata(L, 1)) != 0)
    lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

static int open(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  close_victim(L);
  victim = lua_newstate(torture_lua_resize, NULL);
  if (victim == NULL)
    return luaL_error(L, "no Lua state can be made");
  lua_pushcfunction(victim, run_file);
  lua_pushlightuserdata(victim, (void *)(size_t)path);
  return report(L, lua_pcall(victim, 1, 0, 0));
}

/* Not to be survived: whatever waits does so in C. */
static void say_that_it_hangs(int number)
{
  static const char words[] = "it hangs\n";
  (void)number;
  (void)!write(STDOUT_FILENO, point, strlen(point));
  (void)!write(STDOUT_FILENO, words, sizeof words - 1);
  _exit(1);
}

static int run(lua_State *L)
{
  const char *argument = luaL_optstring(L, 2, NULL);
  lua_getglobal(victim, luaL_checkstring(L, 1));
  lua_pushstring(victim, argument);
  begin();
  alarm(SECONDS_MAX);
  int status = lua_pcall(victim, 1, 0, 0);
  alarm(0);
  end();
  return report(L, status);
}

/* --- the interpreter --- */

static const luaL_Reg functions[] = {
    {"arm", arm}, {"count", count}, {"live", live},          {"open", open},
    {"run", run}, {"twice", twice}, {"close", close_victim}, {NULL, NULL}};

static const struct {
  const char *name;
  int code;
} codes[] = {
#define CODE(name)                                                                                 \
  {                                                                                                \
#name, name                                                                                    \
  }
    CODE(EACCES), CODE(EAGAIN), CODE(EBUSY),   CODE(EDQUOT), CODE(EEXIST),
    CODE(EFBIG),  CODE(EINTR),  CODE(EINVAL),  CODE(EIO),    CODE(ELOOP),
    CODE(EMFILE), CODE(ENFILE), CODE(ENOBUFS), CODE(ENODEV), CODE(ENOENT),
    CODE(ENOLCK), CODE(ENOMEM), CODE(ENOSPC),  CODE(ENOSYS), CODE(EOPNOTSUPP),
    CODE(EPERM),  CODE(ERANGE), CODE(EROFS),   CODE(ESRCH),  CODE(EWOULDBLOCK),
#undef CODE
};

static void push_codes(lua_State *L)
{
  lua_newtable(L);
  for (size_t i = 0; i < TEST_COUNT(codes); i++) {
    lua_pushinteger(L, codes[i].code);
    lua_setfield(L, -2, codes[i].name);
  }
}

static void push_names(lua_State *L)
{
  lua_newtable(L);
  for (int i = 0; i < TORTURE_HEAPS; i++) {
    lua_pushstring(L, torture_heap_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  for (int i = 0; torture_calls[i].name != NULL; i++) {
    lua_pushstring(L, torture_calls[i].name);
    lua_rawseti(L, -2, TORTURE_HEAPS + i + 1);
  }
}

static void set_torture(lua_State *L)
{
  lua_newtable(L);
  for (const luaL_Reg *at = functions; at->name != NULL; at++) {
    lua_pushcfunction(L, at->func);
    lua_setfield(L, -2, at->name);
  }
  push_codes(L);
  lua_setfield(L, -2, "codes");
  push_names(L);
  lua_setfield(L, -2, "names");
  lua_setglobal(L, "torture");
}

int main(int argument_count, char **arguments)
{
  lua_State *L = luaL_newstate();
  if (argument_count != 2 || L == NULL || !torture_calls_start() || !torture_heaps_start())
    return 2;
  luaL_openlibs(L);
  signal(SIGALRM, say_that_it_hangs);
  setvbuf(stdout, NULL, _IOLBF, 0);
  set_torture(L);
  int status = luaL_loadfile(L, arguments[1]) != 0 || lua_pcall(L, 0, 0, 0) != 0;
  if (status != 0)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status;
}

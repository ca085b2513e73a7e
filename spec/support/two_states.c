/* Two Lua states in two threads, at the same time: two_states SCRIPT ARGUMENT...
 *
 * Each runs the script with the number of its thread, 1 or 2, before the arguments. It ends with 0 if both end well. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 2 };

typedef struct job {
  int number;
  char **arguments; /* the script's name first */
  int failed;
} job;

static pthread_barrier_t start;

static int push_arguments(lua_State *L, const job *job)
{
  int count = 1;
  lua_pushinteger(L, job->number);
  for (char **at = job->arguments + 1; *at != NULL; at++, count++)
    lua_pushstring(L, *at);
  return count;
}

static void *run(void *context)
{
  job *job = context;
  lua_State *L = luaL_newstate();
  pthread_barrier_wait(&start);
  luaL_openlibs(L);
  job->failed = luaL_loadfile(L, job->arguments[0]) != 0 ||
                lua_pcall(L, push_arguments(L, job), 0, 0) != 0;
  if (job->failed)
    fprintf(stderr, "thread %d: %s\n", job->number, lua_tostring(L, -1));
  lua_close(L);
  return NULL;
}

int main(int count, char **arguments)
{
  pthread_t threads[THREADS];
  job jobs[THREADS];
  int failed = count < 2;
  pthread_barrier_init(&start, NULL, THREADS);
  for (int i = 0; i < THREADS && !failed; i++) {
    jobs[i] = (job){.number = i + 1, .arguments = arguments + 1};
    failed = pthread_create(&threads[i], NULL, run, &jobs[i]);
  }
  for (int i = 0; i < THREADS && !failed; i++) {
    pthread_join(threads[i], NULL);
    failed = jobs[i].failed;
  }
  return failed;
}

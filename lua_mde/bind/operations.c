#include "bind/operations.h"

#include "bind/call.h"
#include "bind/driver.h"
#include "bind/error.h"
#include "bind/options.h"

#include <math.h>
#include <string.h>

enum { STEP_SECONDS_MAX = 1000000 };

/* --- what a call is given --- */

#define CALL_LIMIT(field) (offsetof(call_order, limits) + offsetof(mde_call_limits, field))
#define QUERY(field) (offsetof(call_order, query) + offsetof(mde_query, field))

enum { COMMON_ROWS = 4, CALL_ROWS_MAX = 10 };

static const option_row common_rows[COMMON_ROWS] = {
    {"timeout", OPTION_SECONDS, CALL_LIMIT(timeout_ms), 0.001, 86400},
    {"budget", OPTION_SECONDS, CALL_LIMIT(budget_ms), 0, 1e9},
    {"max_attempts", OPTION_COUNT, CALL_LIMIT(max_attempts), 1, 100},
    {"max_body", OPTION_SIZE, CALL_LIMIT(max_body_bytes), 1, MAX_BODY_MAX},
};

/* The options that this operation takes: the common ones and its OData query. */
static void list_rows(const mde_operation *operation, option_row rows[CALL_ROWS_MAX])
{
  size_t count = COMMON_ROWS;
  memcpy(rows, common_rows, sizeof common_rows);
  if (operation->query & MDE_QUERY_FILTER)
    rows[count++] = (option_row){"filter", OPTION_BYTES, QUERY(filter), 0, 0};
  if (operation->query & MDE_QUERY_EXPAND)
    rows[count++] = (option_row){"expand", OPTION_BYTES, QUERY(expand), 0, 0};
  if (operation->query & MDE_QUERY_TOP)
    rows[count++] = (option_row){"top", OPTION_NUMBER, QUERY(top), 1, operation->top_max};
  if (operation->query & MDE_QUERY_SKIP)
    rows[count++] = (option_row){"skip", OPTION_NUMBER, QUERY(skip), 0, 1e9};
  if (operation->query != 0)
    rows[count++] = (option_row){"max_items", OPTION_NUMBER, QUERY(max_items), 1, 1e9};
  rows[count] = (option_row){NULL, OPTION_END, 0, 0, 0};
}

static void read_call_options(lua_State *L, int argument, call_order *order)
{
  option_row rows[CALL_ROWS_MAX];
  if (lua_isnoneornil(L, argument))
    return;
  list_rows(order->operation, rows);
  options_read(L, argument, rows, order);
  order->query.has_skip = options_has(L, argument, "skip");
}

#define INVALID_ID "an id must not be empty, '.', '..' or hold control characters"

static mde_slice check_segment(lua_State *L, int argument)
{
  mde_slice segment;
  luaL_checktype(L, argument,
                 LUA_TSTRING); /* a number is not an id that somebody lost the quotes of */
  segment.data = lua_tolstring(L, argument, &segment.length);
  if (!mde_uri_segment_valid(segment))
    luaL_argerror(L, argument, INVALID_ID);
  return segment;
}

/* Segments from `first` on, and options behind them; raises for misuse. */
static void read_order(lua_State *L, int first, const Client *client,
                       const mde_operation *operation, call_order *order)
{
  int count = (int)mde_operation_arguments(operation);
  *order = (call_order){.operation = operation, .limits = client->limits};
  for (int i = 0; i < count; i++)
    order->segments[i] = check_segment(L, first + i);
  read_call_options(L, first + count, order);
}

/* --- blocking --- */

/* A method of the operation in its upvalue: client:name(segments... [, options]). */
static int operation_call(lua_State *L)
{
  const mde_operation *operation = lua_touserdata(L, lua_upvalueindex(1));
  Client *client = client_check_idle(L);
  call_order order;
  read_order(L, 2, client, operation, &order);
  if (!client->open)
    return client_push_closed(L, operation->name);
  call_push_own(L, 1, &order);
  int call_index = lua_gettop(L);
  driver_run(L, 1, call_index);
  int count = call_push_outcome(L, call_index);
  call_forget(L, call_index);
  return count;
}

/* --- step by step --- */

static const mde_operation *check_operation(lua_State *L, int argument)
{
  size_t length;
  luaL_checktype(L, argument, LUA_TSTRING);
  const char *name = lua_tolstring(L, argument, &length);
  const mde_operation *operation = mde_operation_find(name, length);
  if (operation == NULL)
    luaL_argerror(L, argument, lua_pushfstring(L, "there is no operation '%s'", name));
  return operation;
}

/* client:start(operation, ...) -> call */
static int operation_start(lua_State *L)
{
  Client *client = client_check_idle(L);
  const mde_operation *operation = check_operation(L, 2);
  call_order order;
  read_order(L, 3, client, operation, &order);
  if (!client->open)
    return client_push_closed(L, operation->name);
  call_push(L, 1, &order);
  return 1;
}

/* Tells the queue at `queue_index` when the call on top is done. */
static void set_queue(lua_State *L, int queue_index)
{
  compat_getuservalue(L, -1);
  lua_pushvalue(L, queue_index);
  lua_rawseti(L, -2, CALL_QUEUE);
  lua_pop(L, 1);
}

/* As client:start, with the queue in the upvalue. */
static int queued_start(lua_State *L)
{
  int count = operation_start(L);
  if (count == 1)
    set_queue(L, lua_upvalueindex(1));
  return count;
}

int operations_starter(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushcclosure(L, queued_start, 1);
  return 1;
}

static int64_t check_step_ms(lua_State *L, int argument)
{
  lua_Number seconds = luaL_optnumber(L, argument, 0);
  luaL_argcheck(L, seconds >= 0, argument, "seconds, 0 or more, expected");
  return (int64_t)ceil((double)(seconds < STEP_SECONDS_MAX ? seconds : STEP_SECONDS_MAX) * 1000);
}

/* client:step([seconds]) -> number of calls not finished */
static int operation_step(lua_State *L)
{
  const Client *client = client_check_idle(L);
  int64_t most_ms = check_step_ms(L, 2);
  if (!client->open)
    return client_push_closed(L, "step");
  driver_step(L, 1, most_ms);
  lua_pushinteger(L, (lua_Integer)client->unfinished);
  return 1;
}

static void push_watched(lua_State *L, const mde_ready *watched)
{
  static const char *const names[] = {"", "r", "w", "rw"};
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, watched->fd);
  lua_setfield(L, -2, "fd");
  lua_pushstring(L, names[watched->events & (MDE_WATCH_READ | MDE_WATCH_WRITE)]);
  lua_setfield(L, -2, "events");
}

/* client:pollable() -> { { fd =, events = }, ... }, seconds or nil */
static int operation_pollable(lua_State *L)
{
  Client *client = client_check_idle(L);
  mde_ready list[MDE_WATCH_READY_MAX];
  if (!client->open)
    return client_push_closed(L, "pollable");
  size_t count =
      client->scripted ? 0 : mde_transport_watched(client->transport, list, MDE_WATCH_READY_MAX);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count && i < MDE_WATCH_READY_MAX; i++) {
    push_watched(L, &list[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  int64_t due_ms = driver_due_ms(client);
  if (due_ms == MDE_TIME_NEVER)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)due_ms / 1000);
  return 2;
}

/* --- for mde/each.lua --- */

static const option_row each_rows[] = {{"concurrency", OPTION_ANY, 0, 0, 0},
                                       {"ordered", OPTION_ANY, 0, 0, 0},
                                       {"stop_on", OPTION_ANY, 0, 0, 0},
                                       {NULL, OPTION_END, 0, 0, 0}};

/* (operation, options): raises for what is neither the operation's nor one of each's own. */
static int each_options(lua_State *L)
{
  option_row rows[CALL_ROWS_MAX + sizeof each_rows / sizeof each_rows[0]];
  call_order order = {0};
  size_t count = 0;
  list_rows(check_operation(L, 1), rows);
  while (rows[count].name != NULL)
    count++;
  memcpy(&rows[count], each_rows, sizeof each_rows);
  options_read(L, 2, rows, &order);
  return 0;
}

/* An id is no argument of a function that the script called: without this the message names none. */
static void check_each_id(lua_State *L, int index)
{
  mde_slice id = {0};
  if (lua_type(L, index) == LUA_TSTRING)
    id.data = lua_tolstring(L, index, &id.length);
  if (id.data != NULL && mde_uri_segment_valid(id))
    return;
  if (id.data != NULL)
    lua_pushfstring(L, "bad argument #2 to 'each' (%s)", INVALID_ID);
  else
    lua_pushfstring(L, "bad argument #2 to 'each' (an id is a string, got %s)",
                    luaL_typename(L, index));
  lua_error(L);
}

/* Pushes a call that is appended to the queue at `queue_index` whenever it is done. */
static void push_queued_call(lua_State *L, int queue_index, const call_order *order)
{
  Call *call = call_push(L, 1, order);
  call->serves_again = true;
  set_queue(L, queue_index);
}

/* The call at `index`, or NULL for false: one of the same client's, which serves again. */
static Call *check_spare(lua_State *L, int index, const Client *client)
{
  if (!lua_toboolean(L, index))
    return NULL;
  Call *call = luaL_checkudata(L, index, CALL_CLASS);
  compat_getuservalue(L, index);
  lua_rawgeti(L, -1, CALL_CLIENT);
  bool fits = call->serves_again && lua_touserdata(L, -1) == client;
  lua_pop(L, 2);
  luaL_argcheck(L, fits, index, "a call that each has made for this client expected");
  return call;
}

/* (client, operation, id, options, queue, call or false) -> that call, or a new one if there is none */
static int each_start(lua_State *L)
{
  Client *client = client_check_idle(L);
  const mde_operation *operation = check_operation(L, 2);
  Call *call = check_spare(L, 6, client);
  call_order order;
  luaL_checktype(L, 5, LUA_TTABLE);
  check_each_id(L, 3);
  read_order(L, 3, client, operation, &order);
  if (!client->open)
    return client_push_closed(L, operation->name);
  if (call != NULL)
    call_restart(L, call, client, &order);
  else
    push_queued_call(L, 5, &order);
  return 1;
}

/* (call) -> its outcome, which it forgets */
static int each_take(lua_State *L)
{
  const Call *call = luaL_checkudata(L, 1, CALL_CLASS);
  luaL_argcheck(L, mde_call_finished(&call->core), 1, "a call that is done expected");
  int count = call_push_outcome(L, 1);
  call_forget(L, 1);
  return count;
}

/* (client): puts on the wire what was started. */
static int each_kick(lua_State *L)
{
  if (client_check_idle(L)->open)
    driver_kick(L, 1);
  return 0;
}

/* (client [, concurrency]) -> concurrency: the client's, which is raised to what is asked for */
static int each_concurrency(lua_State *L)
{
  Client *client = client_check_idle(L);
  lua_Integer wanted = luaL_optinteger(L, 2, (lua_Integer)client->concurrency);
  luaL_argcheck(L, wanted >= 1 && wanted <= CONCURRENCY_MAX, 2, "from 1 to 1000 expected");
  if (wanted > (lua_Integer)client->concurrency)
    client->concurrency = (uint32_t)wanted;
  lua_pushinteger(L, wanted);
  return 1;
}

/* (name) -> whether the operation takes one id and nothing else */
static int each_takes_an_id(lua_State *L)
{
  lua_pushboolean(L, mde_operation_arguments(check_operation(L, 1)) == 1);
  return 1;
}

/* (name) -> whether it is an error's kind */
static int each_is_kind(lua_State *L)
{
  lua_pushboolean(L, lua_type(L, 1) == LUA_TSTRING && error_is_kind(lua_tostring(L, 1)));
  return 1;
}

void operations_push_steps(lua_State *L)
{
  static const luaL_Reg steps[] = {{"start", each_start},
                                   {"take", each_take},
                                   {"kick", each_kick},
                                   {"concurrency", each_concurrency},
                                   {"takes_an_id", each_takes_an_id},
                                   {"is_kind", each_is_kind},
                                   {"options", each_options},
                                   {NULL, NULL}};
  lua_newtable(L);
  compat_setfuncs(L, steps);
}

/* client:each(operation, ids [, options]): in Lua, which may yield where this may not. */
static int operation_each(lua_State *L)
{
  client_check_idle(L);
  lua_settop(L, 4);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mde.each");
  lua_call(L, 1, 1);
  lua_insert(L, 1);
  operations_push_steps(L);
  lua_call(L, 5, LUA_MULTRET);
  return lua_gettop(L);
}

/* --- registering --- */

void operations_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"start", operation_start},
                                     {"step", operation_step},
                                     {"pollable", operation_pollable},
                                     {"each", operation_each},
                                     {NULL, NULL}};
  compat_setfuncs(L, methods);
  for (size_t i = 0; i < mde_operation_count; i++) {
    lua_pushlightuserdata(L, (void *)(size_t)&mde_operations[i]);
    lua_pushcclosure(L, operation_call, 1);
    lua_setfield(L, -2, mde_operations[i].name);
  }
}

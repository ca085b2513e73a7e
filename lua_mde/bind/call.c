#include "bind/call.h"

#include "bind/budget.h"

#include <string.h>

/* Takes it off the wire and gives the slot back or counts it, as the wire has it. */
static void withdraw(Call *call)
{
  bool sent = call->scripted_ms > 0;
  if (call->exchange != NULL)
    sent = mde_transport_cancel(call->client->transport, call->exchange);
  call->exchange = NULL;
  call->scripted_ms = 0;
  call->core.requests += sent;
  call->client->stats.attempts += sent;
  budget_release(call, sent ? MDE_SLOT_ABANDONED : MDE_SLOT_UNSENT);
}

void call_end(Call *call, mde_error_kind kind, mde_failure_reason reason)
{
  if (call->client != NULL)
    withdraw(call);
  mde_call_reject(&call->core, kind, reason, NULL);
  call_detach(call);
}

void call_detach(Call *call)
{
  Client *client = call->client;
  if (client == NULL)
    return;
  withdraw(call);
  struct Call **link = &client->calls;
  while (*link != NULL && *link != call)
    link = &(*link)->next;
  if (*link != NULL)
    *link = call->next;
  call->client = NULL;
}

static int call_gc(lua_State *L)
{
  Call *call = compat_testudata(L, 1, CALL_CLASS);
  if (call == NULL)
    return 0;
  call_detach(call);
  mde_call_free(&call->core);
  return 0;
}

/* { client, result, slot } */
static void set_uservalue(lua_State *L, int call_index, int client_index)
{
  lua_createtable(L, 3, 0);
  lua_pushvalue(L, client_index);
  lua_rawseti(L, -2, CALL_CLIENT);
  compat_setuservalue(L, call_index);
}

/* client.calls[light userdata] = call */
static void register_linked(lua_State *L, int client_index, int call_index)
{
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_CALLS);
  lua_pushlightuserdata(L, lua_touserdata(L, call_index));
  lua_pushvalue(L, call_index);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

static void address(lua_State *L, Call *call, const mde_slice *segments, const mde_query *query)
{
  mde_status status = mde_paging_first(&call->core.paging, &call->client->base,
                                       call->core.operation, segments, query);
  if (status == MDE_TOO_LARGE)
    luaL_error(L, "%s: the arguments make an address that is too long", call->core.operation->name);
  if (status == MDE_NO_MEMORY)
    luaL_error(L, "not enough memory");
}

Call *call_push(lua_State *L, int client_index, const mde_operation *operation,
                const mde_call_limits *limits, const mde_slice *segments, const mde_query *query)
{
  Client *client = lua_touserdata(L, client_index);
  Call *call = compat_newuserdata(L, sizeof *call);
  memset(call, 0, sizeof *call);
  mde_call_init(&call->core, operation, &client->credential, limits, &mde_memory_system,
                client_now_ms(client));
  luaL_getmetatable(L, CALL_CLASS);
  lua_setmetatable(L, -2);
  set_uservalue(L, lua_gettop(L), client_index);
  register_linked(L, client_index, lua_gettop(L));
  call->client = client;
  call->next = client->calls;
  client->calls = call;
  address(L, call, segments, query);
  return call;
}

void call_register(lua_State *L)
{
  static const luaL_Reg metamethods[] = {{"__gc", call_gc}, {NULL, NULL}};
  luaL_newmetatable(L, CALL_CLASS);
  compat_setfuncs(L, metamethods);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

#include "bind/call.h"

#include "bind/budget.h"
#include "bind/error.h"

#include <string.h>

/* --- the client's lists --- */

static void take_out(Call *call)
{
  if (call->client->cursor == call)
    call->client->cursor = call->next;
  *call->link = call->next;
  if (call->next != NULL)
    call->next->link = call->link;
  else
    call->list->end = call->link;
  call->next = NULL;
  call->list->count--;
}

static void put_in(Call *call, CallList *list)
{
  call->list = list;
  call->link = list->end;
  *list->end = call;
  list->end = &call->next;
  list->count++;
}

void call_move(Call *call, CallList *list)
{
  if (call->list == list)
    return;
  take_out(call);
  put_in(call, list);
  call->stepped = false;
}

/* --- ending --- */

void call_give_back(Call *call)
{
  if (call->serves_again)
    mde_call_rest(&call->core);
  else
    mde_call_free(&call->core);
}

/* Takes it off the wire and gives the slot back or counts it, as the wire has it. */
static void withdraw(Call *call)
{
  bool sent = call->scripted_ms > 0;
  if (call->exchange != NULL) {
    sent = mde_transport_cancel(call->client->transport, call->exchange);
    call->client->stats.bytes += call->core.response.body.length;
  }
  call->exchange = NULL;
  call->scripted_ms = 0;
  call->core.requests += sent;
  call->client->stats.attempts += sent && !call_is_login(call);
  budget_release(call, sent ? MDE_SLOT_ABANDONED : MDE_SLOT_UNSENT);
}

void call_end(Call *call, mde_error_kind kind, mde_failure_reason reason)
{
  if (call->client != NULL) {
    withdraw(call);
    call->client->stats.errors += kind == MDE_ERROR_CANCELLED && !call->serves_again;
  }
  mde_call_reject(&call->core, kind, reason, NULL);
  call_detach(call);
}

bool call_is_login(const Call *call)
{
  return call->core.login != NULL;
}

void call_detach(Call *call)
{
  Client *client = call->client;
  if (client == NULL)
    return;
  withdraw(call);
  take_out(call);
  if (call_is_login(call))
    client->token_call = NULL;
  else
    client->unfinished--;
  if (client->turn == call)
    client->turn = NULL;
  call->client = NULL;
}

/* False: the driver is in the middle of it, and will end it. */
static bool may_end(Call *call)
{
  call->cancel_asked = call->client != NULL && call->client->handled == call;
  return !call->cancel_asked;
}

static int call_gc(lua_State *L)
{
  Call *call = compat_testudata(L, 1, CALL_CLASS);
  if (call == NULL || !may_end(call))
    return 0;
  call_detach(call);
  mde_call_free(&call->core);
  return 0;
}

/* { client, result, slot, error, queue } */
static void set_uservalue(lua_State *L, int call_index, int client_index)
{
  lua_createtable(L, 5, 0);
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

static void address(lua_State *L, Call *call, const Client *client, const call_order *order)
{
  mde_status status = mde_paging_first(&call->core.paging, &client->base, order->operation,
                                       order->segments, &order->query);
  if (status == MDE_TOO_LARGE)
    luaL_error(L, "%s: the arguments make an address that is too long", order->operation->name);
  if (status == MDE_NO_MEMORY)
    luaL_error(L, "not enough memory");
}

static void set_off(lua_State *L, Call *call, Client *client, const call_order *order)
{
  address(L, call, client, order);
  call->client = client;
  put_in(call, &client->queued);
  if (call->core.deadline_ms < client->queued_deadline_ms)
    client->queued_deadline_ms = call->core.deadline_ms;
  client->unfinished++;
  client->stats.calls++;
}

/* Not linked: a collection, or whatever raises next, finds nothing to undo. */
static Call *push_new(lua_State *L, int client_index, const call_order *order)
{
  Client *client = lua_touserdata(L, client_index);
  Call *call = compat_newuserdata(L, sizeof *call);
  memset(call, 0, sizeof *call);
  mde_call_init(&call->core, order->operation, &client->credential, &order->limits,
                &mde_memory_system, client_now_ms(client));
  luaL_getmetatable(L, CALL_CLASS);
  lua_setmetatable(L, -2);
  set_uservalue(L, lua_gettop(L), client_index);
  register_linked(L, client_index, lua_gettop(L));
  return call;
}

Call *call_push(lua_State *L, int client_index, const call_order *order)
{
  Call *call = push_new(L, client_index, order);
  set_off(L, call, lua_touserdata(L, client_index), order);
  return call;
}

/* --- again --- */

void call_restart(lua_State *L, Call *call, Client *client, const call_order *order)
{
  call_detach(call); /* it is, unless the last one ended in an unforeseen way */
  mde_call_again(&call->core, order->operation, &order->limits, NULL, client_now_ms(client));
  call->stepped = call->awaits_slot = call->cancel_asked = false;
  call->token_since_ms = 0;
  set_off(L, call, client, order);
}

/* The client's user value is on top; the call is then above it. */
static Call *push_first_own(lua_State *L, int client_index, const char *name,
                            const call_order *order)
{
  Call *call = push_new(L, client_index, order);
  call->serves_again = true;
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, name);
  return call;
}

/* One that the client's user value keeps under that name; made the first time. */
static Call *push_kept(lua_State *L, int client_index, const char *name, const call_order *order)
{
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, name);
  Call *call = lua_touserdata(L, -1);
  if (call == NULL) {
    lua_pop(L, 1);
    call = push_first_own(L, client_index, name, order);
  }
  lua_remove(L, -2);
  return call;
}

/* Set off last: what raises before must not leave a call behind that would be sent. */
Call *call_push_own(lua_State *L, int client_index, const call_order *order)
{
  Call *call = push_kept(L, client_index, CLIENT_OWN_CALL, order);
  call_restart(L, call, lua_touserdata(L, client_index), order);
  return call;
}

/* It needs no place, and so is never queued. */
void call_push_for_token(lua_State *L, int client_index, const mde_operation *operation,
                         const mde_call_limits *limits)
{
  Client *client = lua_touserdata(L, client_index);
  call_order order = {.operation = operation, .limits = *limits};
  Call *call = push_kept(L, client_index, CLIENT_TOKEN_CALL, &order);
  call_detach(call);
  call->core.response.body.secret = true;
  mde_call_again(&call->core, operation, limits, &client->source.login, client_now_ms(client));
  call->stepped = call->cancel_asked = false;
  call->client = client;
  client->token_call = call;
  put_in(call, &client->active);
}

void call_forget(lua_State *L, int call_index)
{
  static const int fields[] = {CALL_RESULT, CALL_SLOT, CALL_ERROR};
  compat_getuservalue(L, call_index);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, fields[i]);
  }
  lua_pop(L, 1);
}

/* --- what came of it --- */

static int push_value(lua_State *L, int kept)
{
  lua_rawgeti(L, kept, CALL_RESULT);
  return 1;
}

/* Made when it is first asked for, and kept. */
static int push_error(lua_State *L, int call_index, int kept)
{
  Call *call = lua_touserdata(L, call_index);
  lua_pushnil(L);
  lua_rawgeti(L, kept, CALL_ERROR);
  if (!lua_isnil(L, -1))
    return 2;
  lua_pop(L, 1);
  lua_rawgeti(L, kept, CALL_CLIENT);
  const Client *client = lua_touserdata(L, -1);
  lua_pop(L, 1);
  error_push(L, call, client);
  lua_pushvalue(L, -1);
  lua_rawseti(L, kept, CALL_ERROR);
  call_give_back(call);
  return 2;
}

int call_push_outcome(lua_State *L, int call_index)
{
  const Call *call = lua_touserdata(L, call_index);
  luaL_checkstack(L, 8, "outcome");
  compat_getuservalue(L, call_index);
  int kept = lua_gettop(L);
  return call->core.need == MDE_CALL_DONE ? push_value(L, kept) : push_error(L, call_index, kept);
}

/* --- methods --- */

static Call *check_call(lua_State *L)
{
  return luaL_checkudata(L, 1, CALL_CLASS);
}

static int call_done(lua_State *L)
{
  lua_pushboolean(L, mde_call_finished(&check_call(L)->core));
  return 1;
}

static int call_result(lua_State *L)
{
  if (!mde_call_finished(&check_call(L)->core))
    return luaL_error(L, "the call is not done yet: client:step() drives it");
  return call_push_outcome(L, 1);
}

static int call_cancel(lua_State *L)
{
  Call *call = check_call(L);
  if (!mde_call_finished(&call->core) && may_end(call))
    call_end(call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED);
  return 0;
}

static int call_tostring(lua_State *L)
{
  const Call *call = check_call(L);
  const char *state = mde_call_finished(&call->core) ? "done" : "under way";
  lua_pushfstring(L, "%s (%s, %s)", CALL_CLASS, call->core.operation->name, state);
  return 1;
}

void call_register(lua_State *L)
{
  static const luaL_Reg metamethods[] = {
      {"__gc", call_gc}, {"__tostring", call_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"done", call_done}, {"result", call_result}, {"cancel", call_cancel}, {NULL, NULL}};
  luaL_newmetatable(L, CALL_CLASS);
  compat_setfuncs(L, metamethods);
  lua_newtable(L);
  compat_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

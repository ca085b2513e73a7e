#include "bind/hosted.h"

#include "bind/client.h"
#include "bind/driver.h"
#include "bind/operations.h"
#include "bind/token.h"

static int hosted_client(lua_State *L)
{
  Client *client = client_create(L, 1, NULL);
  client->hosted = client->source.kind == SOURCE_FUNCTION;
  return 1;
}

static int hosted_due(lua_State *L)
{
  const Client *client = client_check_idle(L);
  if (!client->open)
    return 0;
  int64_t due_ms = driver_due_ms(client);
  if (due_ms == MDE_TIME_NEVER)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)due_ms / 1000);
  lua_pushboolean(L, client->flying.first != NULL);
  return 2;
}

/* Cheaper than a step that finds nothing. */
static int hosted_moves(lua_State *L)
{
  Client *client = client_check_idle(L);
  bool due = client->open && driver_due_ms(client) == 0;
  bool wired = client->open && !client->scripted;
  lua_pushboolean(L, due || (wired && mde_transport_ready(client->transport)));
  return 1;
}

static int hosted_wants_token(lua_State *L)
{
  Client *client = client_check_idle(L);
  lua_pushboolean(L, client->open && client->token_wanted && !client->token_asked);
  client->token_asked = client->token_wanted;
  return 1;
}

static int hosted_give_token(lua_State *L)
{
  const Client *client = client_check_idle(L);
  lua_settop(L, 4);
  if (client->open && client->token_wanted)
    token_take(L, 1, lua_toboolean(L, 2), 3);
  return 0;
}

static void push_operations(lua_State *L)
{
  lua_createtable(L, (int)mde_operation_count, 0);
  for (size_t i = 0; i < mde_operation_count; i++) {
    lua_pushstring(L, mde_operations[i].name);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

void hosted_register(lua_State *L)
{
  static const luaL_Reg functions[] = {{"client", hosted_client},
                                       {"due", hosted_due},
                                       {"moves", hosted_moves},
                                       {"wants_token", hosted_wants_token},
                                       {"give_token", hosted_give_token},
                                       {"starter", operations_starter},
                                       {NULL, NULL}};
  lua_newtable(L);
  compat_setfuncs(L, functions);
  operations_push_steps(L);
  lua_setfield(L, -2, "each");
  push_operations(L);
  lua_setfield(L, -2, "operations");
}

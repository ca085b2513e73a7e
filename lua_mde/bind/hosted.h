/* What a host with light threads of its own needs to wait by yielding, which C cannot do: the table that
 * mde/openresty.lua is built on.
 *
 *   client(options) -> client             its token function is called by the host: see wants_token
 *   starter(queue) -> function(client, operation, ...) -> call, which is appended to it when it is done
 *   due(client) -> seconds until a step has something to do, or nil; whether anything is on the wire
 *   moves(client) -> boolean              whether a step would find something to do now
 *   wants_token(client) -> boolean        once for each token that the host should fetch
 *   give_token(client, ok, ...)           what pcall returned of the token function
 *   each                                  the steps of mde/each.lua
 *   operations                            their names */
#ifndef MDE_BIND_HOSTED_H
#define MDE_BIND_HOSTED_H

#include "bind/compat.h"

/* Pushes the table. */
void hosted_register(lua_State *L);

#endif

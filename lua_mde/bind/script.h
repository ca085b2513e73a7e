/* A transport without a network, for mde.testing: a Lua function says what comes of each request, and
 * waiting moves the test's clock.
 *
 *   function(operation, method, url) -> outcome, seconds, status, head, body
 *
 * `outcome` is "answer", "unreachable", "timeout", "broken" or "tls"; `head` is header lines. An
 * answer that takes longer than the attempt may becomes a time-out, as on a real wire. */
#ifndef MDE_BIND_SCRIPT_H
#define MDE_BIND_SCRIPT_H

#include "bind/call.h"

/* Asks the script what comes of the request and notes when. Raises what the script raises. */
void script_start(lua_State *L, int client_index, Call *call, const mde_request *request);

/* Moves the clock to what happens next: at most to `wake_ms`. */
void script_wait(lua_State *L, Client *client, int64_t wake_ms);

/* When the next scripted answer is due; MDE_TIME_NEVER: none is. */
int64_t script_next_ms(const Client *client);

/* A call whose scripted answer is due now, or NULL. */
Call *script_take(Client *client);

/* The table that mde/testing.lua is built on: { client = function, clock = function }. */
void script_register(lua_State *L);

#endif

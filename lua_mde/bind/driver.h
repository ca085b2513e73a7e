/* The driver: does what the core's calls say must happen next, and waits.
 *
 * A blocking method is driver_run(): a short loop over advance (every call as far as it goes) and
 * wait (for the wire, or for the next call's time). The stepwise interface is the same two. The wait
 * is cut into slices with a trivial Lua call between them: Lua's Ctrl-C only sets a hook, which fires
 * when Lua code runs. */
#ifndef MDE_BIND_DRIVER_H
#define MDE_BIND_DRIVER_H

#include "bind/call.h"

/* Drives until the call at `call_index` is finished. What is raised meanwhile (by on_event, by Ctrl-C)
 * cancels that call and passes on; the client stays usable. */
void driver_run(lua_State *L, int client_index, int call_index);

/* Drives all calls until one of them is finished, at most for so long; 0: without waiting. What is
 * raised passes on; the call whose turn it was is then cancelled. */
void driver_step(lua_State *L, int client_index, int64_t most_ms);

/* Puts on the wire what can be sent. */
void driver_kick(lua_State *L, int client_index);

/* How long until driver_step has something to do, if no descriptor is ready before; MDE_TIME_NEVER. */
int64_t driver_due_ms(const Client *client);

void driver_register(lua_State *L);

#endif

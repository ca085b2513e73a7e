/* The client's methods that call operations: one for each row of the table, and start, step,
 * pollable and each. */
#ifndef MDE_BIND_OPERATIONS_H
#define MDE_BIND_OPERATIONS_H

#include "bind/client.h"

/* Adds them to the table on top. */
void operations_register(lua_State *L);

/* Pushes the table of the steps of mde/each.lua. */
void operations_push_steps(lua_State *L);

/* (queue) -> function(client, operation, ...) -> call, which is appended to the queue when it is done */
int operations_starter(lua_State *L);

#endif

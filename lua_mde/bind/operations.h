/* The client's methods that call operations: one for each row of the table, and start, step,
 * pollable and each. */
#ifndef MDE_BIND_OPERATIONS_H
#define MDE_BIND_OPERATIONS_H

#include "bind/client.h"

/* Adds them to the table on top. */
void operations_register(lua_State *L);

#endif

/* The error object: a table with fields for programs and `__tostring` for people. */
#ifndef MDE_BIND_ERROR_H
#define MDE_BIND_ERROR_H

#include "bind/call.h"

/* Pushes the error of a failed call of that client. Raises for memory. */
void error_push(lua_State *L, const Call *call, const Client *client);

/* Pushes one that is not a call's: "operation: what". */
void error_push_plain(lua_State *L, mde_error_kind kind, const char *operation, const char *what);

/* Is there a kind of that name? */
bool error_is_kind(const char *name);

/* Makes the secret unreadable in the body of an error. */
void error_hide(mde_buffer *body, mde_slice secret);

void error_register(lua_State *L);

#endif

/* Tokens from a token endpoint: the client's own call, driven like all its others.
 *
 *   login_begin(L, client_index)      signs or reads what the credential needs, and sets the call off
 *   login_take(L, client_index, call) its answer
 *   login_end(L, client_index, call)  what came of it, told to the credential and to on_event
 *
 * It takes no place and no slot of the quota. */
#ifndef MDE_BIND_LOGIN_H
#define MDE_BIND_LOGIN_H

#include "bind/call.h"

/* Each raises only for memory, and what on_event raises. */
void login_begin(lua_State *L, int client_index);
void login_take(lua_State *L, int client_index, int call_index);
void login_end(lua_State *L, int client_index, const Call *call);

/* Makes what was sent to prove who asks unreadable in the answer. */
void login_hide(Call *call);

#endif

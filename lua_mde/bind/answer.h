/* From a page's body to the call's Lua result. */
#ifndef MDE_BIND_ANSWER_H
#define MDE_BIND_ANSWER_H

#include "bind/call.h"

/* Decodes call->core.response.body, adds what it holds to the call's result, and tells the core: the
 * next page, the end or a failure. The call's userdata is at `call_index`. */
void answer_take(lua_State *L, int client_index, int call_index);

#endif

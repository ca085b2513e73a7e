/* Tokens from the script's function: asked when the credential says so, judged, and handed over.
 *
 * The function runs protected: its errors, a `nil, message`, a wrong type and a yield become the
 * credential's failure, and so kind `auth`. The event `token` tells of each asking, and `wait` of how
 * long the call that needed the token was held up by it. */
#ifndef MDE_BIND_TOKEN_H
#define MDE_BIND_TOKEN_H

#include "bind/call.h"

/* Raises only what on_event raises, and for memory. */
void token_fetch(lua_State *L, int client_index, const Call *call);

#endif

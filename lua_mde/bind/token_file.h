/* Tokens from a file that somebody else keeps fresh: read when there is none yet, and again when it has
 * changed. A token that says when it ends is not used any longer. */
#ifndef MDE_BIND_TOKEN_FILE_H
#define MDE_BIND_TOKEN_FILE_H

#include "bind/client.h"

/* Ends the fetch that the credential waits for. Raises what on_event raises, and for memory. */
void token_file_read(lua_State *L, int client_index);

#endif

/* Tokens, from wherever the client has them: asked for when the credential says so, judged, and handed
 * over.
 *
 * A script's function runs protected: its errors, a `nil, message`, a wrong type and a yield become
 * the credential's failure, and so kind `auth`. The event `token` tells of each asking, and `wait` of
 * how long the call that needed the token was held up by it. */
#ifndef MDE_BIND_TOKEN_H
#define MDE_BIND_TOKEN_H

#include "bind/call.h"

/* Begins a fetch, and ends it too unless the token comes from another machine. `call` is the one that
 * needs it; NULL: an early renewal. Raises only what on_event raises, and for memory. */
void token_fetch(lua_State *L, int client_index, const Call *call);

/* Ends the fetch with what pcall returned of a token function: whether it went well, and from `first` on two
 * results or the error. Raises what on_event raises, and for memory. */
void token_take(lua_State *L, int client_index, bool ok, int first);

/* What a token that has come says of itself, for messages. Raises for memory. */
void token_look(lua_State *L, Client *client, mde_slice token);

/* When the token that was looked at last is over; MDE_TIME_NEVER: it does not say. */
int64_t token_expiry_ms(const Client *client);

/* The end of a life of so many seconds; MDE_TIME_NEVER if it is 0, or longer than a year. */
int64_t token_end_ms(const Client *client, int64_t from_ms, double life_s);

/* That end, but not before the token can have been used once: a clock that is wrong, or an answer that was
 * slow in coming, would have tokens fetched over and over. */
int64_t token_used_once_ms(const Client *client, int64_t end_ms);

/* Takes in a token that lives until then. False: not enough memory. */
bool token_accept(Client *client, mde_slice token, int64_t expires_ms);

#endif

/* The events that `on_event` is told of, by the driver and never from inside libcurl. An error thrown
 * by the function passes through. `client_index` is the client userdata's absolute stack index. */
#ifndef MDE_BIND_EVENT_H
#define MDE_BIND_EVENT_H

#include "bind/call.h"

void event_attempt(lua_State *L, int client_index, const Call *call, const mde_outcome *outcome,
                   uint32_t attempt, size_t bytes);
void event_wait(lua_State *L, int client_index, const Call *call, mde_wait_reason reason,
                int64_t wait_ms, const char *trouble);
/* `seconds` 0: not told how long it lives. */
void event_token(lua_State *L, int client_index, bool ok, double seconds);
void event_page(lua_State *L, int client_index, const Call *call, int64_t items);

#endif

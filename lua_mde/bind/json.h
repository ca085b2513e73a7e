/* JSON by lua-cjson, through an instance of our own: the host's settings neither change nor matter.
 *
 *   json_open(L);                                       once, when the module is loaded
 *   lua_pushlstring(L, bytes, size);
 *   if (json_decode(L, reason)) ...                     the value is on top instead
 *
 * Nulls are mde.null (cjson.null); invalid numbers and nesting deeper than 64 are refused; any locale
 * will do. */
#ifndef MDE_BIND_JSON_H
#define MDE_BIND_JSON_H

#include "bind/compat.h"

#include <stdbool.h>

enum { JSON_REASON_MAX = 160 };

/* Raises if lua-cjson is not there. */
void json_open(lua_State *L);

/* Pushes mde.null. */
void json_push_null(lua_State *L);

/* Pops a string and pushes what it says, and returns true; or pushes nothing, and says in `reason`
 * (JSON_REASON_MAX + 1 bytes) why not. Raises only for memory and Ctrl-C. */
bool json_decode(lua_State *L, char *reason);

#endif

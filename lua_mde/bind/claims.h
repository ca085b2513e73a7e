/* What a token says of itself, read by lua-cjson: see core/claims.h. */
#ifndef MDE_BIND_CLAIMS_H
#define MDE_BIND_CLAIMS_H

#include "bind/compat.h"
#include "core/buffer.h"
#include "core/claims.h"

/* Nothing is known of a token that is no JWT. Raises only for memory; the token must stay meanwhile. */
void claims_read(lua_State *L, mde_slice token, mde_claims *claims);

#endif

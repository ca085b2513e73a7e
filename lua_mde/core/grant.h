/* The answer of a token endpoint, before anybody parses it: the token is cut out of the JSON, so that
 * no parser, and no garbage collector behind it, ever holds it.
 *
 *   {"token_type":"Bearer","access_token":"eyJ..."}
 *   mde_grant_cut(&body, &token)
 *   {"token_type":"Bearer","access_token":"******"}
 *
 * It looks for the first such member, whose value must be plain: no token needs an escape. Whether the
 * rest is JSON, and that member one of its own, is for the parser to say: its value is MDE_GRANT_MASK
 * over and over. */
#ifndef MDE_CORE_GRANT_H
#define MDE_CORE_GRANT_H

#include "core/buffer.h"

#define MDE_GRANT_MASK '*'

/* Moves the token into `token`; false (and nothing has changed) if there is none, or if it is none. */
bool mde_grant_cut(mde_buffer *body, mde_buffer *token);

#endif

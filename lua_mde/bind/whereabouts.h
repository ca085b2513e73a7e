/* Where the API is, where its tokens come from and for whom they must be: from the options `cloud`,
 * `base_url`, `authority` and `scope`, none of which need be given.
 *
 *   whereabouts_find(L, 1, &given, environment, &found);      raises where two of them contradict each other
 *   found.base_url, found.authority, found.audience
 *
 * A host that belongs to a cloud brings that cloud's login and audience with it. */
#ifndef MDE_BIND_WHEREABOUTS_H
#define MDE_BIND_WHEREABOUTS_H

#include "bind/compat.h"
#include "core/buffer.h"

/* As given; empty: not given. */
typedef struct whereabouts_options {
  mde_slice cloud, base_url, authority, scope;
} whereabouts_options;

/* Borrows from the options, the environment and the table of clouds. */
typedef struct whereabouts {
  mde_slice base_url, authority, audience;
} whereabouts;

/* `environment`: the login host that the environment names, or NULL. */
void whereabouts_find(lua_State *L, int argument, const whereabouts_options *given,
                      const char *environment, whereabouts *found);

#endif

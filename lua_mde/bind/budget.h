/* How a call asks its client's quota: one of ours, or one that a script made.
 *
 *   answer = budget_reserve(L, client_index, call_index, now_ms);    pushes what the answer borrows
 *   ours = budget_release(call, MDE_SLOT_ANSWERED);
 *   if (!ours) budget_tell(L, client_index, call_index, MDE_SLOT_ANSWERED);
 *   budget_learn(L, client_index, call);
 *
 * A script's quota has the methods reserve, settle, penalize and remaining (doc/quota.md). What it
 * raises is trouble of the quota, as what it returns can be: nothing is sent without it. */
#ifndef MDE_BIND_BUDGET_H
#define MDE_BIND_BUDGET_H

#include "bind/call.h"

/* Raises for an option `quota` that is no quota, or not one for this kind of client. */
void budget_check_quota(lua_State *L, int argument, bool scripted);

mde_quota_answer budget_reserve(lua_State *L, int client_index, int call_index, int64_t now_ms);
void budget_learn(lua_State *L, int client_index, const Call *call);

/* Settles without Lua, if there is a slot. False: it is of a script's quota, which must be told, or
 * else, as in a finalizer, finds out by the end of the lease. */
bool budget_release(Call *call, mde_slot_end end);
void budget_tell(lua_State *L, int client_index, int call_index, mde_slot_end end);

#endif

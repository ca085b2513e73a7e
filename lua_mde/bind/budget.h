/* How a call asks its client's quota: one of ours, or one that a script made.
 *
 *   answer = budget_reserve(L, client_index, call_index, now_ms);    pushes what the answer borrows
 *   budget_settle(L, client_index, call_index, MDE_SLOT_ANSWERED);
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
void budget_settle(lua_State *L, int client_index, int call_index, mde_slot_end end);
void budget_learn(lua_State *L, int client_index, const Call *call);

/* Settles without Lua: for finalizers. A slot of a script's quota is left to the end of its lease. */
void budget_release(Call *call, mde_slot_end end);

#endif

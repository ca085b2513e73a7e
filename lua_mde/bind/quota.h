/* The quota object: what `mde.quota{...}` makes, and what every client has one of.
 *
 * Private to this Lua state, or shared between processes by a file. The object lives as long as a
 * client uses it (it is in the client's user value); closed, it grants nothing more. Its methods are
 * in quota_methods.c; a quota that a script made is asked in budget.c. */
#ifndef MDE_BIND_QUOTA_H
#define MDE_BIND_QUOTA_H

#include "bind/compat.h"
#include "io/clock.h"
#include "io/quota_file.h"

#define QUOTA_CLASS "mde.quota"

typedef struct Quota {
  bool open, shared;
  mde_quota *own;       /* private: one for each operation */
  mde_quota_file *file; /* or shared */
  mde_clock *clock;     /* own_clock, or mde.testing's, which the user value keeps alive */
  mde_clock own_clock;
  lua_Integer slots; /* numbers of private slots that scripts have been given */
} Quota;

/* Of the user value: mde.testing's clock; the numbers of slots that are not settled. */
enum { QUOTA_CLOCK = 1, QUOTA_SLOTS = 2 };

/* `mde.quota([options])`. */
int quota_new(lua_State *L);

/* Makes one from the options at `argument`; the clock is at `clock_index`, or 0: the machine's. */
Quota *quota_create(lua_State *L, int argument, int clock_index);

/* Pushes a private one; `windows` NULL: the documented ones. */
Quota *quota_push_private(lua_State *L, const mde_windows *windows);

mde_quota_answer quota_reserve(Quota *quota, const mde_operation *operation, int64_t now_ms,
                               int64_t lease_ms, mde_file_slot *slot);
void quota_settle(Quota *quota, const mde_operation *operation, const mde_file_slot *slot,
                  mde_slot_end end, int64_t now_ms);
void quota_learn(Quota *quota, const mde_operation *operation, const mde_lesson *lesson,
                 int64_t now_ms);

/* Registers the class. */
void quota_register(lua_State *L);
/* Adds the methods to the table on top. */
void quota_set_methods(lua_State *L);

/* For mde/redis.lua: seconds of the steady clock. */
int quota_clock(lua_State *L);

/* `mde.windows(operation)`: the documented ones. */
int quota_windows(lua_State *L);

#endif

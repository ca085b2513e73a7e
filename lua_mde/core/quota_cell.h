/* The quota of one operation between processes: exact, and without a lock.
 *
 *   mde_cell_attach(&cell, now_ms);
 *   mde_cell_reserve(&cell, now_ms, lease_ms, &slot);           .granted: one request may be sent
 *   mde_cell_settle(&cell, &slot, MDE_SLOT_ANSWERED, now_ms);
 *
 * A slot in flight counts as answered at the end of its lease, in the future; settling moves that
 * moment to where it belongs. So whoever dies with a slot need not be found out.
 *
 *   read turn -> count the slots -> claim one -> turn + 1, if it is still as it was read
 *
 * Only the last step grants. If it succeeds, nobody else was granted anything since the first, so
 * the count was right, as under a lock; but nobody can die or be stopped with it. If it fails, the
 * claim is taken back. Claims make the count too high for a moment, never too low.
 *
 * Who was stopped for longer than MDE_QUOTA_FRESH_MS between asking and sending must give the slot
 * back: its lease may end before the request does. Time is passed in. */
#ifndef MDE_CORE_QUOTA_CELL_H
#define MDE_CORE_QUOTA_CELL_H

#include "core/quota.h"
#include "core/quota_slots.h"

enum {
  MDE_CELL_LEARNED_MAX = 4,
  MDE_CELL_CALLS_MAX = 10000,  /* of a window */
  MDE_LEASE_MAX_MS = 200000000 /* the longest time-out of an attempt, and more */
};

/* In shared memory, before its slots. */
typedef struct mde_cell_memory {
  mde_word turn;         /* grants so far */
  mde_word oldest;       /* about where the oldest slot is: where to look first */
  mde_word closed_until; /* by the service's Retry-After */
  mde_word next_us;      /* of a smooth pace */
  mde_word longest;      /* of anybody's windows: nobody overwrites what still counts there */
  mde_word learned[MDE_CELL_LEARNED_MAX];
} mde_cell_memory;

typedef struct mde_cell {
  mde_cell_memory *memory; /* borrows */
  mde_slots slots;
  mde_windows windows; /* this process's own */
  mde_pace pace;
  uint8_t holder;
} mde_cell;

void mde_cell_clear(const mde_cell *cell); /* before anybody shares it */
/* Tells the others of the windows, and mends what is damaged. */
void mde_cell_attach(const mde_cell *cell, int64_t now_ms);
/* Every slot that was free at that moment becomes a call of it; INT64_MIN: none. */
void mde_cell_fill(const mde_cell *cell, int64_t now_ms);
/* Takes over what `from` has counted. `rebooted`: that was by another clock. Its newest call counts
 * as one of this clock's zero, and all else keeps its distance to that. It must then be attached. */
void mde_cell_copy(const mde_cell *cell, const mde_cell *from, bool rebooted);

/* `lease_ms`: how long the request may last. Nothing is granted for longer than MDE_LEASE_MAX_MS. */
mde_quota_answer mde_cell_reserve(const mde_cell *cell, int64_t now_ms, int64_t lease_ms,
                                  mde_slot *slot);
mde_quota_answer mde_cell_ask(const mde_cell *cell, int64_t now_ms);
void mde_cell_settle(const mde_cell *cell, const mde_slot *slot, mde_slot_end end, int64_t now_ms);

void mde_cell_learn(const mde_cell *cell, const mde_lesson *lesson, int64_t now_ms);
/* What was learned of limits, and whose windows were longest: nobody else uses it. */
void mde_cell_forget(const mde_cell *cell);

/* The windows that hold for this process: its own, and what was learned. */
mde_windows mde_cell_windows(const mde_cell *cell);
uint32_t mde_cell_used(const mde_cell *cell, const mde_window *window, int64_t now_ms);
int64_t mde_cell_closed_ms(const mde_cell *cell, int64_t now_ms);

#endif

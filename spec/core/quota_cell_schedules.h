/* A quota that processes share, as a kind for schedules.h: SHARED. Several views of the same
 * memory, which crash. */
#ifndef MDE_SPEC_CORE_QUOTA_CELL_SCHEDULES_H
#define MDE_SPEC_CORE_QUOTA_CELL_SCHEDULES_H

#include "schedules.h"
#include "shared_cell.h"

static shared_cell shared;
static mde_cell cells[HOLDERS_MAX];
static uint8_t next_holder;

/* A call is kept for as long as the longest window that there is. */
static int64_t kept_ms;

static void start_holder(schedule_run *run, int holder)
{
  next_holder = next_holder == 255 ? 1 : next_holder + 1;
  cells[holder] = shared_cell_view(&shared, &run->plan.windows, next_holder);
  cells[holder].pace = run->plan.pace;
  mde_cell_attach(&cells[holder], run->now_us / MS);
}

static void make(schedule_run *run)
{
  uint32_t capacity = mde_slots_capacity(mde_windows_most_calls(&run->plan.windows));
  shared_cell_clear(&shared, capacity + (test_chance(&run->dice, 30) ? MDE_SLOTS_BLOCK : 0));
  kept_ms = mde_windows_longest(&run->plan.windows)->length_ms;
  for (int i = 0; i < run->plan.holders; i++)
    start_holder(run, i);
}

static void end(schedule_run *run)
{
  (void)run;
}

static mde_quota_answer reserve(schedule_run *run, schedule_trip *trip)
{
  return mde_cell_reserve(&cells[trip->holder], run->now_us / MS, run->lease_ms, &trip->slot);
}

static void settle(schedule_run *run, const schedule_trip *trip)
{
  mde_cell_settle(&cells[trip->holder], &trip->slot, trip->end, run->now_us / MS);
}

static bool learn(schedule_run *run, int holder, const mde_lesson *lesson)
{
  bool known = lesson->limit.length_ms <= kept_ms;
  mde_cell_learn(&cells[holder], lesson, run->now_us / MS);
  kept_ms = known ? kept_ms : lesson->limit.length_ms;
  return known;
}

/* Between claim and grant, as mde_cell_reserve does it. */
static void claim_and_die(schedule_run *run, const mde_cell *cell)
{
  int64_t now_ms = run->now_us / MS;
  mde_slot slot;
  mde_claim claim = {.since_ms = now_ms - SHARED_HELD(kept_ms) + 1,
                     .now_ms = now_ms,
                     .stamp_ms = now_ms + run->lease_ms,
                     .holder = cell->holder,
                     .first = (uint32_t)atomic_load(&shared.memory.oldest)};
  if (mde_slots_claim(&cell->slots, &claim, &slot))
    atomic_store(&shared.memory.oldest, slot.index + 1);
}

static void crash(schedule_run *run, int holder)
{
  if (test_chance(&run->dice, 50))
    claim_and_die(run, &cells[holder]);
  start_holder(run, holder);
}

static const schedule_kind SHARED = {.times_slower = 4,
                                     .is_shared = true,
                                     .make = make,
                                     .free = end,
                                     .reserve = reserve,
                                     .settle = settle,
                                     .learn = learn,
                                     .crash = crash};

#endif

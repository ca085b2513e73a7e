/* A client's private quota, as a kind for schedules.h: PRIVATE. */
#ifndef MDE_SPEC_CORE_QUOTA_SCHEDULES_H
#define MDE_SPEC_CORE_QUOTA_SCHEDULES_H

#include "schedules.h"

static mde_quota quota;

static void make(schedule_run *run)
{
  mde_quota_init(&quota, &run->memory, &run->plan.windows);
  quota.pace = run->plan.pace;
}

static void end(schedule_run *run)
{
  (void)run;
  mde_quota_free(&quota);
}

static mde_quota_answer reserve(schedule_run *run, schedule_trip *trip)
{
  (void)trip;
  return mde_quota_reserve(&quota, run->now_us / MS);
}

static void settle(schedule_run *run, const schedule_trip *trip)
{
  mde_quota_settle(&quota, trip->end, run->now_us / MS);
}

/* Of a new window with more calls than any other, the past has not been kept. */
static bool learn(schedule_run *run, int holder, const mde_lesson *lesson)
{
  (void)holder;
  bool known = lesson->limit.calls <= mde_windows_most_calls(&quota.windows);
  for (uint32_t i = 0; i < quota.windows.count; i++)
    known = known || quota.windows.window[i].length_ms == lesson->limit.length_ms;
  mde_quota_learn(&quota, lesson, run->now_us / MS);
  return known;
}

static const schedule_kind PRIVATE = {.times_slower = 1,
                                      .make = make,
                                      .free = end,
                                      .reserve = reserve,
                                      .settle = settle,
                                      .learn = learn};

#endif

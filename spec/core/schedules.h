/* A quota's promise, tried out: random schedules of clients against a model of the service that counts
 * exactly.
 *
 *   static const schedule_kind KIND = {.make = ..., .reserve = ..., ...};
 *   static schedule_run run = {.kind = &KIND};
 *   schedule_of_dice(&run, dice, REQUESTS_MAX, seed);          the seed is for messages
 *
 * A schedule has windows, holders with a number of lanes (requests in flight at once), a pattern of
 * demand, latencies and faults. Real time goes in microseconds; the quota sees whole milliseconds,
 * rounded down as a clock gives them, and the service's clock runs at a slightly other speed. A
 * request reaches the service at a random moment between its reservation and its end (an abandoned
 * one: up to MDE_QUOTA_LINGER_MS after that; one whose holder crashed: up to the end of its lease),
 * and the extremes are drawn more often than the middle.
 *
 * A holder learns nothing of what the others do but from the quota: it asks when it was told to, and
 * when it wants something or got an answer.
 *
 * The promise: in no closed interval of w does the service count more than n. */
#ifndef MDE_SPEC_CORE_SCHEDULES_H
#define MDE_SPEC_CORE_SCHEDULES_H

#include "core/quota.h"
#include "core/quota_slots.h"
#include "test.h"

enum {
  LANES_MAX = 32,
  HOLDERS_MAX = 6,
  REQUESTS_MAX = 700,
  CHECKS_MAX = 4,
  STEPS_MAX = 1000000,
  MS = 1000
};

typedef enum schedule_demand { SATURATED, BURSTS, SPARSE } schedule_demand;
typedef enum schedule_latency { NONE, SHORT, MIDDLE, LONG } schedule_latency; /* against a window */

typedef struct schedule_plan {
  mde_windows windows;
  mde_pace pace;
  int holders;
  int lanes; /* of all holders together */
  int requests;
  schedule_demand demand;
  schedule_latency latency;
  int unsent_percent, abandoned_percent, no_memory_percent, crash_percent;
  int lower_at, close_at; /* before which reservation; -1: never */
  mde_window lower_to;
  int drift_ppm; /* the service's clock against ours */
} schedule_plan;

typedef struct schedule_trip {
  int number; /* in order of reservation */
  int holder;
  mde_slot slot; /* of a quota that has them */
  int64_t reserved_us, arrived_us, settled_us, lease_end_us;
  mde_slot_end end;
} schedule_trip;

/* What the service must never see: more than `calls` in `length_ms`, of requests from `first` on;
 * `strict`: older ones are counted with them. */
typedef struct schedule_check {
  mde_window window;
  int first;
  bool strict;
} schedule_check;

typedef struct schedule_run schedule_run;

/* What is tried. All is of the one quota that this kind has. */
typedef struct schedule_kind {
  uint64_t times_slower;
  bool is_shared; /* has holders, leases, and crashes */
  void (*make)(schedule_run *run);
  void (*free)(schedule_run *run);
  mde_quota_answer (*reserve)(schedule_run *run, schedule_trip *trip);
  void (*settle)(schedule_run *run, const schedule_trip *trip);
  /* Returns whether calls of the past count in a limit, too. */
  bool (*learn)(schedule_run *run, int holder, const mde_lesson *lesson);
  /* Ends the holder with all that it has, and starts another in its place. */
  void (*crash)(schedule_run *run, int holder);
} schedule_kind;

struct schedule_run {
  const schedule_kind *kind;
  schedule_plan plan;
  test_random dice;
  test_heap heap;
  mde_memory memory;
  schedule_trip trips[REQUESTS_MAX];
  int lane[LANES_MAX]; /* the trip on it, or -1; i is of the holder i % holders */
  int sent, crashes;
  int64_t now_us, next_demand_us, opens_ms, lease_ms;
  int64_t ask_us[HOLDERS_MAX];
  int waiting; /* requests that are wanted now */
  schedule_check checks[CHECKS_MAX];
  int check_count;
};

static int64_t shortest_ms(const mde_windows *windows)
{
  int64_t shortest = windows->window[0].length_ms;
  for (uint32_t i = 1; i < windows->count; i++)
    shortest = windows->window[i].length_ms < shortest ? windows->window[i].length_ms : shortest;
  return shortest;
}

/* --- plans --- */

static mde_windows random_windows(test_random *dice)
{
  mde_windows windows = {.count = (uint32_t)test_between(dice, 1, 3)};
  int64_t length_ms = 1000 * test_between(dice, 1, test_chance(dice, 50) ? 10 : 600);
  int64_t calls = test_between(dice, 1, test_chance(dice, 50) ? 8 : 100);
  for (uint32_t i = 0; i < windows.count; i++) {
    windows.window[i] = (mde_window){length_ms, (uint32_t)calls};
    int64_t times = test_between(dice, 2, 8);
    length_ms *= times;
    calls += test_between(dice, 0, calls * times);
    calls = calls > 220 ? 220 : calls;
  }
  return windows;
}

static mde_window random_limit(test_random *dice, const mde_windows *windows)
{
  mde_window limit = windows->window[test_between(dice, 0, windows->count - 1)];
  if (test_chance(dice, 30))
    limit.length_ms = limit.length_ms / 2 * test_between(dice, 1, 5);
  limit.calls = (uint32_t)test_between(dice, 1, limit.calls * (test_chance(dice, 20) ? 2 : 1));
  return limit;
}

static int perhaps(test_random *dice, int64_t percent, int64_t most)
{
  return test_chance(dice, percent) ? (int)test_between(dice, 1, most) : 0;
}

static int random_holders(const schedule_kind *kind, test_random *dice, int lanes)
{
  int most = lanes < HOLDERS_MAX ? lanes : HOLDERS_MAX;
  return kind->is_shared ? (int)test_between(dice, 1, most) : 1;
}

static schedule_plan random_plan(const schedule_kind *kind, test_random *dice)
{
  schedule_plan plan = {.windows = random_windows(dice),
                        .lanes = (int)test_between(dice, 1, LANES_MAX),
                        .demand = (schedule_demand)test_between(dice, SATURATED, SPARSE),
                        .latency = (schedule_latency)test_between(dice, NONE, LONG),
                        .unsent_percent = perhaps(dice, 40, 50),
                        .abandoned_percent = perhaps(dice, 40, 50),
                        .no_memory_percent = perhaps(dice, 10, 50),
                        .lower_at = -1,
                        .close_at = -1,
                        .drift_ppm = (int)test_between(dice, -950, 950)};
  plan.requests = (int)test_between(dice, 20, 400);
  plan.holders = random_holders(kind, dice, plan.lanes);
  plan.crash_percent = kind->is_shared ? perhaps(dice, 50, 10) : 0;
  if (test_chance(dice, 15))
    plan.pace = (mde_pace){.smooth = true, .burst = (uint32_t)test_between(dice, 0, 50)};
  if (test_chance(dice, 40))
    plan.lower_at = (int)test_between(dice, 0, plan.requests);
  if (test_chance(dice, 20))
    plan.close_at = (int)test_between(dice, 0, plan.requests);
  plan.lower_to = random_limit(dice, &plan.windows);
  return plan;
}

/* --- trips --- */

static int64_t longest_latency_us(const schedule_plan *plan)
{
  int64_t window_us = shortest_ms(&plan->windows) * MS;
  switch (plan->latency) {
  case NONE:
    return 0;
  case SHORT:
    return window_us / 500;
  case MIDDLE:
    return window_us;
  default:
    return window_us * 3;
  }
}

static int64_t edge_or_between(test_random *dice, int64_t low, int64_t high)
{
  switch (test_between(dice, 0, 3)) {
  case 0:
    return low;
  case 1:
    return high;
  default:
    return test_between(dice, low, high);
  }
}

/* Before it is known whether it may go. */
static schedule_trip new_trip(const schedule_run *run, int holder)
{
  return (schedule_trip){.number = run->sent,
                         .holder = holder,
                         .reserved_us = run->now_us,
                         .lease_end_us = (run->now_us / MS + run->lease_ms) * MS};
}

static void send_trip(schedule_run *run, schedule_trip *trip)
{
  trip->settled_us = run->now_us + test_between(&run->dice, 0, longest_latency_us(&run->plan));
  trip->end = MDE_SLOT_ANSWERED;
  int64_t latest_us = trip->settled_us;
  if (test_chance(&run->dice, run->plan.unsent_percent))
    trip->end = MDE_SLOT_UNSENT;
  else if (test_chance(&run->dice, run->plan.abandoned_percent))
    trip->end = MDE_SLOT_ABANDONED;
  if (trip->end == MDE_SLOT_ABANDONED)
    latest_us += (int64_t)MDE_QUOTA_LINGER_MS * MS;
  trip->arrived_us = edge_or_between(&run->dice, trip->reserved_us, latest_us);
}

static int free_lane(const schedule_run *run, int holder)
{
  for (int i = holder; i < run->plan.lanes; i += run->plan.holders) {
    if (run->lane[i] < 0)
      return i;
  }
  return -1;
}

static void settle_due(schedule_run *run)
{
  for (int i = 0; i < run->plan.lanes; i++) {
    const schedule_trip *trip = run->lane[i] >= 0 ? &run->trips[run->lane[i]] : NULL;
    if (trip == NULL || trip->settled_us > run->now_us)
      continue;
    run->kind->settle(run, trip);
    run->lane[i] = -1;
    run->ask_us[trip->holder] = run->now_us;
  }
}

/* What it had sent may arrive at any time until the leases end, whatever it was about to say. */
static void crash_holder(schedule_run *run, int holder)
{
  for (int i = holder; i < run->plan.lanes; i += run->plan.holders) {
    schedule_trip *trip = run->lane[i] >= 0 ? &run->trips[run->lane[i]] : NULL;
    run->lane[i] = -1;
    if (trip == NULL)
      continue;
    trip->end = MDE_SLOT_ANSWERED;
    trip->arrived_us = edge_or_between(&run->dice, trip->reserved_us, trip->lease_end_us);
  }
  run->kind->crash(run, holder);
  run->crashes++;
}

/* --- demand --- */

static void want_more(schedule_run *run)
{
  for (int i = 0; i < run->plan.holders; i++)
    run->ask_us[i] = run->now_us;
  int64_t window_us = shortest_ms(&run->plan.windows) * MS;
  if (run->plan.demand == SATURATED) {
    run->waiting = run->plan.requests;
    run->next_demand_us = INT64_MAX;
  } else if (run->plan.demand == BURSTS) {
    run->waiting += (int)test_between(&run->dice, 1, 60);
    run->next_demand_us += test_between(&run->dice, 0, window_us * 2);
  } else {
    run->waiting += 1;
    int64_t calls = run->plan.windows.window[0].calls;
    run->next_demand_us += test_between(&run->dice, 0, window_us * 3 / calls);
  }
}

/* --- what happens in the middle --- */

static void lower_window(schedule_run *run, int holder)
{
  mde_window limit = run->plan.lower_to;
  bool strict = run->kind->learn(run, holder, &(mde_lesson){.limit = limit});
  run->checks[run->check_count++] = (schedule_check){limit, run->sent, strict};
  run->plan.lower_at = -1;
}

static void close_for_a_while(schedule_run *run, int holder)
{
  int64_t close_for_ms = test_between(&run->dice, 0, 20000);
  run->kind->learn(run, holder, &(mde_lesson){.close_for_ms = close_for_ms});
  run->opens_ms = run->now_us / MS + close_for_ms;
  run->plan.close_at = -1;
}

/* --- the run --- */

static int64_t when_to_ask_us(const schedule_run *run, const mde_quota_answer *answer)
{
  if (answer->status == MDE_NO_MEMORY)
    return run->now_us + MS;
  if (answer->wait_ms == MDE_WAIT_UNKNOWN)
    return INT64_MAX;
  return (run->now_us / MS + answer->wait_ms) * MS;
}

/* Sends what the holder may send. */
static void send_all(schedule_run *run, int holder)
{
  int lane;
  run->ask_us[holder] = INT64_MAX;
  while (run->waiting > 0 && run->sent < run->plan.requests &&
         (lane = free_lane(run, holder)) >= 0) {
    if (run->sent == run->plan.lower_at)
      lower_window(run, holder);
    if (run->sent == run->plan.close_at)
      close_for_a_while(run, holder);
    run->heap.fail_at =
        test_chance(&run->dice, run->plan.no_memory_percent) ? run->heap.allocations + 1 : 0;
    schedule_trip *trip = &run->trips[run->sent];
    *trip = new_trip(run, holder);
    mde_quota_answer answer = run->kind->reserve(run, trip);
    if (!answer.granted) {
      run->ask_us[holder] = when_to_ask_us(run, &answer);
      return;
    }
    if (run->now_us / MS < run->opens_ms)
      fail_msg("granted while closed");
    send_trip(run, trip);
    run->lane[lane] = run->sent++;
    run->waiting--;
    if (test_chance(&run->dice, run->plan.crash_percent))
      crash_holder(run, holder);
  }
}

/* Each time another one is the first. */
static void send_due(schedule_run *run)
{
  int first = (int)test_between(&run->dice, 0, run->plan.holders - 1);
  for (int i = 0; i < run->plan.holders; i++) {
    int holder = (first + i) % run->plan.holders;
    if (run->ask_us[holder] <= run->now_us)
      send_all(run, holder);
  }
}

static int64_t next_moment_us(const schedule_run *run)
{
  int64_t next_us = run->next_demand_us;
  for (int i = 0; i < run->plan.holders; i++)
    next_us = run->ask_us[i] < next_us ? run->ask_us[i] : next_us;
  for (int i = 0; i < run->plan.lanes; i++) {
    if (run->lane[i] >= 0 && run->trips[run->lane[i]].settled_us < next_us)
      next_us = run->trips[run->lane[i]].settled_us;
  }
  return next_us;
}

static void run_start(schedule_run *run, const schedule_plan *plan, test_random dice)
{
  run->plan = *plan;
  run->dice = dice;
  run->heap = (test_heap){0};
  run->memory = test_memory(&run->heap);
  for (int i = 0; i < LANES_MAX; i++)
    run->lane[i] = -1;
  for (int i = 0; i < HOLDERS_MAX; i++)
    run->ask_us[i] = INT64_MAX;
  run->sent = run->waiting = run->check_count = run->crashes = 0;
  run->opens_ms = 0;
  run->now_us = run->next_demand_us = test_between(&run->dice, 0, 10000000);
  run->lease_ms =
      longest_latency_us(plan) / MS + 1 + test_between(&run->dice, 0, shortest_ms(&plan->windows));
  for (uint32_t i = 0; i < plan->windows.count; i++)
    run->checks[run->check_count++] = (schedule_check){plan->windows.window[i], 0, true};
  run->kind->make(run);
}

static void run_through(schedule_run *run, const schedule_plan *plan, test_random dice)
{
  run_start(run, plan, dice);
  for (int step = 0; run->sent < run->plan.requests; step++) {
    if (run->now_us >= run->next_demand_us)
      want_more(run);
    settle_due(run);
    send_due(run);
    if (run->sent == run->plan.requests)
      break;
    int64_t next_us = next_moment_us(run);
    if (next_us == INT64_MAX || step == STEPS_MAX)
      fail_msg("%d of %d requests are sent, and no more will be", run->sent, run->plan.requests);
    run->now_us = next_us > run->now_us ? next_us : run->now_us;
  }
  run->kind->free(run);
  assert_int_equal(run->heap.blocks, 0);
}

/* --- the service that counts --- */

static int by_arrival(const void *one, const void *other)
{
  const schedule_trip *a = one;
  const schedule_trip *b = other;
  return (a->arrived_us > b->arrived_us) - (a->arrived_us < b->arrived_us);
}

/* In order of arrival; returns how many. */
static int collect_arrivals(const schedule_run *run, const schedule_check *check,
                            schedule_trip *arrivals)
{
  int count = 0;
  for (int i = check->strict ? 0 : check->first; i < run->sent; i++) {
    if (run->trips[i].end != MDE_SLOT_UNSENT)
      arrivals[count++] = run->trips[i];
  }
  qsort(arrivals, (size_t)count, sizeof *arrivals, by_arrival);
  return count;
}

/* Is one of the arrivals from `low` to `high` bound by the check? A request sent before a limit was
 * lowered is not, but it counts when one that was sent after it arrives. */
static bool any_bound(const schedule_check *check, const schedule_trip *arrivals, int low, int high)
{
  for (int i = low; i <= high; i++) {
    if (arrivals[i].number >= check->first)
      return true;
  }
  return false;
}

static bool check_holds(const schedule_run *run, const schedule_check *check)
{
  static schedule_trip arrivals[REQUESTS_MAX];
  int count = collect_arrivals(run, check, arrivals);
  int calls = (int)check->window.calls;
  int64_t million = 1000000;
  for (int i = calls; i < count; i++) {
    int64_t apart_us = arrivals[i].arrived_us - arrivals[i - calls].arrived_us;
    /* By the service's clock, multiplied out. */
    bool within =
        apart_us * (million + run->plan.drift_ppm) <= check->window.length_ms * MS * million;
    if (within && any_bound(check, arrivals, i - calls, i))
      return false;
  }
  return true;
}

static void assert_promise_kept(const schedule_run *run, uint64_t seed)
{
  for (int i = 0; i < run->check_count; i++) {
    const schedule_check *check = &run->checks[i];
    if (!check_holds(run, check))
      fail_msg("MDE_SEED=%llu MDE_SCHEDULES=1: more than %u calls in %lld ms",
               (unsigned long long)seed, check->window.calls, (long long)check->window.length_ms);
  }
}

/* Draws a schedule of at most so many requests, runs it and checks what the service saw. */
static void schedule_of_dice(schedule_run *run, test_random dice, int most, uint64_t seed)
{
  schedule_plan plan = random_plan(run->kind, &dice);
  plan.requests = plan.requests < most ? plan.requests : most;
  run_through(run, &plan, dice);
  assert_promise_kept(run, seed);
}

#endif

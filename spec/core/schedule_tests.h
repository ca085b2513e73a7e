/* The tests that run schedules at random; their state is the kind of quota that is tried.
 *
 *   cmocka_unit_test_prestate(the_promise_is_kept_in_every_schedule, (void *)&KIND)
 *
 * Utilisation: of saturated schedules without faults, and with latencies of at most 0.2 % of the
 * shortest window. The theoretical maximum is what an omniscient client reaches: one that has the
 * same lanes and latencies, but knows how long each request will travel, and sends it so that it
 * arrives at the very moment when the service, which counts exactly, admits it. Compared are the
 * times which both need for the same number of requests.
 *
 *   MDE_SEED=n        the first schedule's seed (the others count on from it)
 *   MDE_SCHEDULES=n   how many, divided by what the kind is slower; n is 10000 unless said */
#ifndef MDE_SPEC_CORE_SCHEDULE_TESTS_H
#define MDE_SPEC_CORE_SCHEDULE_TESTS_H

#include "schedules.h"

/* Enough requests to fill the largest window three times. */
static schedule_plan random_saturated_plan(const schedule_kind *kind, test_random *dice)
{
  schedule_plan plan = {.windows = random_windows(dice),
                        .lanes = (int)test_between(dice, 1, LANES_MAX),
                        .latency = test_chance(dice, 30) ? NONE : SHORT,
                        .lower_at = -1,
                        .close_at = -1};
  plan.holders = random_holders(kind, dice, plan.lanes);
  uint32_t calls = plan.windows.window[plan.windows.count - 1].calls;
  plan.requests = (int)calls * 3 + 30;
  plan.requests = plan.requests > REQUESTS_MAX ? REQUESTS_MAX : plan.requests;
  return plan;
}

/* --- the omniscient client --- */

static int earliest_lane(const int64_t *free_us, int lanes)
{
  int earliest = 0;
  for (int i = 1; i < lanes; i++)
    earliest = free_us[i] < free_us[earliest] ? i : earliest;
  return earliest;
}

/* When the window admits the request, after those that arrived before it. */
static int64_t admitted_us(const mde_windows *windows, const int64_t *arrived_us, int request)
{
  int64_t admitted = 0;
  for (uint32_t i = 0; i < windows->count; i++) {
    int before = request - (int)windows->window[i].calls;
    if (before < 0)
      continue;
    int64_t free_us = arrived_us[before] + windows->window[i].length_ms * MS;
    admitted = free_us > admitted ? free_us : admitted;
  }
  return admitted;
}

/* How long the omniscient client takes from its first reservation to its last arrival. */
static int64_t shortest_time_us(const schedule_run *run)
{
  int64_t free_us[LANES_MAX] = {0};
  static int64_t arrived_us[REQUESTS_MAX];
  int64_t last_us = 0;
  for (int i = 0; i < run->sent; i++) {
    const schedule_trip *trip = &run->trips[i];
    int lane = earliest_lane(free_us, run->plan.lanes);
    int64_t arrival_us = free_us[lane] + trip->arrived_us - trip->reserved_us;
    int64_t admitted = admitted_us(&run->plan.windows, arrived_us, i);
    arrival_us = admitted > arrival_us ? admitted : arrival_us;
    last_us = arrival_us > last_us ? arrival_us : last_us;
    arrived_us[i] = last_us;
    free_us[lane] = last_us + trip->settled_us - trip->arrived_us;
  }
  return last_us;
}

static double utilisation(const schedule_run *run)
{
  int64_t last_us = 0;
  for (int i = 0; i < run->sent; i++)
    last_us = run->trips[i].arrived_us > last_us ? run->trips[i].arrived_us : last_us;
  int64_t taken_us = last_us - run->trips[0].reserved_us;
  return taken_us > 0 ? (double)shortest_time_us(run) / (double)taken_us : 1.0;
}

/* --- the tests --- */

static void the_promise_is_kept_in_every_schedule(void **state)
{
  static schedule_run run;
  run.kind = *state;
  uint64_t seed = test_random_start().state;
  uint64_t schedules = test_schedules(10000) / run.kind->times_slower + 1;
  unsigned long long requests = 0, crashes = 0;
  for (uint64_t i = 0; i < schedules; i++) {
    schedule_of_dice(&run, (test_random){.state = seed + i}, REQUESTS_MAX, seed + i);
    requests += (unsigned long long)run.sent;
    crashes += (unsigned long long)run.crashes;
  }
  print_message("%llu schedules, %llu requests, %llu crashes: the promise was kept\n",
                (unsigned long long)schedules, requests, crashes);
}

static void saturated_clients_use_99_percent_of_what_an_omniscient_one_could(void **state)
{
  static schedule_run run;
  run.kind = *state;
  uint64_t seed = test_random_start().state;
  uint64_t schedules = test_schedules(10000) / run.kind->times_slower / 4 + 1;
  double least = 1.0;
  for (uint64_t i = 0; i < schedules; i++) {
    test_random dice = {.state = seed + i};
    schedule_plan plan = random_saturated_plan(run.kind, &dice);
    run_through(&run, &plan, dice);
    assert_promise_kept(&run, seed + i);
    double used = utilisation(&run);
    if (used < 0.99)
      fail_msg("MDE_SEED=%llu MDE_SCHEDULES=1: %.2f %% used", (unsigned long long)(seed + i),
               100 * used);
    least = used < least ? used : least;
  }
  print_message("%llu schedules: at least %.3f %% used\n", (unsigned long long)schedules,
                100 * least);
}

#endif

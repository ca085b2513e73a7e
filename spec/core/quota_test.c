#include "core/quota.h"
#include "test.h"

#define HELD(length_ms)                                                                            \
  ((length_ms) + (length_ms) / MDE_WINDOW_MARGIN_DIVISOR + (int64_t)MDE_WINDOW_MARGIN_MS)

static const mde_windows TWO_IN_TEN_SECONDS = {1, {{10000, 2}}};
static const mde_windows DOCUMENTED = {2, {{60000, 100}, {3600000, 1500}}};

static mde_quota start(const mde_windows *windows)
{
  mde_quota quota;
  mde_quota_init(&quota, &mde_memory_system, windows);
  return quota;
}

static void take(mde_quota *quota, int64_t now_ms)
{
  mde_quota_answer answer = mde_quota_reserve(quota, now_ms);
  assert_int_equal(answer.status, MDE_OK);
  assert_true(answer.granted);
  assert_int_equal(answer.wait_ms, 0);
}

/* Takes a slot and gets the answer at once. */
static void spend(mde_quota *quota, int64_t now_ms)
{
  take(quota, now_ms);
  mde_quota_settle(quota, MDE_SLOT_ANSWERED, now_ms);
}

static void assert_refused(mde_quota *quota, int64_t now_ms, int64_t wait_ms)
{
  mde_quota_answer answer = mde_quota_reserve(quota, now_ms);
  assert_int_equal(answer.status, MDE_OK);
  assert_false(answer.granted);
  assert_false(answer.closed);
  assert_int_equal(answer.wait_ms, wait_ms);
}

/* Refused with a wait that is exact: one ms less will not do. */
static void assert_free_at(mde_quota *quota, int64_t now_ms, int64_t free_ms)
{
  assert_refused(quota, now_ms, free_ms - now_ms);
  assert_refused(quota, free_ms - 1, 1);
  take(quota, free_ms);
}

static void close_for(mde_quota *quota, int64_t close_for_ms)
{
  mde_quota_learn(quota, &(mde_lesson){.close_for_ms = close_for_ms}, 0);
}

static void lower(mde_quota *quota, int64_t length_ms, uint32_t calls)
{
  mde_quota_learn(quota, &(mde_lesson){.limit = {length_ms, calls}}, 0);
}

static void keeps_the_example_of_the_header(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  take(&quota, 1000);
  assert_refused(&quota, 2000, MDE_WAIT_UNKNOWN);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 4000);
  assert_refused(&quota, 4500, 4000 + HELD(10000) - 4500);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 5000);
  assert_free_at(&quota, 5000, 4000 + HELD(10000));
  assert_free_at(&quota, 4000 + HELD(10000), 5000 + HELD(10000));
  mde_quota_free(&quota);
}

static void grants_a_whole_burst_at_once(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  for (int i = 0; i < 100; i++)
    take(&quota, 7);
  assert_refused(&quota, 7, MDE_WAIT_UNKNOWN);
  mde_quota_free(&quota);
}

static void grants_everything_without_windows(void **state)
{
  (void)state;
  test_heap heap = {.fail_at = 1, .fail_for_good = true};
  mde_memory memory = test_memory(&heap);
  mde_windows none = {0};
  mde_quota quota;
  mde_quota_init(&quota, &memory, &none);
  for (int i = 0; i < 1000; i++)
    spend(&quota, 0);
  assert_int_equal(heap.allocations, 0);
  mde_quota_free(&quota);
}

static void a_slot_in_flight_never_expires(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  take(&quota, 0);
  assert_refused(&quota, INT64_C(1000000000), MDE_WAIT_UNKNOWN);
  mde_quota_free(&quota);
}

static void an_unsent_slot_is_given_back(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  take(&quota, 0);
  mde_quota_settle(&quota, MDE_SLOT_UNSENT, 10);
  take(&quota, 10);
  mde_quota_settle(&quota, MDE_SLOT_UNSENT, 20);
  mde_quota_settle(&quota, MDE_SLOT_UNSENT, 20);
  spend(&quota, 20);
  spend(&quota, 20);
  assert_free_at(&quota, 20, 20 + HELD(10000));
  mde_quota_free(&quota);
}

static void an_abandoned_request_lingers(void **state)
{
  (void)state;
  mde_windows one = {1, {{10000, 1}}};
  mde_quota quota = start(&one);
  take(&quota, 0);
  mde_quota_settle(&quota, MDE_SLOT_ABANDONED, 100);
  assert_free_at(&quota, 100, 100 + MDE_QUOTA_LINGER_MS + HELD(10000));
  mde_quota_free(&quota);
}

static void an_answer_after_an_abandoned_request_does_not_free_it_early(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  take(&quota, 0);
  mde_quota_settle(&quota, MDE_SLOT_ABANDONED, 100);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 200);
  int64_t free_ms = 100 + MDE_QUOTA_LINGER_MS + HELD(10000);
  assert_free_at(&quota, 200, free_ms);
  take(&quota, free_ms);
  mde_quota_free(&quota);
}

static void the_longer_window_holds_when_the_shorter_is_free(void **state)
{
  (void)state;
  mde_windows windows = {2, {{1000, 2}, {10000, 3}}};
  mde_quota quota = start(&windows);
  spend(&quota, 0);
  spend(&quota, 500);
  assert_free_at(&quota, 600, HELD(1000));
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 1100);
  assert_free_at(&quota, 1200, HELD(10000));
  mde_quota_free(&quota);
}

static void the_hour_of_the_documented_limit_holds(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  int64_t now_ms = 0;
  for (int minute = 0; minute < 15; minute++, now_ms += HELD(60000)) {
    for (int i = 0; i < 100; i++)
      spend(&quota, now_ms);
  }
  assert_free_at(&quota, now_ms, HELD(3600000));
  mde_quota_free(&quota);
}

static void a_closed_quota_refuses_until_it_opens(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  close_for(&quota, 5000);
  mde_quota_answer answer = mde_quota_reserve(&quota, 4999);
  assert_false(answer.granted);
  assert_true(answer.closed);
  assert_int_equal(answer.wait_ms, 1);
  take(&quota, 5000);
  mde_quota_free(&quota);
}

static void an_earlier_closing_is_never_shortened(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  close_for(&quota, 5000);
  close_for(&quota, 3000);
  assert_int_equal(mde_quota_reserve(&quota, 0).wait_ms, 5000);
  close_for(&quota, 6000);
  assert_int_equal(mde_quota_reserve(&quota, 0).wait_ms, 6000);
  mde_quota_free(&quota);
}

static void closing_holds_without_windows_too(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_quota quota = start(&none);
  close_for(&quota, 5000);
  assert_true(mde_quota_reserve(&quota, 4999).closed);
  take(&quota, 5000);
  mde_quota_free(&quota);
}

/* A wait that is too short would let a call begin it against its budget, to fail at its end. */
static void a_closed_quota_that_is_full_names_the_longer_wait(void **state)
{
  (void)state;
  static const struct {
    int64_t until_ms, wait_ms;
    bool closed;
  } cases[] = {{5000, HELD(10000), false}, {50000, 50000, true}, {HELD(10000), HELD(10000), true}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_quota quota = start(&TWO_IN_TEN_SECONDS);
    spend(&quota, 0);
    spend(&quota, 0);
    close_for(&quota, cases[i].until_ms);
    mde_quota_answer answer = mde_quota_reserve(&quota, 0);
    assert_int_equal(answer.wait_ms, cases[i].wait_ms);
    assert_int_equal(answer.closed, cases[i].closed);
    take(&quota, cases[i].wait_ms);
    mde_quota_free(&quota);
  }
}

static void a_closed_quota_with_all_slots_in_flight_names_the_opening(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  take(&quota, 0);
  close_for(&quota, 5000);
  assert_int_equal(mde_quota_reserve(&quota, 0).wait_ms, 5000);
  assert_true(mde_quota_reserve(&quota, 0).closed);
  mde_quota_free(&quota);
}

static void a_lowered_window_counts_what_was_sent_before(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  for (int i = 0; i < 60; i++)
    spend(&quota, i * 10);
  lower(&quota, 60000, 45);
  assert_free_at(&quota, 1000, 150 + HELD(60000)); /* the 16th is the 45th latest */
  mde_quota_free(&quota);
}

static void lowering_below_what_is_in_flight_waits_for_it(void **state)
{
  (void)state;
  mde_windows windows = {1, {{10000, 5}}};
  mde_quota quota = start(&windows);
  for (int i = 0; i < 5; i++)
    take(&quota, 0);
  lower(&quota, 10000, 2);
  for (int i = 1; i <= 4; i++) {
    mde_quota_settle(&quota, MDE_SLOT_ANSWERED, i * 100);
    assert_refused(&quota, i * 100, i < 4 ? MDE_WAIT_UNKNOWN : HELD(10000));
  }
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 500);
  assert_free_at(&quota, 500, 400 + HELD(10000));
  mde_quota_free(&quota);
}

static void an_unknown_length_becomes_a_window(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  spend(&quota, 0);
  lower(&quota, 60000, 1);
  assert_free_at(&quota, 1, HELD(60000));
  mde_quota_free(&quota);
}

/* The ring of stamps has wrapped by then, and must grow without losing their order. */
static void an_unknown_length_with_more_calls_becomes_a_window_too(void **state)
{
  (void)state;
  mde_windows windows = {1, {{1000, 20}}};
  mde_quota quota = start(&windows);
  int64_t now_ms = 0;
  for (int i = 0; i < 50; i++, now_ms += 100)
    spend(&quota, now_ms);
  lower(&quota, 3600000, 60);
  int64_t oldest_ms = now_ms - 2000; /* of the 20 that the ring held */
  for (int i = 0; i < 40; i++, now_ms += 100)
    spend(&quota, now_ms);
  assert_free_at(&quota, now_ms, oldest_ms + HELD(3600000));
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, oldest_ms + HELD(3600000));
  assert_free_at(&quota, oldest_ms + HELD(3600000), oldest_ms + 100 + HELD(3600000));
  mde_quota_free(&quota);
}

static void a_clock_that_went_back_frees_nothing(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  spend(&quota, 1000);
  spend(&quota, 500);
  assert_free_at(&quota, 500, 1000 + HELD(10000));
  mde_quota_free(&quota);
}

static void memory_grows_with_use_only(void **state)
{
  (void)state;
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_windows windows = {1, {{60000, MDE_WINDOW_CALLS_MAX}}};
  mde_quota quota;
  mde_quota_init(&quota, &memory, &windows);
  for (int i = 0; i < 100; i++)
    spend(&quota, i);
  assert_true(heap.largest <= 128 * sizeof(int64_t));
  for (int i = 100; i < MDE_WINDOW_CALLS_MAX; i++)
    spend(&quota, 100);
  assert_free_at(&quota, 100, HELD(60000));
  assert_int_equal(heap.largest, MDE_WINDOW_CALLS_MAX * sizeof(int64_t));
  mde_quota_free(&quota);
  assert_int_equal(heap.blocks, 0);
}

static void free_may_be_called_twice(void **state)
{
  (void)state;
  mde_quota zeroed = {0};
  mde_quota_free(&zeroed);
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  spend(&quota, 0);
  mde_quota_free(&quota);
  mde_quota_free(&quota);
}

/* Without memory nothing is granted and nothing is lost: the slots add up as if never asked. */
static void every_allocation_may_fail(void **state)
{
  (void)state;
  for (size_t k = 1; k <= 8; k++) {
    test_heap heap = {.fail_at = k};
    mde_memory memory = test_memory(&heap);
    mde_quota quota;
    mde_quota_init(&quota, &memory, &DOCUMENTED);
    int granted = 0;
    int without_memory = 0;
    for (int i = 0; i < 110; i++) {
      mde_quota_answer answer = mde_quota_reserve(&quota, 0);
      granted += answer.granted;
      without_memory += answer.status == MDE_NO_MEMORY;
      assert_false(answer.granted && answer.status != MDE_OK);
      if (answer.granted)
        mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 0);
    }
    assert_int_equal(granted, 100);
    assert_int_equal(without_memory, k <= 4 ? 1 : 0); /* rings of 16, 32, 64 and 128 stamps */
    assert_int_equal(quota.in_flight, 0);
    mde_quota_free(&quota);
    assert_int_equal(heap.blocks, 0);
  }
}

static void settling_twice_takes_nothing_from_others(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  for (int i = 0; i < 3; i++)
    mde_quota_settle(&quota, (mde_slot_end)i, 0);
  assert_int_equal(quota.in_flight, 0);
  assert_int_equal(quota.count, 0); /* the first said "unsent" */
  take(&quota, 0);
  take(&quota, 0);
  assert_refused(&quota, 0, MDE_WAIT_UNKNOWN);
  mde_quota_free(&quota);
}

static void a_quota_that_was_never_asked_can_be_settled(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 0);
  assert_int_equal(mde_quota_used(&quota, &DOCUMENTED.window[0], 0), 0);
  mde_quota_free(&quota);
}

/* --- asking and counting --- */

static void assert_asks(const mde_quota *quota, int64_t now_ms, int64_t wait_ms)
{
  mde_quota_answer answer = mde_quota_ask(quota, now_ms);
  assert_int_equal(answer.status, MDE_OK);
  assert_false(answer.granted);
  assert_int_equal(answer.wait_ms, wait_ms);
}

static void asking_takes_no_slot(void **state)
{
  (void)state;
  test_heap heap = {.fail_at = 1, .fail_for_good = true};
  mde_memory memory = test_memory(&heap);
  mde_quota quota;
  mde_quota_init(&quota, &memory, &TWO_IN_TEN_SECONDS);
  for (int i = 0; i < 1000; i++)
    assert_asks(&quota, 0, 0);
  assert_int_equal(heap.allocations, 0);
  assert_int_equal(quota.in_flight, 0);
  mde_quota_free(&quota);
}

static void asking_is_told_what_a_reservation_would_be(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  take(&quota, 0);
  assert_asks(&quota, 0, 0);
  take(&quota, 0);
  assert_asks(&quota, 0, MDE_WAIT_UNKNOWN);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 100);
  assert_asks(&quota, 200, 100 + HELD(10000) - 200);
  assert_asks(&quota, 100 + HELD(10000), 0);
  close_for(&quota, 50000);
  assert_asks(&quota, 200, 50000 - 200);
  assert_true(mde_quota_ask(&quota, 200).closed);
  mde_quota_free(&quota);
}

static void assert_used(const mde_quota *quota, int64_t length_ms, int64_t now_ms, uint32_t used)
{
  mde_window window = {length_ms, 1};
  assert_int_equal(mde_quota_used(quota, &window, now_ms), used);
}

static void a_call_is_used_in_flight_and_a_window_from_its_answer_on(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  assert_used(&quota, 60000, 0, 0);
  take(&quota, 0);
  assert_used(&quota, 60000, 0, 1);
  assert_used(&quota, 60000, 1000000, 1);
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, 1000000);
  assert_used(&quota, 60000, 1000000 + HELD(60000) - 1, 1);
  assert_used(&quota, 60000, 1000000 + HELD(60000), 0);
  assert_used(&quota, 3600000, 1000000 + HELD(3600000) - 1, 1);
  assert_used(&quota, 3600000, 1000000 + HELD(3600000), 0);
  mde_quota_free(&quota);
}

static void an_abandoned_call_is_used_and_an_unsent_one_is_not(void **state)
{
  (void)state;
  mde_quota quota = start(&DOCUMENTED);
  take(&quota, 0);
  take(&quota, 0);
  mde_quota_settle(&quota, MDE_SLOT_UNSENT, 0);
  assert_used(&quota, 60000, 0, 1);
  mde_quota_settle(&quota, MDE_SLOT_ABANDONED, 0);
  assert_used(&quota, 60000, MDE_QUOTA_LINGER_MS + HELD(60000) - 1, 1);
  assert_used(&quota, 60000, MDE_QUOTA_LINGER_MS + HELD(60000), 0);
  mde_quota_free(&quota);
}

static void used_is_right_when_the_ring_has_wrapped(void **state)
{
  (void)state;
  mde_windows windows = {1, {{1000, 20}}};
  mde_quota quota = start(&windows);
  for (int i = 0; i < 50; i++)
    spend(&quota, i * 100);
  for (int i = 0; i < 20; i++)
    assert_used(&quota, 1000, 4900 + HELD(1000) - i * 100 - 1, (uint32_t)i + 1);
  mde_quota_free(&quota);
}

/* --- a smooth pace --- */

static const mde_windows SIXTY_IN_A_MINUTE = {1, {{60000, 60}}};

static mde_quota start_smooth(const mde_windows *windows, uint32_t burst)
{
  mde_quota quota = start(windows);
  quota.pace = (mde_pace){.smooth = true, .burst = burst};
  return quota;
}

/* In whole milliseconds, rounded up: the k-th moment after a start at 0. */
static int64_t moment_ms(int k, const mde_window *window)
{
  int64_t interval_us = HELD(window->length_ms) * 1000 / window->calls;
  return (k * interval_us + 999) / 1000;
}

static void a_smooth_pace_lets_a_burst_go_and_spreads_the_rest_evenly(void **state)
{
  (void)state;
  mde_quota quota = start_smooth(&SIXTY_IN_A_MINUTE, 10);
  int64_t now_ms = 0;
  for (int i = 0; i < 10; i++)
    spend(&quota, 0);
  for (int k = 1; k <= 50; k++) {
    int64_t free_ms = moment_ms(k, &SIXTY_IN_A_MINUTE.window[0]);
    assert_free_at(&quota, now_ms, free_ms);
    mde_quota_settle(&quota, MDE_SLOT_ANSWERED, free_ms);
    now_ms = free_ms;
  }
  assert_free_at(&quota, now_ms, HELD(60000)); /* the window is full */
  mde_quota_free(&quota);
}

static void a_call_that_comes_late_by_less_than_an_interval_does_not_delay_the_next(void **state)
{
  (void)state;
  mde_quota quota = start_smooth(&SIXTY_IN_A_MINUTE, 1);
  spend(&quota, 0);
  spend(&quota, 1900); /* due at 1001.05 */
  assert_free_at(&quota, 1900, 2003);
  spend(&quota, 10000); /* too late by far */
  assert_free_at(&quota, 10000, 11002);
  mde_quota_free(&quota);
}

static void a_smooth_pace_has_a_burst_again_after_an_idle_window(void **state)
{
  (void)state;
  mde_quota quota = start_smooth(&SIXTY_IN_A_MINUTE, 10);
  for (int i = 0; i < 10; i++)
    spend(&quota, 0);
  assert_refused(&quota, 0, 1002);
  for (int i = 0; i < 10; i++)
    spend(&quota, HELD(60000));
  assert_refused(&quota, HELD(60000), 1002);
  mde_quota_free(&quota);
}

static void the_slots_in_flight_are_of_the_burst(void **state)
{
  (void)state;
  mde_quota quota = start_smooth(&SIXTY_IN_A_MINUTE, 2);
  take(&quota, 0);
  take(&quota, 0);
  assert_free_at(&quota, 0, 1002);
  mde_quota_free(&quota);
}

static void a_smooth_pace_keeps_the_shorter_windows_too(void **state)
{
  (void)state;
  mde_windows windows = {2, {{1000, 2}, {60000, 60}}};
  mde_quota quota = start_smooth(&windows, 10);
  spend(&quota, 0);
  spend(&quota, 0);
  assert_free_at(&quota, 0, HELD(1000));
  mde_quota_free(&quota);
}

static void of_a_closed_window_and_the_pace_the_longer_wait_is_named(void **state)
{
  (void)state;
  mde_windows windows = {2, {{100, 1}, {60000, 60}}};
  mde_quota quota = start_smooth(&windows, 1);
  spend(&quota, 0);
  assert_free_at(&quota, 0, 1002);
  mde_quota_free(&quota);
}

static void without_windows_there_is_nothing_to_pace(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_quota quota = start_smooth(&none, 0);
  for (int i = 0; i < 100; i++)
    spend(&quota, 0);
  mde_quota_free(&quota);
}

static void a_smooth_pace_uses_99_percent_in_the_long_run(void **state)
{
  (void)state;
  enum { CALLS = 6000, HUNDRED_WINDOWS_MS = 6000000 };
  mde_quota quota = start_smooth(&SIXTY_IN_A_MINUTE, 10);
  int64_t now_ms = 0;
  int calls = 0;
  while (now_ms < HUNDRED_WINDOWS_MS) {
    mde_quota_answer answer = mde_quota_reserve(&quota, now_ms);
    if (answer.granted)
      mde_quota_settle(&quota, MDE_SLOT_ANSWERED, now_ms);
    calls += answer.granted;
    now_ms += answer.wait_ms;
  }
  assert_true(calls >= CALLS * 99 / 100);
  assert_true(calls <= CALLS + 60);
  mde_quota_free(&quota);
}

/* --- the promised waits are exact, whatever happened before --- */

static mde_quota copy_of(const mde_quota *quota)
{
  mde_quota copy = *quota;
  copy.memory = &mde_memory_system;
  copy.stamps = NULL;
  if (quota->size > 0) {
    copy.stamps = malloc(quota->size * sizeof *quota->stamps);
    assert_non_null(copy.stamps);
    memcpy(copy.stamps, quota->stamps, quota->size * sizeof *quota->stamps);
  }
  return copy;
}

static bool granted_at(const mde_quota *quota, int64_t now_ms)
{
  mde_quota copy = copy_of(quota);
  bool granted = mde_quota_reserve(&copy, now_ms).granted;
  mde_quota_free(&copy);
  return granted;
}

static void shuffle(mde_quota *quota, test_random *dice, int64_t now_ms)
{
  if (quota->in_flight > 0 && test_chance(dice, 60))
    mde_quota_settle(quota, (mde_slot_end)test_between(dice, 0, 2), now_ms);
  if (test_chance(dice, 1))
    mde_quota_learn(quota, &(mde_lesson){.close_for_ms = test_between(dice, 0, 5000)}, now_ms);
  if (test_chance(dice, 1))
    lower(quota, test_between(dice, 1, 9) * 1000, (uint32_t)test_between(dice, 1, 40));
}

static void a_wait_is_exact_when_nothing_else_happens(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int waits = 0;
  for (int run = 0; run < 300; run++) {
    mde_windows windows = {2,
                           {{1000, (uint32_t)test_between(&dice, 1, 30)},
                            {5000, (uint32_t)test_between(&dice, 1, 60)}}};
    mde_quota quota = start(&windows);
    int64_t now_ms = 0;
    for (int i = 0; i < 300; i++, now_ms += test_between(&dice, 0, 60)) {
      shuffle(&quota, &dice, now_ms);
      mde_quota_answer answer = mde_quota_reserve(&quota, now_ms);
      assert_int_equal(answer.granted, answer.wait_ms == 0);
      if (answer.granted || answer.wait_ms == MDE_WAIT_UNKNOWN)
        continue;
      assert_false(granted_at(&quota, now_ms + answer.wait_ms - 1));
      /* Behind a closing there may be the unknown: slots that are all in flight. */
      bool blocked = answer.closed && !granted_at(&quota, INT64_MAX / 2);
      assert_int_equal(granted_at(&quota, now_ms + answer.wait_ms), !blocked);
      waits++;
    }
    mde_quota_free(&quota);
  }
  assert_true(waits > 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_the_example_of_the_header),
      cmocka_unit_test(grants_a_whole_burst_at_once),
      cmocka_unit_test(grants_everything_without_windows),
      cmocka_unit_test(a_slot_in_flight_never_expires),
      cmocka_unit_test(an_unsent_slot_is_given_back),
      cmocka_unit_test(an_abandoned_request_lingers),
      cmocka_unit_test(an_answer_after_an_abandoned_request_does_not_free_it_early),
      cmocka_unit_test(the_longer_window_holds_when_the_shorter_is_free),
      cmocka_unit_test(the_hour_of_the_documented_limit_holds),
      cmocka_unit_test(a_closed_quota_refuses_until_it_opens),
      cmocka_unit_test(an_earlier_closing_is_never_shortened),
      cmocka_unit_test(closing_holds_without_windows_too),
      cmocka_unit_test(a_closed_quota_that_is_full_names_the_longer_wait),
      cmocka_unit_test(a_closed_quota_with_all_slots_in_flight_names_the_opening),
      cmocka_unit_test(a_lowered_window_counts_what_was_sent_before),
      cmocka_unit_test(lowering_below_what_is_in_flight_waits_for_it),
      cmocka_unit_test(an_unknown_length_becomes_a_window),
      cmocka_unit_test(an_unknown_length_with_more_calls_becomes_a_window_too),
      cmocka_unit_test(a_clock_that_went_back_frees_nothing),
      cmocka_unit_test(memory_grows_with_use_only),
      cmocka_unit_test(free_may_be_called_twice),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(settling_twice_takes_nothing_from_others),
      cmocka_unit_test(a_quota_that_was_never_asked_can_be_settled),
      cmocka_unit_test(asking_takes_no_slot),
      cmocka_unit_test(asking_is_told_what_a_reservation_would_be),
      cmocka_unit_test(a_call_is_used_in_flight_and_a_window_from_its_answer_on),
      cmocka_unit_test(an_abandoned_call_is_used_and_an_unsent_one_is_not),
      cmocka_unit_test(used_is_right_when_the_ring_has_wrapped),
      cmocka_unit_test(a_smooth_pace_lets_a_burst_go_and_spreads_the_rest_evenly),
      cmocka_unit_test(a_call_that_comes_late_by_less_than_an_interval_does_not_delay_the_next),
      cmocka_unit_test(a_smooth_pace_has_a_burst_again_after_an_idle_window),
      cmocka_unit_test(the_slots_in_flight_are_of_the_burst),
      cmocka_unit_test(a_smooth_pace_keeps_the_shorter_windows_too),
      cmocka_unit_test(of_a_closed_window_and_the_pace_the_longer_wait_is_named),
      cmocka_unit_test(without_windows_there_is_nothing_to_pace),
      cmocka_unit_test(a_smooth_pace_uses_99_percent_in_the_long_run),
      cmocka_unit_test(a_wait_is_exact_when_nothing_else_happens),
  };
  return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}

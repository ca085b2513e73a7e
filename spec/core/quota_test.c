#include "core/quota.h"
#include "test.h"

#define HELD(length_ms)                                                                            \
  ((length_ms) + (length_ms) / MDE_QUOTA_MARGIN_DIVISOR + (int64_t)MDE_QUOTA_MARGIN_MS)

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
  mde_quota_close_until(&quota, 5000);
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
  mde_quota_close_until(&quota, 5000);
  mde_quota_close_until(&quota, 3000);
  assert_int_equal(mde_quota_reserve(&quota, 0).wait_ms, 5000);
  mde_quota_close_until(&quota, 6000);
  assert_int_equal(mde_quota_reserve(&quota, 0).wait_ms, 6000);
  mde_quota_free(&quota);
}

static void closing_holds_without_windows_too(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_quota quota = start(&none);
  mde_quota_close_until(&quota, 5000);
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
  } cases[] = {{5000, HELD(10000), false}, {50000, 50000, true}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_quota quota = start(&TWO_IN_TEN_SECONDS);
    spend(&quota, 0);
    spend(&quota, 0);
    mde_quota_close_until(&quota, cases[i].until_ms);
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
  mde_quota_close_until(&quota, 5000);
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
  mde_quota_lower(&quota, (mde_window){60000, 45});
  assert_free_at(&quota, 1000, 150 + HELD(60000)); /* the 16th is the 45th latest */
  mde_quota_free(&quota);
}

static void a_window_is_never_raised(void **state)
{
  (void)state;
  mde_quota quota = start(&TWO_IN_TEN_SECONDS);
  mde_quota_lower(&quota, (mde_window){10000, 50});
  take(&quota, 0);
  take(&quota, 0);
  assert_refused(&quota, 0, MDE_WAIT_UNKNOWN);
  mde_quota_free(&quota);
}

static void lowering_below_what_is_in_flight_waits_for_it(void **state)
{
  (void)state;
  mde_windows windows = {1, {{10000, 5}}};
  mde_quota quota = start(&windows);
  for (int i = 0; i < 5; i++)
    take(&quota, 0);
  mde_quota_lower(&quota, (mde_window){10000, 2});
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
  mde_quota_lower(&quota, (mde_window){60000, 1});
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
  mde_quota_lower(&quota, (mde_window){3600000, 60});
  int64_t oldest_ms = now_ms - 2000; /* of the 20 that the ring held */
  for (int i = 0; i < 40; i++, now_ms += 100)
    spend(&quota, now_ms);
  assert_free_at(&quota, now_ms, oldest_ms + HELD(3600000));
  mde_quota_settle(&quota, MDE_SLOT_ANSWERED, oldest_ms + HELD(3600000));
  assert_free_at(&quota, oldest_ms + HELD(3600000), oldest_ms + 100 + HELD(3600000));
  mde_quota_free(&quota);
}

static void nothing_is_lowered_where_no_limit_is_wanted(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_quota quota = start(&none);
  mde_quota_lower(&quota, (mde_window){60000, 1});
  take(&quota, 0);
  take(&quota, 0);
  mde_quota_free(&quota);
}

static void no_more_windows_than_there_is_room_for(void **state)
{
  (void)state;
  mde_windows windows = {1, {{1000, 100}}};
  mde_quota quota = start(&windows);
  for (int i = 2; i < 20; i++)
    mde_quota_lower(&quota, (mde_window){i * 1000, 100});
  assert_int_equal(quota.windows.count, MDE_WINDOWS_MAX);
  mde_quota_lower(&quota, (mde_window){2000, 1});
  assert_int_equal(quota.windows.window[1].calls, 1);
  take(&quota, 0);
  assert_refused(&quota, 0, MDE_WAIT_UNKNOWN);
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
    mde_quota_close_until(quota, now_ms + test_between(dice, 0, 5000));
  if (test_chance(dice, 1))
    mde_quota_lower(
        quota, (mde_window){test_between(dice, 1, 9) * 1000, (uint32_t)test_between(dice, 1, 40)});
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
      cmocka_unit_test(a_window_is_never_raised),
      cmocka_unit_test(lowering_below_what_is_in_flight_waits_for_it),
      cmocka_unit_test(an_unknown_length_becomes_a_window),
      cmocka_unit_test(an_unknown_length_with_more_calls_becomes_a_window_too),
      cmocka_unit_test(nothing_is_lowered_where_no_limit_is_wanted),
      cmocka_unit_test(no_more_windows_than_there_is_room_for),
      cmocka_unit_test(a_clock_that_went_back_frees_nothing),
      cmocka_unit_test(memory_grows_with_use_only),
      cmocka_unit_test(free_may_be_called_twice),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(a_wait_is_exact_when_nothing_else_happens),
  };
  return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}

#include "core/pace.h"
#include "test.h"

static const mde_window HOUR = {3600000, 1500}; /* held for 3603603 ms: one every 2402.402 ms */
enum { INTERVAL_US = 2402402 };

static void a_burst_counts_in_a_window_as_long_as_the_longest(void **state)
{
  (void)state;
  mde_pace pace = {.smooth = true, .burst = 100};
  mde_window burst = mde_pace_burst_window(&pace, &HOUR);
  assert_int_equal(burst.length_ms, HOUR.length_ms);
  assert_int_equal(burst.calls, 100);
}

static void a_wait_is_rounded_up_to_whole_milliseconds(void **state)
{
  (void)state;
  static const struct {
    int64_t next_us, now_ms, wait_ms;
  } cases[] = {{0, 0, 0},    {1, 0, 1},    {1000, 0, 1},  {1001, 0, 2},    {5000, 5, 0},
               {5001, 5, 1}, {4999, 5, 0}, {-7000, 5, 0}, {7000, 1000, 0}, {7000000, 6999, 1}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++)
    assert_int_equal(mde_pace_wait_ms(cases[i].next_us, cases[i].now_ms), cases[i].wait_ms);
}

static void a_call_on_time_keeps_the_schedule(void **state)
{
  (void)state;
  assert_int_equal(mde_pace_next_us(9000000, &HOUR, 9000), 9000000 + INTERVAL_US);
}

static void a_call_that_is_a_little_late_keeps_it_too(void **state)
{
  (void)state;
  assert_int_equal(mde_pace_next_us(8999999, &HOUR, 9000), 8999999 + INTERVAL_US);
  int64_t latest_us = 9000000 - (INTERVAL_US - 1);
  assert_int_equal(mde_pace_next_us(latest_us, &HOUR, 9000), latest_us + INTERVAL_US);
}

static void a_call_that_is_late_by_an_interval_begins_anew(void **state)
{
  (void)state;
  int64_t missed_us = 9000000 - INTERVAL_US;
  assert_int_equal(mde_pace_next_us(missed_us, &HOUR, 9000), 9000000 + INTERVAL_US);
  assert_int_equal(mde_pace_next_us(0, &HOUR, 9000), 9000000 + INTERVAL_US);
}

static void after_a_call_of_the_burst_an_interval_passes(void **state)
{
  (void)state;
  assert_int_equal(mde_pace_next_us(9000001, &HOUR, 9000), 9000000 + INTERVAL_US);
  assert_int_equal(mde_pace_next_us(9000000 + INTERVAL_US, &HOUR, 9000), 9000000 + INTERVAL_US);
}

/* Each is late by the rounding of its wait; it must not add up. */
static void a_thousand_calls_take_a_thousand_intervals(void **state)
{
  (void)state;
  static const mde_window many = {3600000, 100000}; /* 36036.03 us */
  int64_t now_ms = 0, next_us = 0;
  for (int i = 0; i < 1000; i++) {
    now_ms += mde_pace_wait_ms(next_us, now_ms);
    next_us = mde_pace_next_us(next_us, &many, now_ms);
  }
  assert_int_equal(next_us, 1000 * INT64_C(36036));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_burst_counts_in_a_window_as_long_as_the_longest),
      cmocka_unit_test(a_wait_is_rounded_up_to_whole_milliseconds),
      cmocka_unit_test(a_call_on_time_keeps_the_schedule),
      cmocka_unit_test(a_call_that_is_a_little_late_keeps_it_too),
      cmocka_unit_test(a_call_that_is_late_by_an_interval_begins_anew),
      cmocka_unit_test(after_a_call_of_the_burst_an_interval_passes),
      cmocka_unit_test(a_thousand_calls_take_a_thousand_intervals),
  };
  return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}

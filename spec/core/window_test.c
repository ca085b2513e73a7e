#include "core/window.h"
#include "test.h"

static const mde_windows DOCUMENTED = {2, {{60000, 100}, {3600000, 1500}}};

static void a_call_counts_for_a_thousandth_and_three_ms_longer(void **state)
{
  (void)state;
  static const struct {
    int64_t length_ms, held_ms;
  } cases[] = {{1, 4}, {999, 1002}, {1000, 1004}, {60000, 60063}, {3600000, 3603603}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_window window = {cases[i].length_ms, 1};
    assert_int_equal(mde_window_held_ms(&window), cases[i].held_ms);
  }
}

static void the_longest_is_found_wherever_it_stands(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_windows reversed = {2, {{3600000, 1500}, {60000, 100}}};
  assert_null(mde_windows_longest(&none));
  assert_ptr_equal(mde_windows_longest(&DOCUMENTED), &DOCUMENTED.window[1]);
  assert_ptr_equal(mde_windows_longest(&reversed), &reversed.window[0]);
}

static void most_calls_are_not_always_those_of_the_longest(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_windows odd = {3, {{1000, 7}, {2000, 9}, {3000, 8}}};
  assert_int_equal(mde_windows_most_calls(&none), 0);
  assert_int_equal(mde_windows_most_calls(&DOCUMENTED), 1500);
  assert_int_equal(mde_windows_most_calls(&odd), 9);
}

static void a_window_is_lowered_and_the_others_stay(void **state)
{
  (void)state;
  mde_windows windows = DOCUMENTED;
  mde_windows_lower(&windows, (mde_window){60000, 45});
  assert_int_equal(windows.count, 2);
  assert_int_equal(windows.window[0].calls, 45);
  assert_int_equal(windows.window[1].calls, 1500);
}

static void a_window_is_never_raised(void **state)
{
  (void)state;
  mde_windows windows = DOCUMENTED;
  mde_windows_lower(&windows, (mde_window){60000, 100});
  mde_windows_lower(&windows, (mde_window){60000, 101});
  assert_memory_equal(&windows, &DOCUMENTED, sizeof windows);
}

static void an_unknown_length_becomes_a_window(void **state)
{
  (void)state;
  mde_windows windows = DOCUMENTED;
  mde_windows_lower(&windows, (mde_window){1000, 5000});
  assert_int_equal(windows.count, 3);
  assert_int_equal(windows.window[2].length_ms, 1000);
  assert_int_equal(windows.window[2].calls, 5000);
}

static void nothing_is_lowered_where_no_limit_is_wanted(void **state)
{
  (void)state;
  mde_windows none = {0};
  mde_windows_lower(&none, (mde_window){60000, 1});
  assert_int_equal(none.count, 0);
}

static void no_more_windows_than_there_is_room_for(void **state)
{
  (void)state;
  mde_windows windows = {1, {{1000, 100}}};
  for (int i = 2; i < 20; i++)
    mde_windows_lower(&windows, (mde_window){i * 1000, 100});
  assert_int_equal(windows.count, MDE_WINDOWS_MAX);
  mde_windows_lower(&windows, (mde_window){MDE_WINDOWS_MAX * 1000, 1});
  assert_int_equal(windows.window[MDE_WINDOWS_MAX - 1].calls, 1);
}

/* --- one word --- */

static void a_word_keeps_length_and_calls(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int i = 0; i < 100000; i++) {
    mde_window window = {test_between(&dice, 1, UINT32_MAX),
                         (uint32_t)test_between(&dice, 0, MDE_WINDOW_CALLS_MAX)};
    mde_window same = mde_window_unpack(mde_window_pack(window));
    assert_int_equal(same.length_ms, window.length_ms);
    assert_int_equal(same.calls, window.calls);
  }
}

static void what_does_not_fit_into_a_word_is_none(void **state)
{
  (void)state;
  static const mde_window windows[] = {{0, 1},         {-1, 1},         {INT64_C(1) << 32, 1},
                                       {INT64_MIN, 1}, {1000, 1 << 20}, {1000, UINT32_MAX}};
  for (size_t i = 0; i < TEST_COUNT(windows); i++)
    assert_int_equal(mde_window_pack(windows[i]), 0);
  assert_int_not_equal(mde_window_pack((mde_window){UINT32_MAX, (1 << 20) - 1}), 0);
  assert_int_equal(mde_window_unpack(0).calls, 0);
}

static void a_longer_window_is_a_greater_word(void **state)
{
  (void)state;
  assert_true(mde_window_pack((mde_window){1001, 1}) > mde_window_pack((mde_window){1000, 99999}));
}

static void a_damaged_word_is_no_window(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int sound = 0;
  for (int bit = 0; bit < 64; bit++) {
    uint64_t word = mde_window_pack((mde_window){60000, 45}) ^ UINT64_C(1) << bit;
    assert_int_equal(mde_window_unpack(word).calls, 0);
    assert_int_equal(mde_window_unpack(word).length_ms, 0);
  }
  assert_int_equal(mde_window_unpack(UINT64_MAX).calls, 0);
  for (uint64_t check = 0; check < 4096; check++) /* of no length; one of them is right */
    assert_int_equal(mde_window_unpack(UINT64_C(45) << 12 | check).calls, 0);
  for (int i = 0; i < 100000; i++)
    sound += mde_window_unpack(test_next(&dice)).length_ms > 0;
  assert_true(sound < 100); /* 24 are to be expected */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_counts_for_a_thousandth_and_three_ms_longer),
      cmocka_unit_test(the_longest_is_found_wherever_it_stands),
      cmocka_unit_test(most_calls_are_not_always_those_of_the_longest),
      cmocka_unit_test(a_window_is_lowered_and_the_others_stay),
      cmocka_unit_test(a_window_is_never_raised),
      cmocka_unit_test(an_unknown_length_becomes_a_window),
      cmocka_unit_test(nothing_is_lowered_where_no_limit_is_wanted),
      cmocka_unit_test(no_more_windows_than_there_is_room_for),
      cmocka_unit_test(a_word_keeps_length_and_calls),
      cmocka_unit_test(what_does_not_fit_into_a_word_is_none),
      cmocka_unit_test(a_longer_window_is_a_greater_word),
      cmocka_unit_test(a_damaged_word_is_no_window),
  };
  return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}

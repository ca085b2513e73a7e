#include "core/quota_cell.h"
#include "core/response.h"
#include "shared_cell.h"
#include "test.h"

#define HELD SHARED_HELD

enum { LEASE_MS = 30000, HOUR_MS = 3600000 };

static const mde_windows TWO_IN_TEN_SECONDS = {1, {{10000, 2}}};
static const mde_windows HUNDRED_A_MINUTE = {1, {{60000, 100}}};
static const mde_windows NO_LIMIT = {0};

static shared_cell shared;

static mde_cell join(const mde_windows *windows, uint8_t holder, int64_t now_ms)
{
  mde_cell cell = shared_cell_view(&shared, windows, holder);
  mde_cell_attach(&cell, now_ms);
  return cell;
}

static mde_cell start(const mde_windows *windows)
{
  uint32_t capacity = mde_slots_capacity(mde_windows_most_calls(windows));
  shared_cell_clear(&shared, capacity > 0 ? capacity : MDE_SLOTS_BLOCK);
  return join(windows, 1, 0);
}

static mde_slot take(const mde_cell *cell, int64_t now_ms)
{
  mde_slot slot = {0, 0};
  mde_quota_answer answer = mde_cell_reserve(cell, now_ms, LEASE_MS, &slot);
  assert_int_equal(answer.status, MDE_OK);
  assert_true(answer.granted);
  assert_false(answer.closed);
  assert_int_equal(answer.wait_ms, 0);
  return slot;
}

static void settle(const mde_cell *cell, mde_slot slot, int64_t now_ms)
{
  mde_cell_settle(cell, &slot, MDE_SLOT_ANSWERED, now_ms);
}

/* Takes a slot and gets the answer at once. */
static void spend(const mde_cell *cell, int64_t now_ms)
{
  settle(cell, take(cell, now_ms), now_ms);
}

static void spend_many(const mde_cell *cell, int64_t now_ms, int calls)
{
  for (int i = 0; i < calls; i++)
    spend(cell, now_ms);
}

static void assert_refused(const mde_cell *cell, int64_t now_ms, int64_t wait_ms)
{
  mde_slot slot;
  mde_quota_answer answer = mde_cell_reserve(cell, now_ms, LEASE_MS, &slot);
  assert_int_equal(answer.status, MDE_OK);
  assert_false(answer.granted);
  assert_false(answer.closed);
  assert_int_equal(answer.wait_ms, wait_ms);
}

/* Refused with a wait that is exact: one ms less will not do. */
static mde_slot assert_free_at(const mde_cell *cell, int64_t now_ms, int64_t free_ms)
{
  assert_refused(cell, now_ms, free_ms - now_ms);
  assert_refused(cell, free_ms - 1, 1);
  return take(cell, free_ms);
}

/* As many as are granted at that moment. */
static int spend_all(const mde_cell *cell, int64_t now_ms)
{
  mde_slot slot;
  int calls = 0;
  while (calls < 10000 && mde_cell_reserve(cell, now_ms, LEASE_MS, &slot).granted) {
    settle(cell, slot, now_ms);
    calls++;
  }
  return calls;
}

/* --- the windows --- */

static void keeps_a_window_to_the_millisecond(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  spend(&cell, 1000);
  spend(&cell, 2000);
  settle(&cell, assert_free_at(&cell, 3000, 1000 + HELD(10000)), 1000 + HELD(10000));
  assert_free_at(&cell, 1000 + HELD(10000), 2000 + HELD(10000));
}

static void grants_a_whole_burst_at_once(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  for (int i = 0; i < 100; i++)
    take(&cell, 7);
  assert_refused(&cell, 7, HELD(60000));
}

static void counts_what_all_others_do(void **state)
{
  (void)state;
  mde_cell one = start(&HUNDRED_A_MINUTE);
  mde_cell other = join(&HUNDRED_A_MINUTE, 2, 0);
  spend_many(&one, 10, 60);
  spend_many(&other, 20, 40);
  assert_free_at(&one, 30, 10 + HELD(60000));
  assert_int_equal(spend_all(&other, 10 + HELD(60000)), 59);
}

static void the_longer_window_holds_when_the_shorter_is_free(void **state)
{
  (void)state;
  mde_windows windows = {2, {{1000, 2}, {10000, 3}}};
  mde_cell cell = start(&windows);
  spend(&cell, 0);
  spend(&cell, 500);
  settle(&cell, assert_free_at(&cell, 600, HELD(1000)), 1100);
  assert_free_at(&cell, 1200, HELD(10000));
}

static void counts_calls_in_flight_and_a_window_from_their_answer_on(void **state)
{
  (void)state;
  mde_windows minute_and_hour = {2, {{60000, 100}, {HOUR_MS, 1500}}};
  mde_cell cell = start(&minute_and_hour);
  const mde_window *minute = &minute_and_hour.window[0], *hour = &minute_and_hour.window[1];
  assert_int_equal(mde_cell_used(&cell, minute, 0), 0);
  mde_slot slot = take(&cell, 0);
  assert_int_equal(mde_cell_used(&cell, minute, LEASE_MS), 1);
  settle(&cell, slot, 20000);
  assert_int_equal(mde_cell_used(&cell, minute, 20000 + HELD(60000) - 1), 1);
  assert_int_equal(mde_cell_used(&cell, minute, 20000 + HELD(60000)), 0);
  assert_int_equal(mde_cell_used(&cell, hour, 20000 + HELD(HOUR_MS) - 1), 1);
  assert_int_equal(mde_cell_used(&cell, hour, 20000 + HELD(HOUR_MS)), 0);
}

static void asking_takes_nothing(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  for (int i = 0; i < 100; i++)
    assert_int_equal(mde_cell_ask(&cell, 0).wait_ms, 0);
  assert_false(mde_cell_ask(&cell, 0).granted);
  take(&cell, 0);
  take(&cell, 0);
  assert_int_equal(mde_cell_ask(&cell, 100).wait_ms, HELD(10000));
}

/* --- in flight --- */

static void a_slot_in_flight_does_not_expire_before_its_lease(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  take(&cell, 0);
  take(&cell, 0);
  assert_refused(&cell, LEASE_MS - 1, HELD(10000));
  assert_free_at(&cell, LEASE_MS, LEASE_MS + HELD(10000));
}

static void what_is_in_flight_may_be_answered_now_and_is_free_a_window_later(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_slot first = take(&cell, 0);
  mde_slot second = take(&cell, 1000);
  assert_refused(&cell, 2000, HELD(10000));
  settle(&cell, second, 4000);
  assert_refused(&cell, 4500, 4000 + HELD(10000) - 4500);
  settle(&cell, first, 5000);
  settle(&cell, assert_free_at(&cell, 5000, 4000 + HELD(10000)), 4000 + HELD(10000));
  assert_free_at(&cell, 4000 + HELD(10000), 5000 + HELD(10000));
}

static void a_dead_holder_loses_its_own_slots_until_a_window_after_the_lease(void **state)
{
  (void)state;
  mde_windows windows = {1, {{10000, 5}}};
  mde_cell cell = start(&windows);
  mde_cell dead = join(&windows, 2, 0);
  take(&dead, 0);
  take(&dead, 100);
  assert_int_equal(spend_all(&cell, 200), 3);
  assert_int_equal(spend_all(&cell, 200 + HELD(10000)), 3);
  assert_int_equal(spend_all(&cell, LEASE_MS + HELD(10000) - 1), 3);
  assert_int_equal(spend_all(&cell, LEASE_MS + HELD(10000)), 1);
  assert_int_equal(spend_all(&cell, 100 + LEASE_MS + HELD(10000)), 1);
}

/* Whoever dies between claim and grant. */
static void a_claim_that_is_never_granted_counts_until_a_window_after_its_lease(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_slot slot;
  mde_claim claim = {.since_ms = 0, .now_ms = 0, .stamp_ms = LEASE_MS, .holder = 2};
  assert_true(mde_slots_claim(&cell.slots, &claim, &slot));
  spend(&cell, 1000);
  settle(&cell, assert_free_at(&cell, 1000, 1000 + HELD(10000)), LEASE_MS);
  assert_free_at(&cell, LEASE_MS, LEASE_MS + HELD(10000));
}

static void an_unsent_slot_is_given_back_at_once(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  take(&cell, 0);
  mde_slot slot = take(&cell, 0);
  for (int i = 0; i < 200; i++) {
    mde_cell_settle(&cell, &slot, MDE_SLOT_UNSENT, 10);
    slot = take(&cell, 10);
  }
  assert_refused(&cell, 10, HELD(10000));
}

static void an_abandoned_request_lingers(void **state)
{
  (void)state;
  mde_windows one = {1, {{10000, 1}}};
  mde_cell cell = start(&one);
  mde_slot slot = take(&cell, 0);
  mde_cell_settle(&cell, &slot, MDE_SLOT_ABANDONED, 100);
  assert_free_at(&cell, 100, 100 + MDE_QUOTA_LINGER_MS + HELD(10000));
}

static void settling_twice_changes_nothing(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_slot slot = take(&cell, 0);
  settle(&cell, slot, 100);
  mde_cell_settle(&cell, &slot, MDE_SLOT_UNSENT, 200);
  settle(&cell, slot, 5000);
  spend(&cell, 200);
  assert_free_at(&cell, 300, 100 + HELD(10000));
}

/* Of a process that was stopped for a long time. */
static void an_answer_after_somebody_else_took_the_slot_is_ignored(void **state)
{
  (void)state;
  mde_windows windows = {1, {{10000, MDE_SLOTS_BLOCK}}};
  mde_cell cell = start(&windows);
  mde_cell stopped = join(&windows, 2, 0);
  mde_slot slot = take(&stopped, 0);
  int64_t later_ms = LEASE_MS + HELD(10000);
  spend_many(&cell, later_ms, MDE_SLOTS_BLOCK); /* all slots there are */
  for (int end = MDE_SLOT_UNSENT; end <= MDE_SLOT_ABANDONED; end++)
    mde_cell_settle(&stopped, &slot, (mde_slot_end)end, later_ms + 1000);
  assert_int_equal(mde_cell_used(&cell, &windows.window[0], later_ms + HELD(10000) - 1), 64);
  assert_int_equal(mde_cell_used(&cell, &windows.window[0], later_ms + HELD(10000)), 0);
}

static void an_answer_after_the_lease_counts_from_then_on(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_slot slot = take(&cell, 0);
  settle(&cell, slot, LEASE_MS + 20000);
  spend(&cell, LEASE_MS + 20000);
  assert_free_at(&cell, LEASE_MS + 20000, LEASE_MS + 20000 + HELD(10000));
}

static void nothing_is_leased_for_longer_than_the_longest_attempt(void **state)
{
  (void)state;
  static const int64_t leases_ms[] = {MDE_LEASE_MAX_MS, MDE_LEASE_MAX_MS + 1, INT64_MAX / 2};
  mde_windows one = {1, {{10000, 1}}};
  for (size_t i = 0; i < TEST_COUNT(leases_ms); i++) {
    mde_cell cell = start(&one);
    mde_slot slot;
    assert_true(mde_cell_reserve(&cell, 5, leases_ms[i], &slot).granted);
    int64_t end_ms = 5 + MDE_LEASE_MAX_MS;
    assert_refused(&cell, 5, HELD(10000)); /* and nothing is mended */
    assert_refused(&cell, end_ms - 1, HELD(10000));
    assert_free_at(&cell, end_ms, end_ms + HELD(10000));
  }
}

/* There they are likely to be the oldest. */
static void slots_are_taken_in_turn(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_cell other = join(&TWO_IN_TEN_SECONDS, 2, 0);
  for (uint32_t i = 0; i < 200; i++) {
    const mde_cell *taker = i % 3 == 0 ? &other : &cell;
    mde_slot slot = take(taker, 0);
    assert_int_equal(slot.index, i % MDE_SLOTS_BLOCK);
    mde_cell_settle(taker, &slot, MDE_SLOT_UNSENT, 0);
  }
}

static void the_holders_are_told_what_they_have_in_flight(void **state)
{
  (void)state;
  mde_cell one = start(&HUNDRED_A_MINUTE);
  mde_cell other = join(&HUNDRED_A_MINUTE, 200, 0);
  for (int i = 0; i < 5; i++)
    take(&one, 0);
  for (int i = 0; i < 7; i++)
    take(&other, 0);
  spend(&other, 0);
  uint32_t counts[MDE_SLOT_HOLDERS] = {0};
  mde_slots_in_flight(&one.slots, 1000, counts);
  assert_int_equal(counts[1], 5);
  assert_int_equal(counts[200], 7);
}

/* --- the waits are exact, whatever happened before --- */

static shared_cell copy;

/* Tried with a copy, in which all that is in flight is answered now. */
static bool granted_at(const mde_cell *cell, int64_t now_ms, int64_t later_ms)
{
  memcpy(&copy, &shared, sizeof copy);
  mde_cell other = *cell;
  mde_slot slot;
  other.memory = &copy.memory;
  other.slots = shared_cell_slots(&copy);
  for (uint32_t i = 0; i < copy.capacity; i++) {
    slot = (mde_slot){i, atomic_load(shared_cell_word(&copy, i))};
    if (mde_slot_holder(slot.word) != 0 && mde_slot_stamp_ms(slot.word) > now_ms)
      mde_slots_move(&other.slots, &slot, now_ms);
  }
  return mde_cell_reserve(&other, later_ms, LEASE_MS, &slot).granted;
}

static void settle_one(const mde_cell *cell, test_random *dice, int64_t now_ms)
{
  uint32_t start_at = (uint32_t)test_next(dice);
  for (uint32_t i = 0; i < shared.capacity; i++) {
    uint32_t index = (start_at + i) % shared.capacity;
    mde_slot slot = {index, atomic_load(shared_cell_word(&shared, index))};
    if (mde_slot_holder(slot.word) == 0)
      continue;
    mde_cell_settle(cell, &slot, (mde_slot_end)test_between(dice, 0, 2), now_ms);
    return;
  }
}

static void shuffle(const mde_cell *cell, test_random *dice, int64_t now_ms)
{
  mde_lesson lesson = {0};
  if (test_chance(dice, 60))
    settle_one(cell, dice, now_ms);
  if (test_chance(dice, 1))
    lesson.close_for_ms = test_between(dice, 0, 3000);
  if (test_chance(dice, 1))
    lesson.limit =
        (mde_window){test_between(dice, 1, 5) * 1000, (uint32_t)test_between(dice, 1, 40)};
  mde_cell_learn(cell, &lesson, now_ms);
}

static void assert_wait_is_exact(const mde_cell *cell, int64_t now_ms, int64_t wait_ms)
{
  assert_true(wait_ms > 0);
  assert_false(granted_at(cell, now_ms, now_ms + wait_ms - 1));
  assert_true(granted_at(cell, now_ms, now_ms + wait_ms));
}

static void a_wait_is_exact_when_nothing_else_happens(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int waits = 0;
  for (int run = 0; run < 100; run++) {
    mde_windows windows = {2,
                           {{1000, (uint32_t)test_between(&dice, 1, 30)},
                            {5000, (uint32_t)test_between(&dice, 1, 60)}}};
    mde_cell cell = start(&windows);
    int64_t now_ms = 0, lease_ms = test_between(&dice, 100, 5000);
    for (int i = 0; i < 300; i++, now_ms += test_between(&dice, 0, 60)) {
      mde_slot slot;
      shuffle(&cell, &dice, now_ms);
      mde_quota_answer answer = mde_cell_reserve(&cell, now_ms, lease_ms, &slot);
      assert_int_equal(answer.granted, answer.wait_ms == 0);
      if (answer.granted)
        continue;
      assert_wait_is_exact(&cell, now_ms, answer.wait_ms);
      assert_int_equal(mde_cell_ask(&cell, now_ms).wait_ms, answer.wait_ms);
      waits++;
    }
  }
  assert_true(waits > 1000);
}

/* --- Retry-After --- */

static void close_for(const mde_cell *cell, int64_t close_for_ms, int64_t now_ms)
{
  mde_cell_learn(cell, &(mde_lesson){.close_for_ms = close_for_ms}, now_ms);
}

static void assert_closed(const mde_cell *cell, int64_t now_ms, int64_t wait_ms)
{
  mde_slot slot;
  mde_quota_answer answer = mde_cell_reserve(cell, now_ms, LEASE_MS, &slot);
  assert_false(answer.granted);
  assert_true(answer.closed);
  assert_int_equal(answer.wait_ms, wait_ms);
  assert_int_equal(mde_cell_closed_ms(cell, now_ms), wait_ms);
}

static void what_one_is_told_closes_the_quota_for_all(void **state)
{
  (void)state;
  mde_cell one = start(&TWO_IN_TEN_SECONDS);
  mde_cell other = join(&NO_LIMIT, 2, 0);
  close_for(&one, 5000, 1000);
  assert_closed(&one, 5999, 1);
  assert_closed(&other, 1500, 4500);
  assert_int_equal(mde_cell_closed_ms(&other, 6000), 0);
  spend(&one, 6000);
  spend(&other, 6000);
}

static void an_earlier_closing_is_never_shortened(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  close_for(&cell, 5000, 0);
  close_for(&cell, 3000, 0);
  close_for(&cell, 0, 100);
  assert_closed(&cell, 0, 5000);
  close_for(&cell, 6000, 0);
  assert_closed(&cell, 0, 6000);
}

static void a_closed_quota_that_is_full_names_the_longer_wait(void **state)
{
  (void)state;
  static const struct {
    int64_t close_ms, wait_ms;
    bool closed;
  } cases[] = {{5000, HELD(10000), false}, {50000, 50000, true}, {HELD(10000), HELD(10000), true}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_cell cell = start(&TWO_IN_TEN_SECONDS);
    spend_many(&cell, 0, 2);
    close_for(&cell, cases[i].close_ms, 0);
    mde_quota_answer answer = mde_cell_ask(&cell, 0);
    assert_int_equal(answer.wait_ms, cases[i].wait_ms);
    assert_int_equal(answer.closed, cases[i].closed);
    take(&cell, cases[i].wait_ms);
  }
}

static void an_hour_is_the_longest_closing_and_more_is_damage(void **state)
{
  (void)state;
  static const uint64_t words[] = {HOUR_MS + 1001, UINT64_MAX, UINT64_C(1) << 63, INT64_MAX};
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  close_for(&cell, HOUR_MS, 1000);
  assert_closed(&cell, 1000, HOUR_MS);
  for (size_t i = 0; i < TEST_COUNT(words); i++) {
    cell = start(&TWO_IN_TEN_SECONDS);
    atomic_store(&shared.memory.closed_until, words[i]);
    assert_closed(&cell, 1000, HOUR_MS);
    assert_closed(&cell, 1000 + HOUR_MS - 1, 1); /* not an hour from each look at it */
    take(&cell, 1000 + HOUR_MS);
  }
}

/* --- limits that the service names --- */

static void lower(const mde_cell *cell, int64_t length_ms, uint32_t calls)
{
  mde_cell_learn(cell, &(mde_lesson){.limit = {length_ms, calls}}, 0);
}

static void a_limit_that_one_is_told_holds_for_all(void **state)
{
  (void)state;
  mde_cell one = start(&HUNDRED_A_MINUTE);
  mde_cell other = join(&HUNDRED_A_MINUTE, 2, 0);
  lower(&one, 60000, 45);
  assert_int_equal(spend_all(&other, 0), 45);
  mde_cell newcomer = join(&HUNDRED_A_MINUTE, 3, 100);
  assert_free_at(&newcomer, 100, HELD(60000));
}

static void a_lowered_window_counts_what_was_sent_before(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  for (int i = 0; i < 60; i++)
    spend(&cell, i * 10);
  lower(&cell, 60000, 45);
  assert_free_at(&cell, 1000, 150 + HELD(60000)); /* the 16th is the 45th latest */
}

static void a_limit_is_only_ever_lowered(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  lower(&cell, 60000, 1000);
  assert_int_equal(mde_cell_windows(&cell).window[0].calls, 100);
  lower(&cell, 60000, 45);
  lower(&cell, 60000, 50);
  assert_int_equal(mde_cell_windows(&cell).window[0].calls, 45);
  lower(&cell, 60000, 44);
  assert_int_equal(mde_cell_windows(&cell).window[0].calls, 44);
  assert_int_equal(mde_cell_windows(&cell).count, 1);
}

static void a_limit_of_another_length_becomes_a_window_for_all(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  mde_cell other = join(&TWO_IN_TEN_SECONDS, 2, 0);
  lower(&cell, 1000, 1);
  assert_int_equal(mde_cell_windows(&cell).count, 2);
  spend(&other, 0);
  assert_free_at(&cell, 0, HELD(1000));
}

static void where_no_limit_is_wanted_none_is_learned_but_others_are_told(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  mde_cell unlimited = join(&NO_LIMIT, 2, 0);
  lower(&unlimited, 60000, 2);
  assert_int_equal(mde_cell_windows(&unlimited).count, 0);
  assert_int_equal(spend_all(&cell, 0), 2);
  spend(&unlimited, 0);
}

static void forgotten_limits_hold_no_more(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  for (int i = 0; i < MDE_CELL_LEARNED_MAX; i++)
    lower(&cell, 60000 - i * 1000, 1);
  assert_int_equal(spend_all(&cell, 0), 1);
  mde_cell_forget(&cell);
  assert_int_equal(mde_cell_windows(&cell).count, 1);
  assert_int_equal(spend_all(&cell, 0), 99);
  lower(&cell, 60000, 50);
  assert_int_equal(mde_cell_windows(&cell).window[0].calls, 50);
}

static void no_more_limits_than_there_is_room_for(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  for (int i = 1; i < 20; i++)
    lower(&cell, i * 1000, 90);
  assert_int_equal(mde_cell_windows(&cell).count, 1 + MDE_CELL_LEARNED_MAX);
  lower(&cell, MDE_CELL_LEARNED_MAX * 1000, 80);
  assert_int_equal(mde_cell_windows(&cell).window[MDE_CELL_LEARNED_MAX].calls, 80);
}

static void a_limit_that_fits_into_no_word_is_not_learned(void **state)
{
  (void)state;
  static const mde_window limits[] = {{INT64_C(1) << 32, 1}, {1000, 1 << 20}, {0, 1}, {-1000, 1}};
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  for (size_t i = 0; i < TEST_COUNT(limits); i++)
    lower(&cell, limits[i].length_ms, limits[i].calls);
  assert_int_equal(mde_cell_windows(&cell).count, 1);
  lower(&cell, UINT32_MAX, (1 << 20) - 1);
  mde_windows windows = mde_cell_windows(&cell);
  assert_int_equal(windows.window[1].length_ms, UINT32_MAX);
  assert_int_equal(windows.window[1].calls, (1 << 20) - 1);
}

static void a_damaged_limit_is_none_and_gives_way_to_the_next(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  lower(&cell, 60000, 45);
  for (int bit = 0; bit < 64; bit++) {
    atomic_fetch_xor(&shared.memory.learned[0], UINT64_C(1) << bit);
    assert_int_equal(mde_cell_windows(&cell).count, 1);
    assert_int_equal(mde_cell_windows(&cell).window[0].calls, 100);
    lower(&cell, 60000, 45);
    assert_int_equal(mde_cell_windows(&cell).window[0].calls, 45);
  }
}

/* Of 128 slots the next to be taken is then the first again. */
static void spend_sixty_and_go_around(const mde_cell *cell)
{
  spend_many(cell, 0, 60);
  for (int i = 0; i < 128 - 60; i++) {
    mde_slot slot = take(cell, 0);
    mde_cell_settle(cell, &slot, MDE_SLOT_UNSENT, 0);
  }
}

/* Its calls must not be overwritten after the shorter windows that were there before. */
static void a_learned_window_longer_than_all_others_keeps_its_calls(void **state)
{
  (void)state;
  mde_windows windows = {1, {{1000, 100}}};
  mde_cell cell = start(&windows);
  lower(&cell, 60000, 100);
  spend_sixty_and_go_around(&cell);
  assert_int_equal(spend_all(&cell, 2000), 40);
  assert_int_equal(spend_all(&cell, 4000), 0);
}

/* --- those who have other windows, or none --- */

static void without_windows_nothing_is_refused_but_all_is_counted(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE); /* of 128 slots */
  mde_cell unlimited = join(&NO_LIMIT, 2, 0);
  spend_many(&cell, 0, 90);
  spend_many(&unlimited, 10, 38);
  assert_int_equal(mde_cell_used(&cell, &HUNDRED_A_MINUTE.window[0], 20), 128);
  assert_refused(&cell, 20, HELD(60000) - 20);
}

static void those_who_all_have_no_windows_are_never_kept_waiting_for_long(void **state)
{
  (void)state;
  mde_cell cell = start(&NO_LIMIT);
  for (int64_t now_ms = 0; now_ms < 1000; now_ms += MDE_WINDOW_MARGIN_MS)
    assert_int_equal(spend_all(&cell, now_ms), MDE_SLOTS_BLOCK);
}

static void a_shorter_window_never_overwrites_what_counts_in_a_longer_one(void **state)
{
  (void)state;
  mde_windows second = {1, {{1000, 10}}};
  mde_cell hourly = start(&(mde_windows){1, {{HOUR_MS, 100}}}); /* 128 slots */
  mde_cell quick = join(&second, 2, 0);
  spend_many(&hourly, 0, 60);
  int calls = 60;
  for (int64_t now_ms = 2000; now_ms < 100000; now_ms += 2000) {
    calls += spend_all(&quick, now_ms);
    assert_int_equal(mde_cell_used(&hourly, &hourly.windows.window[0], now_ms), calls);
  }
  assert_int_equal(calls, 128);
  assert_refused(&hourly, 100000, HELD(HOUR_MS) - 100000);
}

static void when_a_long_window_fills_all_slots_the_others_wait_for_it(void **state)
{
  (void)state;
  mde_windows second = {1, {{1000, 10}}};
  mde_cell hourly = start(&(mde_windows){1, {{HOUR_MS, 64}}});
  mde_cell quick = join(&second, 2, 0);
  mde_cell unlimited = join(&NO_LIMIT, 3, 0);
  for (int i = 0; i < 64; i++)
    spend(&hourly, i);
  assert_refused(&quick, 10000, HELD(HOUR_MS) - 10000);
  assert_refused(&unlimited, 10000, HELD(HOUR_MS) - 10000);
  settle(&quick, assert_free_at(&quick, 10000, HELD(HOUR_MS)), HELD(HOUR_MS));
  assert_free_at(&unlimited, HELD(HOUR_MS), 1 + HELD(HOUR_MS));
}

static void a_longer_window_that_comes_later_keeps_all_from_then_on(void **state)
{
  (void)state;
  mde_windows second = {1, {{1000, 64}}};
  mde_cell quick = start(&second); /* 64 slots */
  spend_many(&quick, 0, 64);
  spend_many(&quick, HELD(1000), 10); /* overwritten */
  mde_cell minutely = join(&(mde_windows){1, {{60000, 64}}}, 2, HELD(1000));
  assert_int_equal(mde_cell_used(&minutely, &minutely.windows.window[0], HELD(1000)), 64);
  assert_refused(&quick, HELD(1000), HELD(60000) - HELD(1000));
}

/* --- a smooth pace --- */

static const mde_windows SIXTY_IN_A_MINUTE = {1, {{60000, 60}}};

static mde_cell join_smooth(const mde_windows *windows, uint32_t burst, uint8_t holder)
{
  mde_cell cell = join(windows, holder, 0);
  cell.pace = (mde_pace){.smooth = true, .burst = burst};
  return cell;
}

static void those_who_share_a_quota_share_its_pace(void **state)
{
  (void)state;
  start(&SIXTY_IN_A_MINUTE);
  mde_cell cell[2] = {join_smooth(&SIXTY_IN_A_MINUTE, 10, 1),
                      join_smooth(&SIXTY_IN_A_MINUTE, 10, 2)};
  for (int i = 0; i < 10; i++)
    spend(&cell[i % 2], 0);
  int64_t now_ms = 0;
  for (int k = 1; k <= 50; k++) {
    int64_t free_ms = (k * HELD(60000) * 1000 / 60 + 999) / 1000;
    assert_int_equal(mde_cell_ask(&cell[(k + 1) % 2], now_ms).wait_ms, free_ms - now_ms);
    settle(&cell[k % 2], assert_free_at(&cell[k % 2], now_ms, free_ms), free_ms);
    now_ms = free_ms;
  }
  assert_free_at(&cell[0], now_ms, HELD(60000)); /* the window is full */
}

static void an_idle_window_brings_the_burst_back(void **state)
{
  (void)state;
  start(&SIXTY_IN_A_MINUTE);
  mde_cell cell = join_smooth(&SIXTY_IN_A_MINUTE, 10, 1);
  assert_int_equal(spend_all(&cell, 0), 10);
  assert_int_equal(spend_all(&cell, HELD(60000)), 10);
  assert_refused(&cell, HELD(60000), 1002);
}

static void the_pace_is_one_of_the_longest_window_and_the_shorter_hold_besides(void **state)
{
  (void)state;
  mde_windows windows = {2, {{60000, 60}, {1000, 2}}};
  start(&windows);
  mde_cell cell = join_smooth(&windows, 10, 1);
  spend_many(&cell, 0, 2);
  assert_free_at(&cell, 0, HELD(1000));
}

static void of_a_closed_window_and_the_pace_the_longer_wait_is_named(void **state)
{
  (void)state;
  mde_windows windows = {2, {{100, 1}, {60000, 60}}};
  start(&windows);
  mde_cell cell = join_smooth(&windows, 1, 1);
  spend(&cell, 0);
  assert_free_at(&cell, 0, 1002);
}

static void without_windows_there_is_nothing_to_pace(void **state)
{
  (void)state;
  start(&SIXTY_IN_A_MINUTE);
  mde_cell cell = join_smooth(&NO_LIMIT, 0, 1);
  assert_int_equal(spend_all(&cell, 0), MDE_SLOTS_BLOCK);
}

static void a_smooth_pace_uses_99_percent_in_the_long_run(void **state)
{
  (void)state;
  enum { CALLS = 6000, HUNDRED_WINDOWS_MS = 6000000 };
  start(&SIXTY_IN_A_MINUTE);
  mde_cell cell = join_smooth(&SIXTY_IN_A_MINUTE, 10, 1);
  int64_t now_ms = 0;
  int calls = 0;
  while (now_ms < HUNDRED_WINDOWS_MS) {
    calls += spend_all(&cell, now_ms);
    now_ms += mde_cell_ask(&cell, now_ms).wait_ms;
  }
  assert_true(calls >= CALLS * 99 / 100);
  assert_true(calls <= CALLS + 60);
}

static void a_moment_further_ahead_than_a_window_delays_nobody(void **state)
{
  (void)state;
  static const uint64_t words[] = {(60000 + 5000) * 1000 + 1, INT64_MAX, UINT64_C(1) << 63,
                                   UINT64_MAX, (UINT64_C(1) << 63) + 1};
  for (size_t i = 0; i < TEST_COUNT(words); i++) {
    start(&SIXTY_IN_A_MINUTE);
    mde_cell cell = join_smooth(&SIXTY_IN_A_MINUTE, 1, 1);
    spend(&cell, 0);
    atomic_store(&shared.memory.next_us, words[i]);
    spend(&cell, 5000);
    assert_refused(&cell, 5000, 1002); /* as always again */
  }
}

/* --- damage --- */

enum { MEMORY_WORDS = sizeof(mde_cell_memory) / sizeof(mde_word), TRACE_MAX = 2000 };

typedef struct trace {
  int64_t at_ms[TRACE_MAX];
  int count;
} trace;

static void assert_at_most(const trace *calls, const mde_window *window)
{
  for (int i = (int)window->calls; i < calls->count; i++)
    assert_true(calls->at_ms[i] - calls->at_ms[i - (int)window->calls] > window->length_ms);
}

static void try_for_a_while(const mde_cell *cell, trace *calls, int64_t from_ms, int64_t to_ms)
{
  for (int64_t now_ms = from_ms; now_ms < to_ms; now_ms += 997) {
    for (int k = spend_all(cell, now_ms); k > 0 && calls->count < TRACE_MAX; k--)
      calls->at_ms[calls->count++] = now_ms;
  }
}

static uint64_t damage_of(test_random *dice, int kind)
{
  static const uint64_t words[] = {0, UINT64_MAX, UINT64_C(1) << 63, INT64_MAX, 1, UINT32_MAX};
  return kind < (int)TEST_COUNT(words) ? words[kind] : test_next(dice);
}

static void play_with_damage(int word, uint64_t damage, bool smooth)
{
  static trace calls;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  calls.count = 0;
  cell.pace = (mde_pace){.smooth = smooth, .burst = 70};
  try_for_a_while(&cell, &calls, 1000, 62000);
  ((mde_word *)&shared.memory)[word] = damage;
  mde_cell newcomer = join(&HUNDRED_A_MINUTE, 2, 62000);
  newcomer.pace = cell.pace;
  try_for_a_while(&newcomer, &calls, 62000, 130000);
  ((mde_word *)&shared.memory)[word] = damage; /* and in the middle of it */
  try_for_a_while(&cell, &calls, 130000, 200000);
  assert_at_most(&calls, &HUNDRED_A_MINUTE.window[0]);
}

static void no_damaged_word_of_a_cell_lets_more_calls_through(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int word = 0; word < MEMORY_WORDS; word++) {
    for (int kind = 0; kind < 12; kind++) {
      play_with_damage(word, damage_of(&dice, kind), false);
      play_with_damage(word, damage_of(&dice, kind), true);
    }
  }
}

/* Though it may be that they are kept for too long. */
static void whatever_is_said_to_be_the_longest_window_ones_own_calls_are_kept(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int kind = 0; kind < 64 + 20; kind++) {
    mde_cell cell = start(&HUNDRED_A_MINUTE);
    spend_sixty_and_go_around(&cell);
    uint64_t damage = kind < 64 ? UINT64_C(1) << kind : damage_of(&dice, kind - 64);
    atomic_store(&shared.memory.longest, damage);
    assert_int_equal(spend_all(&cell, 2000), 40);
    assert_true(spend_all(&cell, HELD(60000)) <= 60);
  }
}

static void lost_bounds_that_a_newcomer_finds_let_no_more_through(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int kind = 0; kind < 20; kind++) {
    mde_cell cell = start(&HUNDRED_A_MINUTE);
    spend_many(&cell, 1000, 60);
    for (uint32_t i = 0; i < shared.capacity / MDE_SLOTS_BLOCK; i++)
      atomic_store(&shared.words[i], damage_of(&dice, kind));
    mde_cell newcomer = join(&HUNDRED_A_MINUTE, 2, 2000);
    assert_int_equal(spend_all(&newcomer, 2000), 40);
    assert_free_at(&cell, 2000, 1000 + HELD(60000));
  }
}

/* At least as full as before, and as what cannot be read. */
static void damaged_slots_that_a_newcomer_finds_are_calls_of_now(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int run = 0; run < 300; run++) {
    mde_cell cell = start(&HUNDRED_A_MINUTE);
    int spent = (int)test_between(&dice, 0, 100), damaged = 0;
    spend_many(&cell, 1000, spent);
    for (uint32_t i = (uint32_t)spent; i < shared.capacity; i++) {
      if (!test_chance(&dice, 30))
        continue;
      uint64_t garbage = damage_of(&dice, (int)test_between(&dice, 0, 7)) & ~UINT64_C(1);
      atomic_store(shared_cell_word(&shared, i), garbage);
      damaged++;
    }
    mde_cell newcomer = join(&HUNDRED_A_MINUTE, 2, 2000);
    int left = 100 - spent - damaged;
    assert_int_equal(spend_all(&newcomer, 2000), left > 0 ? left : 0);
    assert_int_equal(spend_all(&cell, 2000 + HELD(60000)), 100);
  }
}

static void a_cell_of_garbage_is_full_and_free_again_a_window_later(void **state)
{
  (void)state;
  static const int garbage[] = {0, 0xff, 0x55};
  for (size_t i = 0; i < TEST_COUNT(garbage); i++) {
    mde_cell cell = start(&HUNDRED_A_MINUTE);
    memset(shared.words, garbage[i], sizeof shared.words);
    mde_cell_attach(&cell, 2000);
    assert_refused(&cell, 2000, HELD(60000));
    assert_int_equal(spend_all(&cell, 2000 + HELD(60000)), 100);
  }
}

/* A page lost under the feet of those who use it. */
static void slots_that_turn_to_zeroes_are_never_taken_for_free_ones(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  mde_slot slot;
  memset(shared.words, 0, sizeof shared.words);
  for (int i = 0; i < 128 / 32; i++) {
    mde_quota_answer answer = mde_cell_reserve(&cell, 2000, LEASE_MS, &slot);
    assert_false(answer.granted);
    assert_true(answer.wait_ms > 0);
  }
  assert_free_at(&cell, 2000, 2000 + HELD(60000));
}

static void moments_that_cannot_be_are_mended_when_they_are_in_the_way(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  mde_slot slot = take(&cell, 1000);
  mde_slots_move(&cell.slots, &slot, INT64_C(2) * MDE_LEASE_MAX_MS + 1001); /* in four days */
  spend(&cell, 1000);
  mde_quota_answer answer = mde_cell_reserve(&cell, 1000, LEASE_MS, &slot);
  assert_false(answer.granted);
  spend_many(&cell, 1000 + HELD(10000), 2);
}

static void a_full_quota_of_any_size_is_refused_in_the_time_of_a_look(void **state)
{
  (void)state;
  mde_cell cell = start(&(mde_windows){1, {{MDE_WINDOW_LENGTH_MAX_MS, 500}}});
  spend_many(&cell, 1000, 500);
  assert_free_at(&cell, 1000, 1000 + HELD(MDE_WINDOW_LENGTH_MAX_MS));
}

/* --- filling and moving over --- */

static void a_filled_cell_is_full_for_a_window(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  spend_many(&cell, 1000, 30);
  mde_cell_fill(&cell, 2000);
  assert_refused(&cell, 2000, 1000 + HELD(60000) - 2000);
  assert_int_equal(spend_all(&cell, 1000 + HELD(60000)), 2); /* 98 that were filled, of 128 */
  assert_int_equal(spend_all(&cell, 2000 + HELD(60000)), 98);
}

static void filling_does_not_make_what_counts_any_younger(void **state)
{
  (void)state;
  mde_windows windows = {1, {{60000, 64}}};
  mde_cell cell = start(&windows);
  spend_many(&cell, 1000, 30);
  mde_cell_fill(&cell, 2000);
  assert_int_equal(spend_all(&cell, 1000 + HELD(60000)), 30);
}

static void filling_as_of_a_moment_leaves_what_came_since(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  spend_many(&cell, 1000, 30);
  mde_slot slot = take(&cell, 90000);
  mde_cell_fill(&cell, 80000); /* when those of the beginning did not count any more */
  assert_int_equal(mde_cell_used(&cell, &HUNDRED_A_MINUTE.window[0], 90000), 128);
  assert_refused(&cell, 90000, 80000 + HELD(60000) - 90000);
  settle(&cell, slot, 91000);
  assert_int_equal(spend_all(&cell, 80000 + HELD(60000)), 99);
}

static void nothing_is_filled_as_of_no_moment(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  mde_cell_fill(&cell, INT64_MIN);
  assert_int_equal(spend_all(&cell, 0), 100);
}

static shared_cell older;

/* What was shared so far becomes the old one; a larger one takes its place. */
static mde_cell move_over(const mde_windows *windows, bool rebooted, int64_t now_ms)
{
  memcpy(&older, &shared, sizeof older);
  mde_cell from = shared_cell_view(&older, windows, 0);
  shared_cell_clear(&shared, older.capacity + MDE_SLOTS_BLOCK);
  mde_cell cell = shared_cell_view(&shared, windows, 1);
  mde_cell_copy(&cell, &from, rebooted);
  mde_cell_attach(&cell, now_ms);
  return cell;
}

static void a_larger_cell_takes_over_what_counts(void **state)
{
  (void)state;
  mde_cell cell = start(&TWO_IN_TEN_SECONDS);
  spend(&cell, 1000);
  take(&cell, 1000);
  close_for(&cell, 5000, 2000);
  cell = move_over(&TWO_IN_TEN_SECONDS, false, 3000);
  assert_int_equal(mde_cell_closed_ms(&cell, 3000), 4000);
  assert_free_at(&cell, 8000, 1000 + HELD(10000));
  mde_window ten_seconds = cell.windows.window[0];
  assert_int_equal(mde_cell_used(&cell, &ten_seconds, 1000 + LEASE_MS + HELD(10000) - 1), 2);
}

static void a_larger_cell_takes_over_how_long_calls_are_kept(void **state)
{
  (void)state;
  mde_cell cell = start(&(mde_windows){1, {{HOUR_MS, 64}}});
  spend_many(&cell, 0, 60);
  mde_windows second = {1, {{1000, 10}}};
  cell = move_over(&second, false, 2000);
  mde_window hour = {HOUR_MS, 64};
  for (int i = 1; i <= 6; i++) {
    spend_all(&cell, 2000 * i);
    assert_int_equal(mde_cell_used(&cell, &hour, 2000 * i), 60 + 10 * i);
  }
}

static void after_a_reboot_the_newest_call_is_one_of_the_clocks_zero(void **state)
{
  (void)state;
  mde_windows windows = {1, {{60000, 3}}};
  mde_cell cell = start(&windows);
  spend(&cell, 900000);
  spend(&cell, 930000);
  take(&cell, 925000); /* nobody knows when it arrived */
  cell = move_over(&windows, true, 10);
  settle(&cell, assert_free_at(&cell, 10, -30000 + HELD(60000)), 40000);
  assert_int_equal(mde_cell_used(&cell, &windows.window[0], HELD(60000) - 1), 3);
  assert_int_equal(mde_cell_used(&cell, &windows.window[0], HELD(60000)), 1);
}

static void after_a_reboot_a_closing_lasts_for_the_rest_of_its_time(void **state)
{
  (void)state;
  static const struct {
    int64_t close_ms, left_ms;
  } cases[] = {{20000, 10000}, {10000, 0}, {5000, 0}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_cell cell = start(&HUNDRED_A_MINUTE);
    close_for(&cell, cases[i].close_ms, 900000);
    mde_slot slot = {0, atomic_load(shared_cell_word(&shared, 0))};
    mde_slots_move(&cell.slots, &slot, 910000); /* the newest */
    cell = move_over(&HUNDRED_A_MINUTE, true, 0);
    assert_int_equal(mde_cell_closed_ms(&cell, 0), cases[i].left_ms);
  }
}

/* There is nothing to measure from. */
static void after_a_reboot_a_closing_without_calls_is_over(void **state)
{
  (void)state;
  mde_cell cell = start(&HUNDRED_A_MINUTE);
  close_for(&cell, 20000, 900000);
  cell = move_over(&HUNDRED_A_MINUTE, true, 0);
  assert_int_equal(mde_cell_closed_ms(&cell, 0), 0);
  assert_int_equal(spend_all(&cell, 0), 100);
}

static void a_damaged_cell_is_taken_over_as_full(void **state)
{
  (void)state;
  for (int rebooted = 0; rebooted < 2; rebooted++) {
    start(&HUNDRED_A_MINUTE);
    memset(shared.words, 0x3c, sizeof shared.words);
    mde_cell cell = move_over(&HUNDRED_A_MINUTE, rebooted != 0, 2000);
    assert_refused(&cell, 2000, HELD(60000));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_a_window_to_the_millisecond),
      cmocka_unit_test(grants_a_whole_burst_at_once),
      cmocka_unit_test(counts_what_all_others_do),
      cmocka_unit_test(the_longer_window_holds_when_the_shorter_is_free),
      cmocka_unit_test(counts_calls_in_flight_and_a_window_from_their_answer_on),
      cmocka_unit_test(asking_takes_nothing),
      cmocka_unit_test(a_slot_in_flight_does_not_expire_before_its_lease),
      cmocka_unit_test(what_is_in_flight_may_be_answered_now_and_is_free_a_window_later),
      cmocka_unit_test(a_dead_holder_loses_its_own_slots_until_a_window_after_the_lease),
      cmocka_unit_test(a_claim_that_is_never_granted_counts_until_a_window_after_its_lease),
      cmocka_unit_test(an_unsent_slot_is_given_back_at_once),
      cmocka_unit_test(an_abandoned_request_lingers),
      cmocka_unit_test(settling_twice_changes_nothing),
      cmocka_unit_test(an_answer_after_somebody_else_took_the_slot_is_ignored),
      cmocka_unit_test(an_answer_after_the_lease_counts_from_then_on),
      cmocka_unit_test(nothing_is_leased_for_longer_than_the_longest_attempt),
      cmocka_unit_test(slots_are_taken_in_turn),
      cmocka_unit_test(the_holders_are_told_what_they_have_in_flight),
      cmocka_unit_test(a_wait_is_exact_when_nothing_else_happens),
      cmocka_unit_test(what_one_is_told_closes_the_quota_for_all),
      cmocka_unit_test(an_earlier_closing_is_never_shortened),
      cmocka_unit_test(a_closed_quota_that_is_full_names_the_longer_wait),
      cmocka_unit_test(an_hour_is_the_longest_closing_and_more_is_damage),
      cmocka_unit_test(a_limit_that_one_is_told_holds_for_all),
      cmocka_unit_test(a_lowered_window_counts_what_was_sent_before),
      cmocka_unit_test(a_limit_is_only_ever_lowered),
      cmocka_unit_test(a_limit_of_another_length_becomes_a_window_for_all),
      cmocka_unit_test(where_no_limit_is_wanted_none_is_learned_but_others_are_told),
      cmocka_unit_test(forgotten_limits_hold_no_more),
      cmocka_unit_test(no_more_limits_than_there_is_room_for),
      cmocka_unit_test(a_limit_that_fits_into_no_word_is_not_learned),
      cmocka_unit_test(a_damaged_limit_is_none_and_gives_way_to_the_next),
      cmocka_unit_test(a_learned_window_longer_than_all_others_keeps_its_calls),
      cmocka_unit_test(without_windows_nothing_is_refused_but_all_is_counted),
      cmocka_unit_test(those_who_all_have_no_windows_are_never_kept_waiting_for_long),
      cmocka_unit_test(a_shorter_window_never_overwrites_what_counts_in_a_longer_one),
      cmocka_unit_test(when_a_long_window_fills_all_slots_the_others_wait_for_it),
      cmocka_unit_test(a_longer_window_that_comes_later_keeps_all_from_then_on),
      cmocka_unit_test(those_who_share_a_quota_share_its_pace),
      cmocka_unit_test(an_idle_window_brings_the_burst_back),
      cmocka_unit_test(the_pace_is_one_of_the_longest_window_and_the_shorter_hold_besides),
      cmocka_unit_test(of_a_closed_window_and_the_pace_the_longer_wait_is_named),
      cmocka_unit_test(without_windows_there_is_nothing_to_pace),
      cmocka_unit_test(a_smooth_pace_uses_99_percent_in_the_long_run),
      cmocka_unit_test(a_moment_further_ahead_than_a_window_delays_nobody),
      cmocka_unit_test(no_damaged_word_of_a_cell_lets_more_calls_through),
      cmocka_unit_test(whatever_is_said_to_be_the_longest_window_ones_own_calls_are_kept),
      cmocka_unit_test(lost_bounds_that_a_newcomer_finds_let_no_more_through),
      cmocka_unit_test(damaged_slots_that_a_newcomer_finds_are_calls_of_now),
      cmocka_unit_test(a_cell_of_garbage_is_full_and_free_again_a_window_later),
      cmocka_unit_test(slots_that_turn_to_zeroes_are_never_taken_for_free_ones),
      cmocka_unit_test(moments_that_cannot_be_are_mended_when_they_are_in_the_way),
      cmocka_unit_test(a_full_quota_of_any_size_is_refused_in_the_time_of_a_look),
      cmocka_unit_test(a_filled_cell_is_full_for_a_window),
      cmocka_unit_test(filling_does_not_make_what_counts_any_younger),
      cmocka_unit_test(filling_as_of_a_moment_leaves_what_came_since),
      cmocka_unit_test(nothing_is_filled_as_of_no_moment),
      cmocka_unit_test(a_larger_cell_takes_over_what_counts),
      cmocka_unit_test(a_larger_cell_takes_over_how_long_calls_are_kept),
      cmocka_unit_test(after_a_reboot_the_newest_call_is_one_of_the_clocks_zero),
      cmocka_unit_test(after_a_reboot_a_closing_lasts_for_the_rest_of_its_time),
      cmocka_unit_test(after_a_reboot_a_closing_without_calls_is_over),
      cmocka_unit_test(a_damaged_cell_is_taken_over_as_full),
  };
  return cmocka_run_group_tests_name("quota_cell", tests, NULL, NULL);
}

#include "core/quota_slots.h"
#include "shared_cell.h"
#include "test.h"

enum { LEASE_MS = 5000, YEAR_DAYS = 365 };

#define DAY_MS INT64_C(86400000)

static shared_cell shared;

/* --- one word --- */

static int64_t random_moment_ms(test_random *dice)
{
  return test_between(dice, -8 * YEAR_DAYS * DAY_MS, 8 * YEAR_DAYS * DAY_MS);
}

static void a_word_keeps_moment_and_holder(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int i = 0; i < 100000; i++) {
    int64_t stamp_ms = i == 0 ? MDE_SLOT_NEVER_MS : random_moment_ms(&dice);
    uint8_t holder = (uint8_t)test_next(&dice);
    uint64_t salt = test_next(&dice);
    uint64_t word = mde_slot_make(stamp_ms, holder, salt);
    assert_int_equal(mde_slot_stamp_ms(word), stamp_ms);
    assert_int_equal(mde_slot_holder(word), holder);
    assert_true(mde_slot_valid(word, salt));
    assert_int_not_equal(word, 0);
  }
}

static void zeroes_and_ones_are_never_a_sound_word(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int ones = 0;
  for (int i = 0; i < 100000; i++) {
    uint64_t salt = test_next(&dice);
    assert_false(mde_slot_valid(0, salt));
    ones += mde_slot_valid(UINT64_MAX, salt);
  }
  assert_true(ones < 20); /* as any other garbage: one in 32768 */
}

static void garbage_is_hardly_ever_a_sound_word(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int sound = 0;
  for (int i = 0; i < 1000000; i++)
    sound += mde_slot_valid(test_next(&dice), test_next(&dice));
  assert_true(sound < 60); /* 15 are to be expected */
}

static void a_word_of_elsewhere_is_hardly_ever_sound(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  int sound = 0;
  for (int i = 0; i < 1000000; i++) {
    uint64_t word = mde_slot_make(random_moment_ms(&dice), 0, test_next(&dice));
    sound += mde_slot_valid(word, test_next(&dice));
  }
  assert_true(sound < 100); /* 31 are to be expected */
}

static void a_single_wrong_bit_is_noticed(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int i = 0; i < 10000; i++) {
    uint64_t salt = test_next(&dice);
    uint64_t word = mde_slot_make(random_moment_ms(&dice), (uint8_t)test_next(&dice), salt);
    for (int bit = 0; bit < 64; bit++)
      assert_false(mde_slot_valid(word ^ (UINT64_C(1) << bit), salt));
  }
}

static void words_compare_as_their_moments_do(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int i = 0; i < 100000; i++) {
    int64_t one_ms = random_moment_ms(&dice);
    int64_t other_ms = test_chance(&dice, 50) ? one_ms + 1 : random_moment_ms(&dice);
    uint64_t one = mde_slot_make(one_ms, (uint8_t)test_next(&dice), test_next(&dice));
    uint64_t other = mde_slot_make(other_ms, (uint8_t)test_next(&dice), test_next(&dice));
    if (one_ms != other_ms)
      assert_int_equal(one < other, one_ms < other_ms);
    assert_int_equal(one >= mde_slot_since(other_ms), one_ms >= other_ms);
  }
}

/* --- contents --- */

static uint64_t word_of(uint32_t index)
{
  return atomic_load(shared_cell_word(&shared, index));
}

static void put(uint32_t index, uint64_t word)
{
  atomic_store(shared_cell_word(&shared, index), word);
}

static mde_slots start(uint32_t capacity)
{
  shared_cell_clear(&shared, capacity);
  return shared_cell_slots(&shared);
}

static void claim_at(const mde_slots *slots, uint32_t index, int64_t now_ms, uint8_t holder,
                     mde_slot *slot)
{
  mde_claim claim = {.since_ms = INT64_C(1) << 39, /* whatever is there */
                     .now_ms = now_ms,
                     .stamp_ms = now_ms + LEASE_MS,
                     .holder = holder,
                     .first = index};
  assert_true(mde_slots_claim(slots, &claim, slot));
  assert_int_equal(slot->index, index);
}

/* A call that was answered then. */
static void settle_at(const mde_slots *slots, uint32_t index, int64_t stamp_ms)
{
  mde_slot slot;
  claim_at(slots, index, stamp_ms, 1, &slot);
  mde_slots_move(slots, &slot, stamp_ms);
}

static void assert_settled(uint32_t index, int64_t stamp_ms)
{
  uint64_t word = word_of(index);
  mde_slots slots = shared_cell_slots(&shared);
  mde_slot slot = {index, word};
  assert_int_equal(mde_slot_stamp_ms(word), stamp_ms);
  assert_int_equal(mde_slot_holder(word), 0);
  mde_slots_heal(&slots, stamp_ms + 1, INT64_MAX);
  assert_int_equal(word_of(slot.index), word); /* sound */
}

static void assert_bounds_hold(void)
{
  for (uint32_t i = 0; i < shared.capacity; i++) {
    uint64_t bound = atomic_load(&shared.words[i / MDE_SLOTS_BLOCK]);
    assert_true(mde_slot_stamp_ms(bound) >= mde_slot_stamp_ms(word_of(i)));
  }
}

/* Some settled, some in flight, some never used, over the moments from 0 to 2000. */
static mde_slots random_contents(test_random *dice)
{
  mde_slots slots = start((uint32_t)test_between(dice, 1, 8) * MDE_SLOTS_BLOCK);
  uint32_t used = (uint32_t)test_between(dice, 0, slots.capacity);
  for (uint32_t i = 0; i < used; i++) {
    mde_slot slot;
    uint32_t index = (uint32_t)test_between(dice, 0, slots.capacity - 1);
    int64_t stamp_ms = test_between(dice, 0, 2000);
    claim_at(&slots, index, stamp_ms, (uint8_t)test_between(dice, 1, 255), &slot);
    if (test_chance(dice, 70))
      mde_slots_move(&slots, &slot, test_chance(dice, 10) ? MDE_SLOT_NEVER_MS : stamp_ms);
  }
  return slots;
}

/* --- room --- */

static void capacity_is_rounded_up_to_whole_blocks(void **state)
{
  (void)state;
  assert_int_equal(mde_slots_capacity(1), 64);
  assert_int_equal(mde_slots_capacity(64), 64);
  assert_int_equal(mde_slots_capacity(65), 128);
  assert_int_equal(mde_slots_capacity(1500), 1536);
  assert_int_equal(mde_slots_bytes(64), 65 * sizeof(uint64_t));
  assert_int_equal(mde_slots_bytes(1536), (24 + 1536) * sizeof(uint64_t));
}

static void cleared_slots_are_sound_and_count_nowhere(void **state)
{
  (void)state;
  mde_slots slots = start(128);
  assert_int_equal(mde_slots_newest_ms(&slots), MDE_SLOT_NEVER_MS);
  assert_int_equal(mde_slots_count(&slots, MDE_SLOT_NEVER_MS + 1), 0);
  mde_slots_heal(&slots, 0, 0);
  assert_int_equal(mde_slots_count(&slots, MDE_SLOT_NEVER_MS + 1), 0);
}

/* --- counting --- */

static uint32_t naive_count(int64_t since_ms)
{
  uint32_t count = 0;
  for (uint32_t i = 0; i < shared.capacity; i++)
    count += mde_slot_stamp_ms(word_of(i)) >= since_ms;
  return count;
}

static uint32_t naive_count_answered(int64_t since_ms, int64_t now_ms)
{
  uint32_t count = 0;
  for (uint32_t i = 0; i < shared.capacity; i++) {
    int64_t stamp_ms = mde_slot_stamp_ms(word_of(i));
    if (mde_slot_holder(word_of(i)) != 0 && stamp_ms > now_ms)
      stamp_ms = now_ms;
    count += stamp_ms >= since_ms;
  }
  return count;
}

static int64_t naive_newest_ms(void)
{
  int64_t newest_ms = MDE_SLOT_NEVER_MS;
  for (uint32_t i = 0; i < shared.capacity; i++) {
    int64_t stamp_ms = mde_slot_stamp_ms(word_of(i));
    if (mde_slot_holder(word_of(i)) == 0 && stamp_ms > newest_ms)
      newest_ms = stamp_ms;
  }
  return newest_ms;
}

/* Asked right at the edges: one more or less is told apart. */
static void assert_counts(const mde_slots *slots, int64_t since_ms, test_random *dice)
{
  uint32_t count = naive_count(since_ms);
  uint32_t first = (uint32_t)test_next(dice);
  int64_t now_ms = since_ms + test_between(dice, -2000, 2000);
  assert_int_equal(mde_slots_count(slots, since_ms), count);
  assert_int_equal(mde_slots_count_answered(slots, since_ms, now_ms),
                   naive_count_answered(since_ms, now_ms));
  assert_false(mde_slots_fewer(slots, count, since_ms, first));
  if (count < slots->capacity)
    assert_true(mde_slots_fewer(slots, count + 1, since_ms, first));
  uint32_t calls = (uint32_t)test_between(dice, 0, slots->capacity);
  assert_int_equal(mde_slots_fewer(slots, calls, since_ms, first), count < calls);
}

static void counts_as_one_by_one(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int i = 0; i < 500; i++) {
    mde_slots slots = random_contents(&dice);
    assert_bounds_hold();
    assert_int_equal(mde_slots_newest_ms(&slots), naive_newest_ms());
    for (int k = 0; k < 20; k++)
      assert_counts(&slots, test_between(&dice, -100, 2100 + LEASE_MS), &dice);
  }
}

static void a_call_counts_since_its_own_moment(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  settle_at(&slots, 5, 1000);
  assert_int_equal(mde_slots_count(&slots, 1000), 1);
  assert_int_equal(mde_slots_count(&slots, 1001), 0);
}

static void more_calls_than_there_are_slots_are_as_many_as_slots(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  for (uint32_t i = 0; i < 63; i++)
    settle_at(&slots, i, 1000);
  assert_true(mde_slots_fewer(&slots, UINT32_MAX, 1000, 0));
  settle_at(&slots, 63, 1000);
  assert_false(mde_slots_fewer(&slots, UINT32_MAX, 1000, 0));
  assert_true(mde_slots_fewer(&slots, UINT32_MAX, 1001, 0));
}

static void what_is_in_flight_counts_as_answered_now_at_the_latest(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot;
  claim_at(&slots, 0, 1000, 1, &slot); /* to 6000 */
  settle_at(&slots, 1, 3000);
  assert_int_equal(mde_slots_count_answered(&slots, 2000, 2000), 2);
  assert_int_equal(mde_slots_count_answered(&slots, 2001, 2000), 1);
  assert_int_equal(mde_slots_count_answered(&slots, 6000, 7000), 1); /* the lease has ended */
  assert_int_equal(mde_slots_count_answered(&slots, 6001, 7000), 0);
}

static void each_holder_is_told_what_it_has_in_flight(void **state)
{
  (void)state;
  mde_slots slots = start(128);
  uint32_t counts[MDE_SLOT_HOLDERS] = {[7] = 100};
  mde_slot slot;
  for (uint32_t i = 0; i < 30; i++)
    claim_at(&slots, i, i < 10 ? 0 : 1, i % 3 == 0 ? 7 : 255, &slot);
  for (uint32_t i = 30; i < 50; i++)
    settle_at(&slots, i, 4000);
  mde_slots_in_flight(&slots, LEASE_MS + 1, counts);
  assert_int_equal(counts[0], 0);
  assert_int_equal(counts[7], 100 + 6); /* 12, 15, ... 27 */
  assert_int_equal(counts[255], 14);
}

/* --- taking and settling --- */

static void a_claim_takes_the_first_that_does_not_count(void **state)
{
  (void)state;
  mde_slots slots = start(128);
  mde_slot slot;
  for (uint32_t i = 0; i < 128; i++)
    settle_at(&slots, i, i == 5 ? 999 : 1000);
  mde_claim claim = {.since_ms = 1000, .now_ms = 2000, .stamp_ms = 7000, .holder = 9, .first = 6};
  assert_true(mde_slots_claim(&slots, &claim, &slot));
  assert_int_equal(slot.index, 5);
  assert_int_equal(slot.word, word_of(5));
  assert_int_equal(mde_slot_stamp_ms(slot.word), 7000);
  assert_int_equal(mde_slot_holder(slot.word), 9);
  assert_bounds_hold();
  assert_false(mde_slots_claim(&slots, &claim, &slot));
}

static void a_claim_may_begin_anywhere(void **state)
{
  (void)state;
  mde_slots slots = start(128);
  static const struct {
    uint32_t first, index;
  } cases[] = {{127, 127}, {127, 0}, {128, 1}, {64, 64}, {UINT32_MAX, 2}, {129, 3}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_claim claim = {.since_ms = 0, .stamp_ms = 10, .holder = 1, .first = cases[i].first};
    mde_slot slot;
    assert_true(mde_slots_claim(&slots, &claim, &slot));
    assert_int_equal(slot.index, cases[i].index);
  }
}

static void what_is_settled_is_nobodys_from_then_on(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot;
  claim_at(&slots, 3, 1000, 9, &slot);
  mde_slots_move(&slots, &slot, 1234);
  assert_settled(3, 1234);
  mde_slots_move(&slots, &slot, 4321); /* again */
  assert_settled(3, 1234);
}

static void settling_later_than_claimed_raises_the_bound(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot;
  claim_at(&slots, 3, 1000, 9, &slot);
  mde_slots_move(&slots, &slot, 1000000);
  assert_bounds_hold();
  assert_false(mde_slots_fewer(&slots, 1, 1000000, 0));
}

static void a_move_after_somebody_else_took_the_slot_changes_nothing(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot late, owner;
  claim_at(&slots, 3, 0, 9, &late);
  claim_at(&slots, 3, LEASE_MS + 1, 8, &owner);
  mde_slots_move(&slots, &late, 7000);
  assert_int_equal(word_of(3), owner.word);
}

static void a_slot_that_does_not_exist_is_not_moved(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  uint64_t beyond = 17;
  atomic_store(&shared.words[65], beyond);
  mde_slot slot = {64, beyond};
  mde_slots_move(&slots, &slot, 1000);
  assert_int_equal(atomic_load(&shared.words[65]), beyond);
}

static void a_claim_of_a_damaged_slot_makes_it_a_call_of_now(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  for (uint32_t i = 0; i < 64; i++)
    settle_at(&slots, i, 1000);
  put(5, 0);
  mde_claim claim = {.since_ms = 500, .now_ms = 2000, .stamp_ms = 7000, .holder = 9, .first = 5};
  mde_slot slot;
  assert_false(mde_slots_claim(&slots, &claim, &slot));
  assert_settled(5, 2000);
  assert_bounds_hold();
  assert_false(mde_slots_claim(&slots, &claim, &slot));
}

/* --- mending --- */

static uint64_t random_garbage(test_random *dice)
{
  switch (test_between(dice, 0, 3)) {
  case 0:
    return 0;
  case 1:
    return UINT64_MAX;
  case 2:
    return mde_slot_since(test_between(dice, 0, 2000)) | 2; /* an even check: never right */
  default:
    return test_next(dice) & ~UINT64_C(1);
  }
}

static void damaged_words_become_calls_of_now_and_sound_ones_stay(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int run = 0; run < 200; run++) {
    mde_slots slots = random_contents(&dice);
    static uint64_t before[SHARED_SLOTS];
    for (uint32_t i = 0; i < slots.capacity; i++) {
      if (test_chance(&dice, 20))
        put(i, random_garbage(&dice));
      before[i] = word_of(i);
    }
    mde_slots_heal(&slots, 3000, 100000);
    for (uint32_t i = 0; i < slots.capacity; i++) {
      bool damaged = (before[i] & 1) == 0 || before[i] == UINT64_MAX;
      if (!damaged)
        assert_int_equal(word_of(i), before[i]);
      else
        assert_int_equal(mde_slot_stamp_ms(word_of(i)), 3000);
    }
    assert_bounds_hold();
  }
}

static void a_word_of_another_slot_is_a_damaged_one(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  settle_at(&slots, 1, 1000);
  put(2, word_of(1));
  mde_slots_heal(&slots, 3000, 100000);
  assert_settled(1, 1000);
  assert_settled(2, 3000);
}

static void the_newest_call_is_no_damaged_word(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  settle_at(&slots, 1, 1000);
  put(2, mde_slot_since(5000));
  assert_int_equal(mde_slots_newest_ms(&slots), 1000);
}

static void moments_that_cannot_be_become_calls_of_now(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot at_most, beyond;
  claim_at(&slots, 0, 1000, 1, &at_most);
  claim_at(&slots, 1, 1001, 1, &beyond);
  mde_slots_heal(&slots, 900, 1000 + LEASE_MS);
  assert_int_equal(word_of(0), at_most.word);
  assert_settled(1, 900);
}

static void lost_bounds_are_found_again(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int run = 0; run < 100; run++) {
    mde_slots slots = random_contents(&dice);
    for (uint32_t i = 0; i < slots.capacity / MDE_SLOTS_BLOCK; i++)
      atomic_store(&shared.words[i], test_chance(&dice, 50) ? 0 : test_next(&dice));
    mde_slots_heal(&slots, 3000, 100000);
    assert_bounds_hold();
    assert_counts(&slots, test_between(&dice, 0, 2000), &dice);
  }
}

static void filling_leaves_what_counts_and_nothing_free(void **state)
{
  (void)state;
  mde_slots slots = start(128);
  mde_slot slot;
  settle_at(&slots, 1, 999);
  settle_at(&slots, 2, 1000);
  claim_at(&slots, 3, 1000, 1, &slot);
  mde_slots_fill(&slots, 1000, 5000);
  assert_settled(0, 5000);
  assert_settled(1, 5000);
  assert_settled(2, 1000);
  assert_int_equal(word_of(3), slot.word);
  assert_settled(127, 5000);
  assert_bounds_hold();
  assert_int_equal(mde_slots_count(&slots, 1000), 128);
}

/* --- copying --- */

static shared_cell older;

/* What is in `shared` becomes the old one; a new one of that capacity takes its place. */
static mde_slots move_over(uint32_t capacity, int64_t earlier_ms, int64_t latest_ms)
{
  memcpy(&older, &shared, sizeof older);
  mde_slots from = shared_cell_slots(&older);
  mde_slots slots = start(capacity);
  mde_slots_copy(&slots, &from, earlier_ms, latest_ms);
  return slots;
}

static void a_copy_by_the_same_clock_keeps_the_moments(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot;
  settle_at(&slots, 1, 1000);
  settle_at(&slots, 2, 9000);
  claim_at(&slots, 3, 2000, 1, &slot);
  slots = move_over(128, 0, INT64_MAX);
  assert_settled(0, MDE_SLOT_NEVER_MS);
  assert_settled(1, 1000);
  assert_settled(2, 9000);
  assert_settled(3, 2000 + LEASE_MS); /* nobody will settle it here */
  assert_settled(127, MDE_SLOT_NEVER_MS);
  assert_int_equal(mde_slots_count(&slots, 1000), 3);
}

static void a_copy_by_another_clock_keeps_the_distances(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot;
  settle_at(&slots, 1, 1000);
  settle_at(&slots, 2, 9000);
  claim_at(&slots, 3, 8000, 1, &slot); /* to 13000 */
  move_over(64, 9000, 0);
  assert_settled(0, MDE_SLOT_NEVER_MS);
  assert_settled(1, -8000);
  assert_settled(2, 0);
  assert_settled(3, 0);
}

static void a_copy_counts_what_is_damaged_as_a_call_of_now(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  settle_at(&slots, 1, 1000);
  put(1, word_of(1) ^ 4);
  slots = move_over(64, 0, INT64_MAX);
  mde_slots_heal(&slots, 5000, 100000);
  assert_settled(1, 5000);
}

static void a_copy_takes_no_moment_from_before_all_moments(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  settle_at(&slots, 1, 1000);
  settle_at(&slots, 2, MDE_SLOT_NEVER_MS + 10);
  move_over(64, 11, INT64_MAX);
  assert_settled(1, 989);
  assert_settled(2, MDE_SLOT_NEVER_MS);
}

static void a_copy_into_other_salt_is_sound(void **state)
{
  (void)state;
  mde_slots from = start(64);
  settle_at(&from, 1, 1000);
  memcpy(&older, &shared, sizeof older);
  from = shared_cell_slots(&older);
  from.salt = SHARED_SALT;
  mde_slots slots = {shared.words, 64, SHARED_SALT + 1};
  mde_slots_clear(&slots);
  mde_slots_copy(&slots, &from, 0, INT64_MAX);
  mde_slots_heal(&slots, 5000, 100000);
  assert_int_equal(mde_slots_count(&slots, MDE_SLOT_NEVER_MS + 1), 1);
  assert_int_equal(mde_slots_newest_ms(&slots), 1000);
}

/* --- whatever happens, no bound hides a call --- */

static void random_change(const mde_slots *slots, test_random *dice, int64_t now_ms,
                          mde_slot held[8])
{
  mde_slot *slot = &held[test_between(dice, 0, 7)];
  mde_claim claim = {.since_ms = now_ms - test_between(dice, 0, 500),
                     .now_ms = now_ms,
                     .stamp_ms = now_ms + test_between(dice, 0, 1000),
                     .holder = 1,
                     .first = (uint32_t)test_next(dice)};
  if (test_chance(dice, 50))
    mde_slots_claim(slots, &claim, slot);
  else
    mde_slots_move(slots, slot, now_ms + test_between(dice, -100, 5000));
  if (test_chance(dice, 2)) {
    put((uint32_t)test_between(dice, 0, slots->capacity - 1), 0);
    mde_slots_heal(slots, now_ms, now_ms + 10000);
  }
  if (test_chance(dice, 1))
    mde_slots_fill(slots, now_ms - 2000, now_ms);
}

static void bounds_never_hide_a_call(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (int run = 0; run < 20; run++) {
    mde_slots slots = start((uint32_t)test_between(&dice, 1, 4) * MDE_SLOTS_BLOCK);
    mde_slot held[8] = {{0, 0}};
    int64_t now_ms = 0;
    for (int i = 0; i < 1000; i++, now_ms += test_between(&dice, 0, 20)) {
      random_change(&slots, &dice, now_ms, held);
      assert_bounds_hold();
      assert_counts(&slots, now_ms + test_between(&dice, -1000, 1000), &dice);
    }
  }
}

static void a_damaged_word_counts_before_it_is_healed(void **state)
{
  (void)state;
  mde_slots slots = start(64);
  mde_slot slot = {0, 0};
  mde_claim claim = {.since_ms = 0, .now_ms = 1000, .stamp_ms = 2000, .holder = 1};
  assert_true(mde_slots_claim(&slots, &claim, &slot));
  assert_int_equal(mde_slots_count(&slots, 500), 1);
  put(slot.index, 0);
  assert_int_equal(mde_slots_count(&slots, 500), 1);
  assert_false(mde_slots_fewer(&slots, 1, 500, 0));
}

static void a_damaged_bound_hides_nothing(void **state)
{
  (void)state;
  static const uint64_t damage[] = {0, 1, UINT64_C(1) << 40, UINT64_MAX};
  for (size_t i = 0; i < TEST_COUNT(damage); i++) {
    mde_slots slots = start(64);
    mde_slot slot = {0, 0};
    mde_claim claim = {.since_ms = 0, .now_ms = 1000, .stamp_ms = 2000, .holder = 1};
    assert_true(mde_slots_claim(&slots, &claim, &slot));
    atomic_store(&shared.words[0], damage[i]);
    assert_false(mde_slots_fewer(&slots, 1, 500, 0));
    mde_slots_move(&slots, &slot, 900); /* raises the bound, and must not make it pass for sound */
    assert_false(mde_slots_fewer(&slots, 1, 500, 0));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_word_keeps_moment_and_holder),
      cmocka_unit_test(zeroes_and_ones_are_never_a_sound_word),
      cmocka_unit_test(garbage_is_hardly_ever_a_sound_word),
      cmocka_unit_test(a_word_of_elsewhere_is_hardly_ever_sound),
      cmocka_unit_test(a_single_wrong_bit_is_noticed),
      cmocka_unit_test(words_compare_as_their_moments_do),
      cmocka_unit_test(capacity_is_rounded_up_to_whole_blocks),
      cmocka_unit_test(cleared_slots_are_sound_and_count_nowhere),
      cmocka_unit_test(counts_as_one_by_one),
      cmocka_unit_test(a_call_counts_since_its_own_moment),
      cmocka_unit_test(more_calls_than_there_are_slots_are_as_many_as_slots),
      cmocka_unit_test(what_is_in_flight_counts_as_answered_now_at_the_latest),
      cmocka_unit_test(each_holder_is_told_what_it_has_in_flight),
      cmocka_unit_test(a_claim_takes_the_first_that_does_not_count),
      cmocka_unit_test(a_claim_may_begin_anywhere),
      cmocka_unit_test(what_is_settled_is_nobodys_from_then_on),
      cmocka_unit_test(settling_later_than_claimed_raises_the_bound),
      cmocka_unit_test(a_move_after_somebody_else_took_the_slot_changes_nothing),
      cmocka_unit_test(a_slot_that_does_not_exist_is_not_moved),
      cmocka_unit_test(a_claim_of_a_damaged_slot_makes_it_a_call_of_now),
      cmocka_unit_test(damaged_words_become_calls_of_now_and_sound_ones_stay),
      cmocka_unit_test(a_word_of_another_slot_is_a_damaged_one),
      cmocka_unit_test(the_newest_call_is_no_damaged_word),
      cmocka_unit_test(moments_that_cannot_be_become_calls_of_now),
      cmocka_unit_test(lost_bounds_are_found_again),
      cmocka_unit_test(filling_leaves_what_counts_and_nothing_free),
      cmocka_unit_test(a_copy_by_the_same_clock_keeps_the_moments),
      cmocka_unit_test(a_copy_by_another_clock_keeps_the_distances),
      cmocka_unit_test(a_copy_counts_what_is_damaged_as_a_call_of_now),
      cmocka_unit_test(a_copy_takes_no_moment_from_before_all_moments),
      cmocka_unit_test(a_copy_into_other_salt_is_sound),
      cmocka_unit_test(bounds_never_hide_a_call),
      cmocka_unit_test(a_damaged_word_counts_before_it_is_healed),
      cmocka_unit_test(a_damaged_bound_hides_nothing),
  };
  return cmocka_run_group_tests_name("quota_slots", tests, NULL, NULL);
}

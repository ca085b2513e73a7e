#include "core/credential.h"
#include "test.h"

static mde_credential start(bool renewable)
{
  mde_credential credential;
  mde_credential_init(&credential, &mde_memory_system, renewable);
  return credential;
}

static mde_slice token(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static void assert_token(const mde_credential *credential, const char *wanted)
{
  mde_slice held = mde_credential_token(credential);
  assert_int_equal(held.length, strlen(wanted));
  assert_memory_equal(held.data, wanted, held.length);
}

static void a_token_is_visible_ascii(void **state)
{
  (void)state;
  for (int code = 0; code < 256; code++) {
    char text[3] = {'a', (char)code, 'b'};
    assert_int_equal(mde_token_valid(text, 3), code > 0x20 && code < 0x7f);
  }
}

static void a_token_has_a_length(void **state)
{
  (void)state;
  static char text[MDE_TOKEN_MAX + 1];
  memset(text, 'x', sizeof text);
  assert_false(mde_token_valid(text, 0));
  assert_false(mde_token_valid("", 0));
  assert_true(mde_token_valid(text, 1));
  assert_true(mde_token_valid(text, MDE_TOKEN_MAX));
  assert_false(mde_token_valid(text, MDE_TOKEN_MAX + 1));
}

static void without_a_source_there_is_none(void **state)
{
  (void)state;
  mde_credential credential = start(false);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_NONE);
  assert_token(&credential, "");
  mde_credential_free(&credential);
}

static void a_given_token_stays_fresh_for_ever(void **state)
{
  (void)state;
  mde_credential credential = start(false);
  assert_int_equal(mde_credential_set(&credential, token("abc"), MDE_TIME_NEVER), MDE_OK);
  assert_int_equal(mde_credential_ask(&credential, INT64_MAX - 1), MDE_TOKEN_FRESH);
  assert_string_equal(mde_buffer_text(&credential.header), "Authorization: Bearer abc");
  assert_token(&credential, "abc");
  mde_credential_free(&credential);
}

static void a_given_token_stands_after_a_401(void **state)
{
  (void)state;
  mde_credential credential = start(false);
  mde_credential_set(&credential, token("abc"), MDE_TIME_NEVER);
  mde_credential_refuse(&credential, credential.generation, 0);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FRESH);
  mde_credential_free(&credential);
}

static void one_asker_fetches_and_the_others_wait(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FETCH);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_WAIT);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_WAIT);
  mde_credential_set(&credential, token("abc"), 1000);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FRESH);
  mde_credential_free(&credential);
}

static void a_token_is_fetched_again_at_its_end(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  mde_credential_ask(&credential, 0);
  mde_credential_set(&credential, token("abc"), 1000);
  assert_int_equal(mde_credential_ask(&credential, 999), MDE_TOKEN_FRESH);
  assert_int_equal(mde_credential_ask(&credential, 1000), MDE_TOKEN_FETCH);
  mde_credential_set(&credential, token("def"), MDE_TIME_NEVER);
  assert_int_equal(mde_credential_ask(&credential, INT64_MAX - 1), MDE_TOKEN_FRESH);
  assert_token(&credential, "def");
  mde_credential_free(&credential);
}

static void a_failed_fetch_is_counted_and_may_be_repeated(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  mde_credential_ask(&credential, 0);
  mde_credential_fail(&credential, MDE_FETCH_FAILED, 0, "no network", 0);
  assert_int_equal(credential.failures, 1);
  assert_string_equal(credential.reason, "no network");
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FETCH);
  mde_credential_free(&credential);
}

static void a_long_reason_is_cut(void **state)
{
  (void)state;
  char reason[1000];
  memset(reason, 'x', sizeof reason);
  reason[sizeof reason - 1] = '\0';
  mde_credential credential = start(true);
  mde_credential_fail(&credential, MDE_FETCH_FAILED, 0, reason, 0);
  assert_int_equal(strlen(credential.reason), MDE_TOKEN_REASON_MAX);
  mde_credential_fail(&credential, MDE_FETCH_FAILED, 0, "", 0);
  assert_string_equal(credential.reason, "");
  mde_credential_free(&credential);
}

static void a_refused_token_is_fetched_anew(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  mde_credential_ask(&credential, 0);
  mde_credential_set(&credential, token("abc"), MDE_TIME_NEVER);
  mde_credential_refuse(&credential, credential.generation, 0);
  assert_token(&credential, "");
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FETCH);
  mde_credential_free(&credential);
}

static void a_401_to_an_older_token_says_nothing_about_the_newer(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  mde_credential_set(&credential, token("old"), MDE_TIME_NEVER);
  uint32_t old = credential.generation;
  mde_credential_refuse(&credential, old, 0);
  mde_credential_set(&credential, token("new"), MDE_TIME_NEVER);
  mde_credential_refuse(&credential, old, 0);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FRESH);
  assert_token(&credential, "new");
  mde_credential_free(&credential);
}

/* --- renewal --- */

static mde_credential fetched(int64_t expires_ms, int64_t now_ms)
{
  mde_credential credential = start(true);
  credential.patient = true;
  mde_credential_ask(&credential, now_ms);
  mde_credential_set(&credential, token("abc"), expires_ms);
  mde_credential_renew_early(&credential, now_ms);
  return credential;
}

static void a_given_token_may_end(void **state)
{
  (void)state;
  mde_credential credential = start(false);
  mde_credential_set(&credential, token("abc"), 100);
  assert_int_equal(mde_credential_ask(&credential, 99), MDE_TOKEN_FRESH);
  assert_int_equal(mde_credential_ask(&credential, 100), MDE_TOKEN_NONE);
  mde_credential_free(&credential);
}

static void it_is_renewed_five_minutes_or_a_tenth_of_its_life_early(void **state)
{
  (void)state;
  static const int64_t lives_ms[][2] = {{3600000, 3300000}, {600000, 540000}, {1000, 900}};
  for (size_t i = 0; i < 3; i++) {
    mde_credential credential = fetched(lives_ms[i][0], 0);
    assert_false(mde_credential_renews(&credential, lives_ms[i][1] - 1));
    assert_true(mde_credential_renews(&credential, lives_ms[i][1]));
    assert_false(mde_credential_renews(&credential, lives_ms[i][1])); /* somebody does */
    assert_int_equal(mde_credential_ask(&credential, lives_ms[i][0] - 1), MDE_TOKEN_FRESH);
    assert_false(mde_credential_awaited(&credential, lives_ms[i][0] - 1));
    assert_int_equal(mde_credential_ask(&credential, lives_ms[i][0]), MDE_TOKEN_WAIT);
    assert_true(mde_credential_awaited(&credential, lives_ms[i][0]));
    mde_credential_free(&credential);
  }
}

static void a_token_without_an_end_is_not_renewed(void **state)
{
  (void)state;
  mde_credential credential = fetched(MDE_TIME_NEVER, 0);
  assert_false(mde_credential_renews(&credential, INT64_MAX - 1));
  mde_credential_free(&credential);
}

static void a_failed_renewal_is_repeated_after_pauses_that_grow(void **state)
{
  (void)state;
  static const int64_t pauses_ms[] = {5000, 10000, 20000, 40000, 60000, 60000};
  mde_credential credential = fetched(100000000, 0);
  int64_t now_ms = credential.renew_ms;
  for (size_t i = 0; i < 6; i++) {
    assert_true(mde_credential_renews(&credential, now_ms));
    mde_credential_fail(&credential, MDE_FETCH_PASSING, 0, "down", now_ms);
    assert_int_equal(mde_credential_ask(&credential, now_ms), MDE_TOKEN_FRESH);
    assert_false(mde_credential_renews(&credential, now_ms + pauses_ms[i] - 1));
    now_ms += pauses_ms[i];
  }
  mde_credential_renews(&credential, now_ms);
  mde_credential_fail(&credential, MDE_FETCH_THROTTLED, 90000, "busy", now_ms);
  assert_false(mde_credential_renews(&credential, now_ms + 89999));
  assert_true(mde_credential_renews(&credential, now_ms + 90000));
  mde_credential_free(&credential);
}

static void nobody_asks_before_a_pause_is_over(void **state)
{
  (void)state;
  static const mde_fetch_end ends[] = {MDE_FETCH_FAILED, MDE_FETCH_PASSING, MDE_FETCH_THROTTLED,
                                       MDE_FETCH_REFUSED};
  static const mde_token_state states[] = {MDE_TOKEN_FETCH, MDE_TOKEN_FETCH, MDE_TOKEN_LATER,
                                           MDE_TOKEN_NONE};
  for (size_t i = 0; i < 4; i++) {
    mde_credential credential = start(true);
    mde_credential_ask(&credential, 0);
    mde_credential_fail(&credential, ends[i], 30000, "no", 0);
    assert_int_equal(mde_credential_ask(&credential, 29999), states[i]);
    if (states[i] != MDE_TOKEN_FETCH)
      assert_int_equal(mde_credential_ask(&credential, 30000), MDE_TOKEN_FETCH);
    mde_credential_free(&credential);
  }
}

static void a_401_to_a_token_that_was_good_has_it_renewed_each_time(void **state)
{
  (void)state;
  mde_credential credential = fetched(3600000, 0);
  for (int i = 0; i < 20; i++) {
    mde_credential_prove(&credential, credential.generation);
    assert_true(mde_credential_refuse(&credential, credential.generation, 100));
    assert_int_equal(mde_credential_ask(&credential, 100), MDE_TOKEN_FETCH);
    mde_credential_set(&credential, token("new"), 3600000);
  }
  mde_credential_free(&credential);
}

static void a_401_to_one_that_never_was_has_it_renewed_once_a_minute(void **state)
{
  (void)state;
  mde_credential credential = fetched(3600000, 0);
  assert_true(mde_credential_refuse(&credential, credential.generation, 0));
  mde_credential_ask(&credential, 0);
  mde_credential_set(&credential, token("new"), 3600000);
  mde_credential_prove(&credential, credential.generation - 1); /* late news of the old one */
  assert_false(mde_credential_refuse(&credential, credential.generation, 59999));
  assert_token(&credential, "new");
  assert_true(mde_credential_refuse(&credential, credential.generation, 60000));
  assert_token(&credential, "");
  mde_credential_free(&credential);
}

static void a_kept_token_is_looked_at_again_when_it_was_said(void **state)
{
  (void)state;
  mde_credential credential = fetched(MDE_TIME_NEVER, 0);
  mde_credential_keep(&credential, 1000);
  assert_false(mde_credential_renews(&credential, 999));
  assert_true(mde_credential_renews(&credential, 1000));
  mde_credential_keep(&credential, 2000);
  assert_false(credential.fetching);
  mde_credential_free(&credential);
}

static void the_longest_token_fits(void **state)
{
  (void)state;
  static char text[MDE_TOKEN_MAX];
  memset(text, 'x', sizeof text);
  mde_credential credential = start(false);
  assert_int_equal(mde_credential_set(&credential, (mde_slice){text, sizeof text}, 0), MDE_OK);
  assert_int_equal(mde_credential_token(&credential).length, MDE_TOKEN_MAX);
  mde_credential_free(&credential);
}

static void a_token_that_is_too_long_leaves_none(void **state)
{
  (void)state;
  static char text[MDE_TOKEN_MAX + 1];
  memset(text, 'x', sizeof text);
  mde_credential credential = start(true);
  mde_credential_set(&credential, token("abc"), MDE_TIME_NEVER);
  assert_int_equal(mde_credential_set(&credential, (mde_slice){text, sizeof text}, 0),
                   MDE_TOO_LARGE);
  assert_token(&credential, "");
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FETCH);
  mde_credential_free(&credential);
}

static void tokens_are_wiped_wherever_they_have_been(void **state)
{
  (void)state;
  static char text[5000];
  memset(text, 'x', sizeof text);
  test_heap heap = {.secret = true};
  mde_memory memory = test_memory(&heap);
  mde_credential credential;
  mde_credential_init(&credential, &memory, true);
  mde_credential_set(&credential, token("short"), 0);
  mde_credential_set(&credential, (mde_slice){text, sizeof text}, 0);
  mde_credential_refuse(&credential, credential.generation, 0);
  for (size_t i = 0; i < credential.header.capacity; i++)
    assert_int_equal(credential.header.data[i], 0);
  mde_credential_set(&credential, (mde_slice){text, sizeof text}, 0);
  mde_credential_set(&credential, token("short"), 0);
  assert_null(memchr(credential.header.data, 'x', credential.header.capacity));
  mde_credential_free(&credential);
  mde_credential_free(&credential);
  assert_int_equal(heap.blocks, 0);
  assert_int_equal(heap.unwiped, 0);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  static char text[5000];
  memset(text, 'x', sizeof text);
  for (size_t k = 1; k < 6; k++) {
    test_heap heap = {.fail_at = k, .secret = true};
    mde_memory memory = test_memory(&heap);
    mde_credential credential;
    mde_credential_init(&credential, &memory, true);
    mde_credential_ask(&credential, 0);
    mde_status status =
        mde_credential_set(&credential, (mde_slice){text, sizeof text}, MDE_TIME_NEVER);
    bool failed = heap.allocations >= k;
    assert_int_equal(status, failed ? MDE_NO_MEMORY : MDE_OK);
    assert_int_equal(mde_credential_token(&credential).length, failed ? 0 : sizeof text);
    assert_int_equal(mde_credential_ask(&credential, 0),
                     failed ? MDE_TOKEN_FETCH : MDE_TOKEN_FRESH);
    mde_credential_free(&credential);
    assert_int_equal(heap.blocks, 0);
    assert_int_equal(heap.unwiped, 0);
  }
}

static void free_accepts_zeroed(void **state)
{
  (void)state;
  mde_credential zeroed = {0};
  mde_credential_free(&zeroed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_is_visible_ascii),
      cmocka_unit_test(a_token_has_a_length),
      cmocka_unit_test(without_a_source_there_is_none),
      cmocka_unit_test(a_given_token_stays_fresh_for_ever),
      cmocka_unit_test(a_given_token_stands_after_a_401),
      cmocka_unit_test(one_asker_fetches_and_the_others_wait),
      cmocka_unit_test(a_token_is_fetched_again_at_its_end),
      cmocka_unit_test(a_failed_fetch_is_counted_and_may_be_repeated),
      cmocka_unit_test(a_long_reason_is_cut),
      cmocka_unit_test(a_refused_token_is_fetched_anew),
      cmocka_unit_test(a_401_to_an_older_token_says_nothing_about_the_newer),
      cmocka_unit_test(a_given_token_may_end),
      cmocka_unit_test(it_is_renewed_five_minutes_or_a_tenth_of_its_life_early),
      cmocka_unit_test(a_token_without_an_end_is_not_renewed),
      cmocka_unit_test(a_failed_renewal_is_repeated_after_pauses_that_grow),
      cmocka_unit_test(nobody_asks_before_a_pause_is_over),
      cmocka_unit_test(a_401_to_a_token_that_was_good_has_it_renewed_each_time),
      cmocka_unit_test(a_401_to_one_that_never_was_has_it_renewed_once_a_minute),
      cmocka_unit_test(a_kept_token_is_looked_at_again_when_it_was_said),
      cmocka_unit_test(the_longest_token_fits),
      cmocka_unit_test(a_token_that_is_too_long_leaves_none),
      cmocka_unit_test(tokens_are_wiped_wherever_they_have_been),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(free_accepts_zeroed),
  };
  return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}

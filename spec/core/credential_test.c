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
  assert_int_equal(mde_credential_set(&credential, token("abc"), 100), MDE_OK);
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
  mde_credential_refuse(&credential, credential.generation);
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
  mde_credential_fail(&credential, "no network");
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
  mde_credential_fail(&credential, reason);
  assert_int_equal(strlen(credential.reason), MDE_TOKEN_REASON_MAX);
  mde_credential_fail(&credential, "");
  assert_string_equal(credential.reason, "");
  mde_credential_free(&credential);
}

static void a_refused_token_is_fetched_anew(void **state)
{
  (void)state;
  mde_credential credential = start(true);
  mde_credential_ask(&credential, 0);
  mde_credential_set(&credential, token("abc"), MDE_TIME_NEVER);
  mde_credential_refuse(&credential, credential.generation);
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
  mde_credential_refuse(&credential, old);
  mde_credential_set(&credential, token("new"), MDE_TIME_NEVER);
  mde_credential_refuse(&credential, old);
  assert_int_equal(mde_credential_ask(&credential, 0), MDE_TOKEN_FRESH);
  assert_token(&credential, "new");
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
  mde_credential_refuse(&credential, credential.generation);
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
      cmocka_unit_test(the_longest_token_fits),
      cmocka_unit_test(a_token_that_is_too_long_leaves_none),
      cmocka_unit_test(tokens_are_wiped_wherever_they_have_been),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(free_accepts_zeroed),
  };
  return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}

#include "core/grant.h"
#include "test.h"

static bool cut(const char *answer, char *masked, char *token, size_t size)
{
  mde_buffer body, found;
  mde_buffer_init(&body, &mde_memory_system, 4096);
  mde_buffer_init_secret(&found, &mde_memory_system, 4096);
  mde_buffer_append_text(&body, answer);
  bool ok = mde_grant_cut(&body, &found);
  snprintf(masked, size, "%s", mde_buffer_text(&body));
  snprintf(token, size, "%s", mde_buffer_text(&found));
  mde_buffer_free(&body);
  mde_buffer_free(&found);
  return ok;
}

static void the_token_is_moved_and_masked(void **state)
{
  (void)state;
  char masked[256], token[256];
  assert_true(cut("{\"token_type\":\"Bearer\" , \"access_token\" : \"eyJ.a-b_\", \"expires_in\":1}",
                  masked, token, sizeof masked));
  assert_string_equal(token, "eyJ.a-b_");
  assert_string_equal(
      masked, "{\"token_type\":\"Bearer\" , \"access_token\" : \"********\", \"expires_in\":1}");
}

static void what_holds_none_stays_as_it_is(void **state)
{
  (void)state;
  static const char *const answers[] = {
      "",
      "{}",
      "access_token",
      "{\"access_token\"",
      "{\"access_token\":",
      "{\"access_token\":5}",
      "{\"access_token\":\"",
      "{\"access_token\":\"abc",
      "{\"access_token\":\"\"}",
      "{\"access_token\":\"a b\"}",
      "{\"access_token\":\"a\\u0062\"}",
      "{\"access_token\":\"a\\\"b\"}",
      "{\"x\":\"\\\"access_token\\\":\\\"abc\\\"\"}",
  };
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    char masked[256], token[256];
    assert_false(cut(answers[i], masked, token, sizeof masked));
    assert_string_equal(masked, answers[i]);
    assert_string_equal(token, "");
  }
}

static void bytes_behind_a_nul_are_not_looked_at(void **state)
{
  (void)state;
  static const char bytes[] = "{\0\"access_token\":\"abc\"}";
  mde_buffer body, token;
  mde_buffer_init(&body, &mde_memory_system, 4096);
  mde_buffer_init_secret(&token, &mde_memory_system, 4096);
  mde_buffer_append(&body, bytes, sizeof bytes - 1);
  assert_false(mde_grant_cut(&body, &token));
  mde_buffer_free(&body);
  mde_buffer_free(&token);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_token_is_moved_and_masked),
      cmocka_unit_test(what_holds_none_stays_as_it_is),
      cmocka_unit_test(bytes_behind_a_nul_are_not_looked_at),
  };
  return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}

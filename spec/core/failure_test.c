#include "core/failure.h"
#include "test.h"

#define ORIGIN "https://api.example"

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, text != NULL ? strlen(text) : 0};
}

static mde_failure_context context_of(const char *operation, const char *code, const char *message)
{
  return (mde_failure_context){.operation = mde_operation_find(operation, strlen(operation)),
                               .origin = text_of(ORIGIN),
                               .audience = text_of("https://api.securitycenter.microsoft.com"),
                               .service_code = text_of(code),
                               .service_message = text_of(message)};
}

static mde_buffer explained(const mde_failure *failure, const mde_failure_context *context)
{
  mde_buffer text;
  mde_buffer_init(&text, &mde_memory_system, MDE_FAILURE_TEXT_MAX);
  mde_failure_explain(&text, failure, context);
  return text;
}

static void assert_contains(const char *text, const char *words)
{
  if (strstr(text, words) == NULL)
    fail_msg("\"%s\" does not contain \"%s\"", text, words);
}

static void assert_says(const mde_failure *failure, const char *code, const char *message,
                        const char *wanted)
{
  mde_failure_context context = context_of("alert_ips", code, message);
  mde_buffer text = explained(failure, &context);
  assert_string_equal(mde_buffer_text(&text), wanted);
  mde_buffer_free(&text);
}

static void knows_the_kind_of_every_status(void **state)
{
  (void)state;
  for (int status = -1; status < 1100; status++) {
    mde_error_kind wanted = status == 401 || status == 403 ? MDE_ERROR_AUTH
                            : status == 404                ? MDE_ERROR_NOT_FOUND
                            : status == 429                ? MDE_ERROR_RATE_LIMITED
                                                           : MDE_ERROR_HTTP;
    assert_int_equal(mde_failure_kind_of_status(status), wanted);
  }
}

/* --- the sentences that people meet most --- */

static const struct {
  mde_failure failure;
  const char *code, *message, *sentence;
} golden[] = {
    {{.kind = MDE_ERROR_NOT_FOUND, .status = 404, .retry_after_ms = -1, .attempts = 1},
     "ResourceNotFound",
     "Alert x was not found.",
     "alert_ips: the alert was not found (404 ResourceNotFound): Alert x was not found. Check the "
     "id; it may also be past the retention period or out of the token's reach."},
    {{.kind = MDE_ERROR_AUTH, .status = 401, .retry_after_ms = -1, .attempts = 2},
     NULL,
     NULL,
     "alert_ips: the service refused the token (401) after 2 attempts. Get a new token; its "
     "audience must be https://api.securitycenter.microsoft.com."},
    {{.kind = MDE_ERROR_AUTH, .status = 403, .retry_after_ms = -1, .attempts = 1},
     "Forbidden",
     "Missing application roles",
     "alert_ips: not permitted (403 Forbidden): Missing application roles. The token needs the "
     "permission Ip.Read.All, granted to the app registration and consented to by an "
     "administrator."},
    {{.kind = MDE_ERROR_RATE_LIMITED, .status = 429, .retry_after_ms = 12340, .attempts = 4},
     "429",
     "API calls quota exceeded! maximum allowed 45 per 00:01:00",
     "alert_ips: the service's limit for this operation is used up (429 429) after 4 attempts: API "
     "calls quota exceeded! maximum allowed 45 per 00:01:00. Try again in 12.4 s."},
    {{.kind = MDE_ERROR_HTTP, .status = 500, .retry_after_ms = -1, .attempts = 4},
     NULL,
     NULL,
     "alert_ips: the service failed (500) after 4 attempts."},
    {{.kind = MDE_ERROR_NETWORK,
      .reason = MDE_FAILURE_TRANSPORT,
      .retry_after_ms = -1,
      .attempts = 0,
      .detail = "Could not resolve host: api.example"},
     NULL,
     NULL,
     "alert_ips: no answer from " ORIGIN ": Could not resolve host: api.example. Check the "
     "network, base_url and the proxy."},
    {{.kind = MDE_ERROR_TIMEOUT,
      .reason = MDE_FAILURE_TRANSPORT,
      .retry_after_ms = -1,
      .attempts = 4},
     NULL,
     NULL,
     "alert_ips: no answer in time from " ORIGIN " after 4 attempts. Check the network, or allow "
     "more with timeout or connect_timeout."},
    {{.kind = MDE_ERROR_TLS,
      .reason = MDE_FAILURE_TRANSPORT,
      .retry_after_ms = -1,
      .detail = "certificate has expired"},
     NULL,
     NULL,
     "alert_ips: no trusted connection to " ORIGIN ": certificate has expired. Check the host "
     "name, the clock and, behind an inspecting proxy, ca_file."},
    {{.kind = MDE_ERROR_RATE_LIMITED, .reason = MDE_FAILURE_BUDGET_QUOTA, .retry_after_ms = 60000},
     NULL,
     NULL,
     "alert_ips: the quota is used up; waiting for it would last longer than the budget allows. "
     "Try again in 60 s."},
    {{.kind = MDE_ERROR_AUTH,
      .reason = MDE_FAILURE_TOKEN,
      .retry_after_ms = -1,
      .detail = "vault is sealed"},
     NULL,
     NULL,
     "alert_ips: no token: vault is sealed."},
    {{.kind = MDE_ERROR_JSON,
      .reason = MDE_FAILURE_BODY,
      .status = 200,
      .retry_after_ms = -1,
      .detail = "expected value but found invalid token at character 1"},
     NULL,
     NULL,
     "alert_ips: the answer (200) is not the JSON that the API sends: expected value but found "
     "invalid token at character 1. Check base_url and the proxy: is it really the API that "
     "answers at " ORIGIN "?"},
    {{.kind = MDE_ERROR_CANCELLED, .reason = MDE_FAILURE_CANCELLED, .retry_after_ms = -1},
     NULL,
     NULL,
     "alert_ips: cancelled."},
    {{.kind = MDE_ERROR_CLOSED, .reason = MDE_FAILURE_CLOSED, .retry_after_ms = -1},
     NULL,
     NULL,
     "alert_ips: the client is closed."},
};

static void says_the_common_sentences_word_for_word(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(golden); i++)
    assert_says(&golden[i].failure, golden[i].code, golden[i].message, golden[i].sentence);
}

/* --- rules for all sentences --- */

static void every_sentence_names_the_operation_and_ends(void **state)
{
  (void)state;
  for (int reason = MDE_FAILURE_STATUS; reason <= MDE_FAILURE_MEMORY; reason++) {
    for (int kind = 0; kind <= MDE_ERROR_MEMORY; kind++) {
      mde_failure failure = {.reason = (mde_failure_reason)reason,
                             .kind = (mde_error_kind)kind,
                             .status = 418,
                             .retry_after_ms = -1};
      mde_failure_context context = context_of("alert_ips", NULL, NULL);
      mde_buffer text = explained(&failure, &context);
      assert_int_equal(text.status, MDE_OK);
      assert_memory_equal(mde_buffer_text(&text), "alert_ips: ", 11);
      assert_true(text.length > 15 && strchr(".?", text.data[text.length - 1]) != NULL);
      assert_null(strstr(text.data, ".."));
      assert_null(strstr(text.data, "  "));
      mde_buffer_free(&text);
    }
  }
}

static void an_empty_context_and_failure_do_no_harm(void **state)
{
  (void)state;
  for (int reason = MDE_FAILURE_STATUS; reason <= MDE_FAILURE_MEMORY; reason++) {
    mde_failure failure = {.reason = (mde_failure_reason)reason};
    mde_failure_context context = {.operation = &mde_operations[0]};
    mde_buffer text = explained(&failure, &context);
    assert_memory_equal(mde_buffer_text(&text), "alerts: ", 8);
    mde_buffer_free(&text);
  }
}

static void the_status_is_always_said(void **state)
{
  (void)state;
  static const struct {
    int status;
    const char *says;
  } cases[] = {
      {100, "the request was refused (100)"},
      {301, "answered with a redirect, which is not followed (301). Check base_url"},
      {304, "redirect"},
      {400, "the request was refused (400)"},
      {401, "the service refused the token (401). Get a new token"},
      {403, "not permitted (403). The token needs the permission"},
      {404, "not found (404). Check the id"},
      {409, "the request was refused (409)"},
      {429, "limit for this operation is used up (429)"},
      {500, "the service failed (500)"},
      {503, "the service failed (503)"},
      {599, "the service failed (599)"},
      {999, "(999)"},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_failure failure = {.status = cases[i].status, .retry_after_ms = -1};
    mde_failure_context context = context_of("alert_ips", NULL, NULL);
    mde_buffer text = explained(&failure, &context);
    assert_contains(mde_buffer_text(&text), cases[i].says);
    mde_buffer_free(&text);
  }
}

static void a_403_names_each_operations_permission(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_operation_count; i++) {
    mde_failure failure = {.status = 403, .retry_after_ms = -1};
    mde_failure_context context = context_of(mde_operations[i].name, "Forbidden", "no");
    mde_buffer text = explained(&failure, &context);
    assert_contains(mde_buffer_text(&text), mde_operations[i].permission);
    mde_buffer_free(&text);
  }
}

static void a_404_names_what_is_missing(void **state)
{
  (void)state;
  mde_failure failure = {.status = 404, .retry_after_ms = -1};
  mde_failure_context context = context_of("alert_machine", NULL, NULL);
  mde_buffer text = explained(&failure, &context);
  assert_contains(mde_buffer_text(&text), "the alert or its machine was not found (404)");
  mde_buffer_free(&text);
}

static void an_unknown_outcome_is_said(void **state)
{
  (void)state;
  static const mde_failure_reason reasons[] = {MDE_FAILURE_STATUS, MDE_FAILURE_TRANSPORT,
                                               MDE_FAILURE_CANCELLED};
  for (size_t i = 0; i < TEST_COUNT(reasons); i++) {
    mde_failure failure = {.kind = MDE_ERROR_TIMEOUT,
                           .reason = reasons[i],
                           .status = 500,
                           .retry_after_ms = -1,
                           .unknown = true};
    mde_failure_context context = context_of("alert_ips", NULL, NULL);
    mde_buffer text = explained(&failure, &context);
    assert_contains(mde_buffer_text(&text), "whether it took effect is unknown");
    mde_buffer_free(&text);
  }
}

static void a_wait_is_said_in_seconds_rounded_up(void **state)
{
  (void)state;
  static const struct {
    int64_t wait_ms;
    const char *says;
  } cases[] = {{0, " Try again in 0 s."},         {1, " Try again in 0.1 s."},
               {100, " Try again in 0.1 s."},     {101, " Try again in 0.2 s."},
               {1000, " Try again in 1 s."},      {59999, " Try again in 60 s."},
               {3600000, " Try again in 3600 s."}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_failure failure = {.status = 503, .retry_after_ms = cases[i].wait_ms};
    mde_failure_context context = context_of("alert_ips", NULL, NULL);
    mde_buffer text = explained(&failure, &context);
    assert_contains(mde_buffer_text(&text), cases[i].says);
    mde_buffer_free(&text);
  }
}

static void a_budget_that_ends_a_call_tells_what_happened_last(void **state)
{
  (void)state;
  mde_failure failure = {.kind = MDE_ERROR_TIMEOUT,
                         .reason = MDE_FAILURE_BUDGET_BACKOFF,
                         .status = 503,
                         .retry_after_ms = 400,
                         .detail = "reset"};
  assert_says(&failure, NULL, NULL,
              "alert_ips: the pause before another attempt would last longer than the budget "
              "allows; the last answer's status was 503; the last attempt failed: reset. Try again "
              "in 0.4 s.");
}

/* --- other people's words --- */

static void control_characters_are_blanked(void **state)
{
  (void)state;
  static const char message[] = "a\x1b[31mb\r\nc\td\x7f\xc2\x9b"
                                "31me\x01\xc3\xa6\xc2\xa7";
  mde_failure failure = {.status = 500, .retry_after_ms = -1};
  assert_says(&failure, "\x1b]0;x\x07", message,
              "alert_ips: the service failed (500  ]0;x ): a [31mb  c d  31me \xc3\xa6\xc2\xa7.");
}

static void control_characters_of_the_transport_are_blanked(void **state)
{
  (void)state;
  mde_failure failure = {.kind = MDE_ERROR_NETWORK,
                         .reason = MDE_FAILURE_TRANSPORT,
                         .retry_after_ms = -1,
                         .detail = "a\nb\x1b"
                                   "c"};
  mde_failure_context context = context_of("alert_ips", NULL, NULL);
  mde_buffer text = explained(&failure, &context);
  assert_contains(mde_buffer_text(&text), ": a b c.");
  mde_buffer_free(&text);
}

static void nul_bytes_do_not_end_the_sentence(void **state)
{
  (void)state;
  mde_failure failure = {.status = 500, .retry_after_ms = -1};
  mde_failure_context context = context_of("alert_ips", NULL, NULL);
  context.service_message = (mde_slice){"a\0b", 3};
  mde_buffer text = explained(&failure, &context);
  assert_string_equal(mde_buffer_text(&text), "alert_ips: the service failed (500): a b.");
  mde_buffer_free(&text);
}

static void long_messages_are_cut_between_characters(void **state)
{
  (void)state;
  char message[1000];
  for (size_t offset = 0; offset < 4; offset++) {
    memset(message, 'x', offset);
    for (size_t i = offset; i + 3 < sizeof message; i += 3)
      memcpy(message + i, "\xe2\x82\xac", 4);
    mde_failure failure = {.status = 500, .retry_after_ms = -1};
    mde_failure_context context = context_of("alert_ips", NULL, message);
    mde_buffer text = explained(&failure, &context);
    assert_true(text.length < 400);
    assert_contains(mde_buffer_text(&text), "\xe2\x82\xac...");
    mde_buffer_free(&text);
  }
}

static void a_message_of_continuation_bytes_only_is_cut_too(void **state)
{
  (void)state;
  char message[1000];
  memset(message, '\x80', sizeof message);
  message[sizeof message - 1] = '\0';
  mde_failure failure = {.status = 500, .retry_after_ms = -1};
  mde_failure_context context = context_of("alert_ips", message, message);
  mde_buffer text = explained(&failure, &context);
  assert_true(text.length < 700);
  mde_buffer_free(&text);
}

static void the_longest_sentence_fits(void **state)
{
  (void)state;
  char message[1000];
  memset(message, 'x', sizeof message);
  message[sizeof message - 1] = '\0';
  for (int reason = MDE_FAILURE_STATUS; reason <= MDE_FAILURE_MEMORY; reason++) {
    mde_failure failure = {.reason = (mde_failure_reason)reason,
                           .status = 403,
                           .attempts = UINT32_MAX,
                           .retry_after_ms = 3600000,
                           .unknown = true};
    memset(failure.detail, 'x', MDE_FAILURE_DETAIL_MAX);
    mde_failure_context context = context_of("alert_machine", message, message);
    mde_buffer text = explained(&failure, &context);
    assert_int_equal(text.status, MDE_OK);
    mde_buffer_free(&text);
  }
}

static void the_query_of_a_quoted_address_is_left_out(void **state)
{
  (void)state;
  static const struct {
    const char *message, *says;
  } cases[] = {
      {"No route GET /api/alerts?$filter=secret", ": No route GET /api/alerts?..."},
      {"https://h/x?a='secret word' is bad", ": https://h/x?..."},
      {"<a href=\"/x?secret\">", ": <a href=\"/x?..."},
      {"is it? either/or", ": is it? either/or."},
      {"https://h/x?", ": https://h/x?."},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_failure failure = {.status = 400, .retry_after_ms = -1};
    mde_failure_context context = context_of("alert_ips", NULL, cases[i].message);
    mde_buffer text = explained(&failure, &context);
    assert_null(strstr(mde_buffer_text(&text), "secret"));
    assert_contains(mde_buffer_text(&text), cases[i].says);
    mde_buffer_free(&text);
  }
}

static void an_array_gets_as_much_of_the_sentence_as_it_holds(void **state)
{
  (void)state;
  mde_failure failure = {.status = 403, .retry_after_ms = 1000, .attempts = 3};
  mde_failure_context context = context_of("alert_ips", "Forbidden", "no");
  mde_buffer whole = explained(&failure, &context);
  for (size_t size = 20; size < 300; size++) {
    char text[300];
    memset(text, 'x', sizeof text);
    size_t length = mde_failure_text(text, size, &failure, &context);
    assert_true(length < size && length <= whole.length);
    assert_int_equal(strlen(text), length);
    assert_memory_equal(text, mde_buffer_text(&whole), length);
    assert_int_equal(length == whole.length, size > whole.length);
    for (size_t i = size; i < sizeof text; i++)
      assert_int_equal(text[i], 'x');
  }
  mde_buffer_free(&whole);
}

/* BUG: it ended with the first half of one. */
static void a_sentence_without_room_ends_with_a_whole_character(void **state)
{
  (void)state;
  static const char start[] = "alert_ips: the request was refused (400): ";
  mde_failure failure = {.status = 400, .retry_after_ms = -1};
  mde_failure_context context =
      context_of("alert_ips", NULL, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
  for (size_t room = 0; room <= 12; room++) {
    char text[80];
    mde_failure_text(text, sizeof start + room, &failure, &context);
    assert_int_equal(strlen(text), sizeof start - 1 + room / 3 * 3);
  }
}

/* BUG: a token function's long message, cut to what is kept of it, ended with half a character. */
static void half_a_character_at_the_end_is_left_out(void **state)
{
  (void)state;
  static const char *const details[] = {"no\xc3", "no\xe2\x82", "no\xf0\x9f\x98", "no\xf0"};
  for (size_t i = 0; i < TEST_COUNT(details); i++) {
    mde_failure failure = {.reason = MDE_FAILURE_TOKEN, .retry_after_ms = -1};
    snprintf(failure.detail, sizeof failure.detail, "%s", details[i]);
    mde_failure_context context = context_of("alert_ips", NULL, NULL);
    mde_buffer text = explained(&failure, &context);
    assert_string_equal(mde_buffer_text(&text), "alert_ips: no token: no.");
    mde_buffer_free(&text);
  }
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  mde_failure failure = {.status = 403, .retry_after_ms = 1000, .attempts = 3};
  mde_failure_context context = context_of("alert_ips", "Forbidden", "no");
  for (size_t k = 1; k < 8; k++) {
    test_heap heap = {.fail_at = k};
    mde_memory memory = test_memory(&heap);
    mde_buffer text;
    mde_buffer_init(&text, &memory, MDE_FAILURE_TEXT_MAX);
    mde_failure_explain(&text, &failure, &context);
    assert_int_equal(text.status, heap.allocations >= k ? MDE_NO_MEMORY : MDE_OK);
    mde_buffer_free(&text);
    assert_int_equal(heap.blocks, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_the_kind_of_every_status),
      cmocka_unit_test(says_the_common_sentences_word_for_word),
      cmocka_unit_test(every_sentence_names_the_operation_and_ends),
      cmocka_unit_test(an_empty_context_and_failure_do_no_harm),
      cmocka_unit_test(the_status_is_always_said),
      cmocka_unit_test(a_403_names_each_operations_permission),
      cmocka_unit_test(a_404_names_what_is_missing),
      cmocka_unit_test(an_unknown_outcome_is_said),
      cmocka_unit_test(a_wait_is_said_in_seconds_rounded_up),
      cmocka_unit_test(a_budget_that_ends_a_call_tells_what_happened_last),
      cmocka_unit_test(control_characters_are_blanked),
      cmocka_unit_test(control_characters_of_the_transport_are_blanked),
      cmocka_unit_test(nul_bytes_do_not_end_the_sentence),
      cmocka_unit_test(long_messages_are_cut_between_characters),
      cmocka_unit_test(a_message_of_continuation_bytes_only_is_cut_too),
      cmocka_unit_test(the_longest_sentence_fits),
      cmocka_unit_test(the_query_of_a_quoted_address_is_left_out),
      cmocka_unit_test(an_array_gets_as_much_of_the_sentence_as_it_holds),
      cmocka_unit_test(a_sentence_without_room_ends_with_a_whole_character),
      cmocka_unit_test(half_a_character_at_the_end_is_left_out),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}

#include "core/login_failure.h"
#include "test.h"

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static void assert_ends(mde_failure failure, mde_fetch_end wanted, int64_t wanted_wait_ms)
{
  int64_t wait_ms = -1;
  assert_int_equal(mde_login_end(&failure, &wait_ms), wanted);
  assert_int_equal(wait_ms, wanted_wait_ms);
}

static void what_follows_depends_on_who_is_to_blame(void **state)
{
  (void)state;
  assert_ends((mde_failure){.status = 401, .retry_after_ms = -1}, MDE_FETCH_REFUSED, 300000);
  assert_ends((mde_failure){.status = 400, .retry_after_ms = -1}, MDE_FETCH_REFUSED, 300000);
  assert_ends((mde_failure){.status = 302, .retry_after_ms = -1}, MDE_FETCH_REFUSED, 300000);
  assert_ends((mde_failure){.status = 429, .retryable = true, .retry_after_ms = 7000},
              MDE_FETCH_THROTTLED, 7000);
  assert_ends((mde_failure){.status = 429, .retryable = true, .retry_after_ms = -1},
              MDE_FETCH_THROTTLED, 0);
  assert_ends((mde_failure){.status = 503, .retryable = true, .retry_after_ms = 9000},
              MDE_FETCH_THROTTLED, 9000);
  assert_ends((mde_failure){.status = 503, .retryable = true, .retry_after_ms = -1},
              MDE_FETCH_PASSING, 0);
  assert_ends(
      (mde_failure){.reason = MDE_FAILURE_TRANSPORT, .retryable = true, .retry_after_ms = -1},
      MDE_FETCH_PASSING, 0);
  assert_ends((mde_failure){.reason = MDE_FAILURE_TRANSPORT, .retry_after_ms = -1},
              MDE_FETCH_FAILED, 0);
  assert_ends((mde_failure){.reason = MDE_FAILURE_BODY, .status = 200, .retry_after_ms = -1},
              MDE_FETCH_FAILED, 0);
}

static const struct {
  mde_failure failure;
  bool local;
  const char *code, *description, *trace_id, *sentence;
} sentences[] = {
    /* For want of memory it blamed the network, or an answer that had been fine. */
    {{.reason = MDE_FAILURE_MEMORY, .status = 200},
     false,
     "",
     "",
     "",
     "not enough memory to fetch it"},
    {{.reason = MDE_FAILURE_MEMORY}, true, "", "", "", "not enough memory to fetch it"},
    {{.status = 401, .kind = MDE_ERROR_AUTH},
     false,
     "invalid_client",
     "AADSTS7000215: Wrong.\r\nTrace ID: 1\r\nCorrelation ID: 2",
     "t-1",
     "https://login.example refused the credential (401 invalid_client): AADSTS7000215: Wrong. "
     "Trace "
     "id: t-1. Give the secret's value, not its id."},
    {{.status = 400, .kind = MDE_ERROR_HTTP},
     false,
     "invalid_request",
     "AADSTS90002: No tenant. Trace ID: 1 Correlation ID: 2",
     "",
     "https://login.example refused the credential (400 invalid_request): AADSTS90002: No tenant. "
     "Check tenant_id, and that authority is the login host of its cloud."},
    {{.status = 400, .kind = MDE_ERROR_HTTP},
     true,
     "invalid_request",
     "Identity not found",
     "",
     "https://login.example refused the credential (400 invalid_request): Identity not found. "
     "Check "
     "that the identity is assigned to this machine."},
    {{.status = 302, .kind = MDE_ERROR_HTTP},
     false,
     "",
     "",
     "",
     "https://login.example answered with a redirect, which is not followed (302)."},
    {{.status = 429, .kind = MDE_ERROR_RATE_LIMITED},
     false,
     "",
     "",
     "",
     "https://login.example asks for a pause (429)."},
    {{.status = 503, .kind = MDE_ERROR_HTTP},
     false,
     "",
     "",
     "",
     "https://login.example failed (503)."},
    {{.reason = MDE_FAILURE_TRANSPORT, .kind = MDE_ERROR_TLS, .detail = "self-signed certificate"},
     false,
     "",
     "",
     "",
     "none could be fetched from https://login.example: self-signed certificate. Check the clock "
     "and, behind an inspecting proxy, ca_file."},
    {{.reason = MDE_FAILURE_TRANSPORT, .kind = MDE_ERROR_TIMEOUT},
     true,
     "",
     "",
     "",
     "none could be fetched from https://login.example. Does this machine have a managed identity? "
     "Only Azure's machines do."},
    {{.reason = MDE_FAILURE_BODY, .status = 200, .kind = MDE_ERROR_JSON, .detail = "no token"},
     false,
     "",
     "",
     "",
     "what is no token came from https://login.example: no token."},
};

static mde_login_failure facts_of(size_t i)
{
  return (mde_login_failure){
      .failure = &sentences[i].failure,
      .endpoint = text_of("https://login.example/t/oauth2/v2.0/token?resource=secret"),
      .local = sentences[i].local,
      .code = text_of(sentences[i].code),
      .description = text_of(sentences[i].description),
      .trace_id = text_of(sentences[i].trace_id)};
}

static void each_says_what_happened_and_what_to_do(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(sentences); i++) {
    char text[MDE_TOKEN_REASON_MAX + 1];
    mde_login_failure facts = facts_of(i);
    mde_login_text(text, sizeof text, &facts);
    assert_string_equal(text, sentences[i].sentence);
  }
}

static void it_fits_into_any_room(void **state)
{
  (void)state;
  for (size_t size = 1; size < 300; size++) {
    char text[300];
    mde_login_failure facts = facts_of(0);
    memset(text, 'x', sizeof text);
    mde_login_text(text, size, &facts);
    assert_true(strlen(text) < size);
  }
}

/* BUG: the digits were read up to the first other character, whatever the words' length said. */
static void a_number_ends_with_the_words_that_hold_it(void **state)
{
  (void)state;
  char text[MDE_TOKEN_REASON_MAX + 1];
  mde_failure failure = {.status = 401};
  mde_login_failure facts = {.failure = &failure,
                             .endpoint = text_of("https://login.example"),
                             .description = {"AADSTS53003"
                                             "9",
                                             11}};
  mde_login_text(text, sizeof text, &facts);
  assert_non_null(strstr(text, "A conditional access policy forbids it"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_follows_depends_on_who_is_to_blame),
      cmocka_unit_test(each_says_what_happened_and_what_to_do),
      cmocka_unit_test(it_fits_into_any_room),
      cmocka_unit_test(a_number_ends_with_the_words_that_hold_it),
  };
  return cmocka_run_group_tests_name("login_failure", tests, NULL, NULL);
}

/* Sentences on a token that could not be had, of whatever words its endpoint said; and what
 * follows, which is never an endless pause. */
#include "core/login_failure.h"

#include "words.h"

static void assert_end(const mde_failure *failure)
{
  int64_t wait_ms = -1;
  mde_fetch_end end = mde_login_end(failure, &wait_ms);
  assert_true(end <= MDE_FETCH_REFUSED);
  assert_true(wait_ms >= 0 && wait_ms <= 3600000);
  assert_true(failure->status != 429 || end == MDE_FETCH_THROTTLED);
}

/* The endpoint's query holds a client's id; what else says it is nobody's secret. */
static void assert_text(const mde_login_failure *facts, bool secretive)
{
  char text[MDE_TOKEN_REASON_MAX + 1];
  mde_login_text(text, sizeof text, facts);
  assert_true(memchr(text, '\0', sizeof text) != NULL);
  assert_calm(text, strlen(text));
  assert_true(!secretive || strstr(text, "secretive") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static const char endpoint[] = "http://169.254.169.254/metadata/token?client_id=secretive";
  fuzz_input input = fuzz_begin(bytes, size);
  mde_failure failure = {.reason = (mde_failure_reason)fuzz_number(&input, 0, MDE_FAILURE_MEMORY),
                         .kind = (mde_error_kind)fuzz_number(&input, 0, MDE_ERROR_MEMORY),
                         .status = (int)fuzz_number(&input, 0, 999),
                         .retry_after_ms = fuzz_number(&input, -1, 3600000)};
  mde_slice detail = fuzz_line(&input);
  size_t length = detail.length < MDE_FAILURE_DETAIL_MAX ? detail.length : MDE_FAILURE_DETAIL_MAX;
  memcpy(failure.detail, detail.data, length);
  failure.retryable = detail.length % 2 == 0;
  mde_login_failure facts = {.failure = &failure,
                             .endpoint = {endpoint, sizeof endpoint - 1},
                             .local = detail.length % 3 == 0,
                             .code = fuzz_line(&input),
                             .trace_id = fuzz_line(&input)};
  facts.description = fuzz_rest(&input);
  assert_text(&facts, size == 0 || memmem(bytes, size, "secretive", 9) == NULL);
  assert_end(&failure);
  fuzz_free(&input);
  return 0;
}

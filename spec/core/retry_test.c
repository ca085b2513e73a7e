#include "core/retry.h"
#include "test.h"

typedef enum retry_expected { AGAIN, STOP, UNKNOWN } retry_expected;

typedef struct retry_row {
  const char *name;
  mde_outcome_kind outcome;
  bool sent;
  int status;
  int64_t retry_after_ms;
  retry_expected reads, changes;
} retry_row;

/* Section 5 of the design, line by line. */
static const retry_row table[] = {
    {"not resolved", MDE_OUTCOME_UNREACHABLE, false, 0, -1, AGAIN, AGAIN},
    {"connection timed out", MDE_OUTCOME_TIMEOUT, false, 0, -1, AGAIN, AGAIN},
    {"cut off before sending", MDE_OUTCOME_BROKEN, false, 0, -1, AGAIN, AGAIN},
    {"429 with Retry-After", MDE_OUTCOME_ANSWER, true, 429, 7000, AGAIN, AGAIN},
    {"429", MDE_OUTCOME_ANSWER, true, 429, -1, AGAIN, AGAIN},
    {"503 with Retry-After", MDE_OUTCOME_ANSWER, true, 503, 0, AGAIN, AGAIN},
    {"503", MDE_OUTCOME_ANSWER, true, 503, -1, AGAIN, UNKNOWN},
    {"408", MDE_OUTCOME_ANSWER, true, 408, -1, AGAIN, UNKNOWN},
    {"500", MDE_OUTCOME_ANSWER, true, 500, -1, AGAIN, UNKNOWN},
    {"502", MDE_OUTCOME_ANSWER, true, 502, -1, AGAIN, UNKNOWN},
    {"504", MDE_OUTCOME_ANSWER, true, 504, -1, AGAIN, UNKNOWN},
    {"500 with Retry-After", MDE_OUTCOME_ANSWER, true, 500, 7000, AGAIN, UNKNOWN},
    {"unreachable after sending", MDE_OUTCOME_UNREACHABLE, true, 0, -1, AGAIN, UNKNOWN},
    {"reset or short body", MDE_OUTCOME_BROKEN, true, 0, -1, AGAIN, UNKNOWN},
    {"timeout after sending", MDE_OUTCOME_TIMEOUT, true, 0, -1, AGAIN, UNKNOWN},
    {"certificate refused", MDE_OUTCOME_TLS, false, 0, -1, STOP, STOP},
    {"too large", MDE_OUTCOME_TOO_LARGE, true, 0, -1, STOP, STOP},
    {"no memory", MDE_OUTCOME_NO_MEMORY, true, 0, -1, STOP, STOP},
    {"200", MDE_OUTCOME_ANSWER, true, 200, -1, STOP, STOP},
    {"301", MDE_OUTCOME_ANSWER, true, 301, -1, STOP, STOP},
    {"400", MDE_OUTCOME_ANSWER, true, 400, -1, STOP, STOP},
    {"401", MDE_OUTCOME_ANSWER, true, 401, -1, STOP, STOP},
    {"403", MDE_OUTCOME_ANSWER, true, 403, -1, STOP, STOP},
    {"404", MDE_OUTCOME_ANSWER, true, 404, -1, STOP, STOP},
    {"404 with Retry-After", MDE_OUTCOME_ANSWER, true, 404, 7000, STOP, STOP},
    {"501", MDE_OUTCOME_ANSWER, true, 501, -1, STOP, STOP},
    {"505", MDE_OUTCOME_ANSWER, true, 505, -1, STOP, STOP},
    {"999", MDE_OUTCOME_ANSWER, true, 999, -1, STOP, STOP},
};

static mde_retry_case case_of(const retry_row *row, bool changes)
{
  return (mde_retry_case){.outcome = row->outcome,
                          .sent = row->sent,
                          .status = row->status,
                          .changes = changes,
                          .attempt = 1,
                          .max_attempts = 4,
                          .retry_after_ms = row->retry_after_ms,
                          .random = 0.5};
}

static void assert_verdict(const retry_row *row, bool changes, retry_expected expected)
{
  mde_retry_case retry_case = case_of(row, changes);
  mde_retry_verdict verdict = mde_retry_decide(&retry_case);
  if (verdict.again != (expected == AGAIN) || verdict.retryable != (expected == AGAIN) ||
      verdict.unknown != (expected == UNKNOWN))
    fail_msg("%s (%s): again %d, retryable %d, unknown %d", row->name,
             changes ? "changes" : "reads", verdict.again, verdict.retryable, verdict.unknown);
}

static void keeps_the_table_for_requests_that_only_read(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(table); i++)
    assert_verdict(&table[i], false, table[i].reads);
}

static void keeps_the_table_for_requests_that_change_something(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(table); i++)
    assert_verdict(&table[i], true, table[i].changes);
}

static void no_attempt_follows_the_last_but_the_failure_stays_retryable(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(table); i++) {
    mde_retry_case retry_case = case_of(&table[i], false);
    retry_case.attempt = retry_case.max_attempts;
    mde_retry_verdict verdict = mde_retry_decide(&retry_case);
    assert_false(verdict.again);
    assert_int_equal(verdict.retryable, table[i].reads == AGAIN);
  }
}

static void with_one_attempt_there_is_no_other(void **state)
{
  (void)state;
  mde_retry_case retry_case = case_of(&table[0], false);
  retry_case.max_attempts = 1;
  assert_false(mde_retry_decide(&retry_case).again);
}

static void what_was_cancelled_is_not_tried_again_by_us(void **state)
{
  (void)state;
  static const struct {
    bool sent, changes, retryable, unknown;
  } cases[] = {{false, false, true, false},
               {true, false, true, false},
               {false, true, true, false},
               {true, true, false, true}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_retry_case retry_case = {.outcome = MDE_OUTCOME_CANCELLED,
                                 .sent = cases[i].sent,
                                 .changes = cases[i].changes,
                                 .attempt = 1,
                                 .max_attempts = 4,
                                 .retry_after_ms = -1};
    mde_retry_verdict verdict = mde_retry_decide(&retry_case);
    assert_false(verdict.again);
    assert_int_equal(verdict.retryable, cases[i].retryable);
    assert_int_equal(verdict.unknown, cases[i].unknown);
  }
}

static int64_t wait_ms(uint32_t attempt, int64_t retry_after_ms, double random)
{
  mde_retry_case retry_case = {.outcome = MDE_OUTCOME_ANSWER,
                               .sent = true,
                               .status = 503,
                               .attempt = attempt,
                               .max_attempts = UINT32_MAX,
                               .retry_after_ms = retry_after_ms,
                               .random = random};
  return mde_retry_decide(&retry_case).wait_ms;
}

static void the_jitter_goes_from_nothing_up_to_a_doubling_ceiling(void **state)
{
  (void)state;
  static const struct {
    uint32_t attempt;
    int64_t ceiling_ms;
  } cases[] = {{1, 500},   {2, 1000},  {3, 2000},  {4, 4000},     {5, 8000},
               {6, 16000}, {7, 30000}, {8, 30000}, {1000, 30000}, {UINT32_MAX - 1, 30000}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    assert_int_equal(wait_ms(cases[i].attempt, -1, 0.0), 0);
    assert_int_equal(wait_ms(cases[i].attempt, -1, 0.5), cases[i].ceiling_ms / 2);
    assert_int_equal(wait_ms(cases[i].attempt, -1, 0.9999999), cases[i].ceiling_ms - 1);
  }
}

static void retry_after_wins_over_the_jitter(void **state)
{
  (void)state;
  static const int64_t waits_ms[] = {0, 1, 7000, 3600000};
  for (size_t i = 0; i < TEST_COUNT(waits_ms); i++)
    assert_int_equal(wait_ms(7, waits_ms[i], 0.999), waits_ms[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_the_table_for_requests_that_only_read),
      cmocka_unit_test(keeps_the_table_for_requests_that_change_something),
      cmocka_unit_test(no_attempt_follows_the_last_but_the_failure_stays_retryable),
      cmocka_unit_test(with_one_attempt_there_is_no_other),
      cmocka_unit_test(what_was_cancelled_is_not_tried_again_by_us),
      cmocka_unit_test(the_jitter_goes_from_nothing_up_to_a_doubling_ceiling),
      cmocka_unit_test(retry_after_wins_over_the_jitter),
  };
  return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}

#include "core/retry.h"

static bool is_passing_fault(int status)
{
  return status == 408 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* The service says that it did not take the request. */
static bool was_turned_away(const mde_retry_case *retry_case)
{
  return retry_case->status == 429 ||
         (retry_case->status == 503 && retry_case->retry_after_ms >= 0);
}

/* Whether trying again could help, whatever the request does. */
static bool may_pass(const mde_retry_case *retry_case)
{
  switch (retry_case->outcome) {
  case MDE_OUTCOME_ANSWER:
    return retry_case->status == 429 || is_passing_fault(retry_case->status);
  case MDE_OUTCOME_UNREACHABLE:
  case MDE_OUTCOME_TIMEOUT:
  case MDE_OUTCOME_BROKEN:
  case MDE_OUTCOME_CANCELLED:
    return true;
  case MDE_OUTCOME_TLS:
  case MDE_OUTCOME_TOO_LARGE:
  case MDE_OUTCOME_NO_MEMORY:
    break;
  }
  return false;
}

static bool may_have_happened(const mde_retry_case *retry_case)
{
  if (retry_case->outcome == MDE_OUTCOME_ANSWER)
    return !was_turned_away(retry_case);
  return retry_case->sent;
}

/* Full jitter: anywhere between nothing and base * 2^(attempt-1), so that clients which failed
 * together do not come back together. */
static int64_t backoff_ms(uint32_t attempt, double random)
{
  int64_t ceiling = MDE_BACKOFF_BASE_MS;
  for (uint32_t i = 1; i < attempt && ceiling < MDE_BACKOFF_CAP_MS; i++)
    ceiling *= 2;
  if (ceiling > MDE_BACKOFF_CAP_MS)
    ceiling = MDE_BACKOFF_CAP_MS;
  return (int64_t)((double)ceiling * random);
}

mde_retry_verdict mde_retry_decide(const mde_retry_case *retry_case)
{
  bool passing = may_pass(retry_case);
  bool unknown = passing && retry_case->changes && may_have_happened(retry_case);
  mde_retry_verdict verdict = {.retryable = passing && !unknown, .unknown = unknown};
  verdict.again = verdict.retryable && retry_case->attempt < retry_case->max_attempts &&
                  retry_case->outcome != MDE_OUTCOME_CANCELLED;
  if (verdict.again)
    verdict.wait_ms = retry_case->retry_after_ms >= 0
                          ? retry_case->retry_after_ms
                          : backoff_ms(retry_case->attempt, retry_case->random);
  return verdict;
}

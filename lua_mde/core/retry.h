/* The verdict on an attempt: stop, or again in so many milliseconds. Pure: no clock, no dice.
 *
 *   mde_retry_verdict verdict = mde_retry_decide(&(mde_retry_case){
 *       .outcome = MDE_OUTCOME_ANSWER, .status = 503, .retry_after_ms = -1,
 *       .attempt = 1, .max_attempts = 4, .random = 0.5});
 *
 * It knows nothing of tokens (a 401 is the call's business) or budgets. */
#ifndef MDE_CORE_RETRY_H
#define MDE_CORE_RETRY_H

#include "core/request.h"

enum { MDE_BACKOFF_BASE_MS = 500, MDE_BACKOFF_CAP_MS = 30000 };

typedef struct mde_retry_case {
  mde_outcome_kind outcome;
  bool sent;        /* may the service have seen the request? */
  int status;       /* of an answer */
  bool changes;     /* the request changes something in the service */
  uint32_t attempt; /* the one that has just ended, from 1 */
  uint32_t max_attempts;
  int64_t retry_after_ms; /* what the service asked for; -1: nothing */
  double random;          /* in [0, 1): the jitter */
} mde_retry_case;

typedef struct mde_retry_verdict {
  bool again;
  bool retryable; /* the request may be repeated, though perhaps not by us any more */
  bool unknown;   /* it was sent, changes something, and nobody knows whether it did */
  int64_t wait_ms;
} mde_retry_verdict;

mde_retry_verdict mde_retry_decide(const mde_retry_case *retry_case);

#endif

/* Why a call failed, as facts; and those facts as a sentence for people.
 *
 *   mde_failure_explain(&text, &failure, &(mde_failure_context){.operation = operation, ...});
 *   "alert_ips: the alert was not found (404 ResourceNotFound). Check the id; ..."
 *
 * The sentence names the operation, what happened and what to do about it; never a token, a secret
 * or a query string. It is English, and not for programs: they look at the kind. */
#ifndef MDE_CORE_FAILURE_H
#define MDE_CORE_FAILURE_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/operation.h"

enum { MDE_FAILURE_DETAIL_MAX = 511, MDE_FAILURE_TEXT_MAX = 2048 };

typedef enum mde_failure_reason {
  MDE_FAILURE_STATUS,       /* an answer's status */
  MDE_FAILURE_TRANSPORT,    /* no answer */
  MDE_FAILURE_TOKEN,        /* none could be had */
  MDE_FAILURE_BUDGET_QUOTA, /* the quota's wait would pass the budget */
  MDE_FAILURE_QUOTA,        /* it could not decide */
  MDE_FAILURE_QUOTA_CLOSED,
  MDE_FAILURE_BUDGET_RETRY,   /* the service's Retry-After would */
  MDE_FAILURE_BUDGET_BACKOFF, /* the pause before another attempt would */
  MDE_FAILURE_BUDGET_SPENT,   /* it is over */
  MDE_FAILURE_BODY,           /* not JSON, or not what was asked for */
  MDE_FAILURE_LINK_MALFORMED, /* @odata.nextLink cannot be followed */
  MDE_FAILURE_LINK_CIRCLE,    /* @odata.nextLink was seen before */
  MDE_FAILURE_PAGES,          /* more than MDE_PAGES_MAX */
  MDE_FAILURE_CANCELLED,
  MDE_FAILURE_CLOSED,
  MDE_FAILURE_MEMORY
} mde_failure_reason;

typedef struct mde_failure {
  mde_error_kind kind;
  mde_failure_reason reason;
  int status;             /* of the last answer; 0: there was none */
  int64_t retry_after_ms; /* when waiting may help; -1: not known */
  uint32_t attempts;      /* requests that were sent */
  bool retryable;
  bool unknown; /* the request was sent and may or may not have changed something */
  char detail[MDE_FAILURE_DETAIL_MAX + 1];
} mde_failure;

/* What the sentence needs beyond the failure. Everything is borrowed. */
typedef struct mde_failure_context {
  const mde_operation *operation;
  mde_slice origin;          /* the configured host */
  mde_slice service_code;    /* of the error body; empty: none */
  mde_slice service_message; /* likewise */
  mde_slice service_target;  /* likewise: its correlation id */
  mde_slice audience;        /* that tokens must have */
  mde_slice hint;            /* what the token lacks; empty: not known */
} mde_failure_context;

/* The error kind of a status outside 2xx. */
mde_error_kind mde_failure_kind_of_status(int status);

/* Appends the sentence; text.status tells if it was cut. */
void mde_failure_explain(mde_buffer *text, const mde_failure *failure,
                         const mde_failure_context *context);

/* Writes the sentence, cut to what `size` holds, and returns its length. Needs no memory. */
size_t mde_failure_text(char *text, size_t size, const mde_failure *failure,
                        const mde_failure_context *context);

/* Likewise the service's words alone, as they may be shown: shortened, and without control
 * characters or the query of an address. */
size_t mde_failure_quote(char *text, size_t size, mde_slice words);

#endif

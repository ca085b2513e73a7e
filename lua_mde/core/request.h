/* What a call hands to a transport, and what it gets back: the only things that pass between them. */
#ifndef MDE_CORE_REQUEST_H
#define MDE_CORE_REQUEST_H

#include "core/response.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mde_request {
  const char *method;
  const char *url;
  const char *header; /* a whole line, secret, or ""; borrowed: copy it before returning */
  mde_slice form;     /* the body; empty: none. Borrowed until the exchange has come to its end */
  bool direct;        /* past any proxy: plain http, which never leaves this machine's own link */
  int64_t timeout_ms; /* from now to the last byte */
  int64_t connect_timeout_ms;
  mde_response *response; /* where the answer goes; the call's */
} mde_request;

/* What came of an attempt. */
typedef enum mde_outcome_kind {
  MDE_OUTCOME_ANSWER,      /* a whole response, whatever its status */
  MDE_OUTCOME_UNREACHABLE, /* name not resolved, connection refused, set-up cut off */
  MDE_OUTCOME_TIMEOUT,     /* in any phase */
  MDE_OUTCOME_BROKEN,      /* reset, short body, garbage instead of HTTP */
  MDE_OUTCOME_TLS,         /* the other side's certificate or protocol was refused */
  MDE_OUTCOME_TOO_LARGE,   /* more than max_body */
  MDE_OUTCOME_NO_MEMORY,
  MDE_OUTCOME_CANCELLED /* taken off the wire by its owner */
} mde_outcome_kind;

typedef struct mde_outcome {
  mde_outcome_kind kind;
  bool sent;          /* may the service have seen the request? */
  const char *detail; /* the transport's words for people; NULL: none */
} mde_outcome;

#endif

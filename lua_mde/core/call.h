/* One API call as a state machine: what must happen next, and what came of it.
 *
 *   switch (mde_call_next(&call, now_ms)) {
 *   case MDE_CALL_TOKEN:     fetch one, then mde_credential_set() or mde_credential_fail()
 *   case MDE_CALL_QUOTA:     ask the quota, then mde_call_grant() or mde_call_refuse();
 *                            a slot from before was not used: give it back first
 *   case MDE_CALL_WAIT:      nothing before mde_call_wake_ms(), or until something else moves
 *   case MDE_CALL_SEND:      put mde_call_request() on the wire, then mde_call_sent()
 *   case MDE_CALL_IN_FLIGHT: when the transport is through with it: mde_call_feed()
 *   case MDE_CALL_BODY:      decode call.response.body, then mde_call_page() or mde_call_reject()
 *   case MDE_CALL_DONE:      the last page has been handed out
 *   case MDE_CALL_FAILED:    call.failure says why
 *   }
 *
 * The fetch of a token needs neither token nor quota: from SEND to BODY, and mde_call_done() ends it.
 *
 * It never acts: no clock, no waiting, no network, no JSON. A blocking loop, an event loop or a test
 * may drive it. */
#ifndef MDE_CORE_CALL_H
#define MDE_CORE_CALL_H

#include "core/credential.h"
#include "core/failure.h"
#include "core/limits.h"
#include "core/login.h"
#include "core/need.h"
#include "core/paging.h"
#include "core/quota.h"
#include "core/request.h"

typedef struct mde_call {
  const mde_operation *operation;
  mde_credential *credential; /* borrows */
  const mde_login *login;     /* borrows; NULL: a call of the API */
  mde_call_limits limits;
  mde_call_need need;
  mde_paging paging;
  mde_response response;
  uint32_t attempt;  /* of this page, from 1 */
  uint32_t requests; /* sent, of all pages */
  int64_t deadline_ms, wake_ms;
  int64_t granted_ms;
  int64_t trouble_ms; /* since when the quota could not decide; MDE_TIME_NEVER: it could */
  mde_wait_reason wait_reason;
  bool token_renewed, token_awaited;
  uint32_t token_generation, token_failures;
  mde_lesson lesson;
  mde_failure failure;
} mde_call;

/* Cannot fail. Borrows the credential and the memory for its whole life. The first page's address is
 * then made by mde_paging_first(&call->paging, ...). */
void mde_call_init(mde_call *call, const mde_operation *operation, mde_credential *credential,
                   const mde_call_limits *limits, const mde_memory *memory, int64_t now_ms);
/* Of a finished call: gives back what memory is large, and keeps the rest for mde_call_again. */
void mde_call_rest(mde_call *call);
/* Makes a finished call the next one: of the API, or with a login the fetch of a token, which borrows it
 * until it is finished. */
void mde_call_again(mde_call *call, const mde_operation *operation, const mde_call_limits *limits,
                    const mde_login *login, int64_t now_ms);
/* Accepts zeroed, half-made and freed calls. One in flight must be taken off the wire first. */
void mde_call_free(mde_call *call);

mde_call_need mde_call_next(mde_call *call, int64_t now_ms);
bool mde_call_finished(const mde_call *call);

/* Until when MDE_CALL_WAIT stands at most; MDE_TIME_NEVER if only somebody else can end it. */
int64_t mde_call_wake_ms(const mde_call *call);
/* How long the attempt may take, from being granted to being forgotten by the network. */
int64_t mde_call_lease_ms(const mde_call *call, int64_t now_ms);
void mde_call_grant(mde_call *call, int64_t now_ms);
/* A quota that cannot decide is asked again within the budget; without one, for two minutes. */
void mde_call_refuse(mde_call *call, const mde_quota_answer *answer, int64_t now_ms);
mde_request mde_call_request(mde_call *call, int64_t now_ms);
void mde_call_sent(mde_call *call);
/* What came of the attempt; `random` in [0, 1) is its jitter. Sets call->lesson. */
void mde_call_feed(mde_call *call, const mde_outcome *outcome, int64_t now_ms, double random);
/* The body was decoded: so many items, and the page's next link (empty: none). */
void mde_call_page(mde_call *call, int64_t items, mde_slice next_link);
/* Likewise of a token's fetch: it was taken in. */
void mde_call_done(mde_call *call);
/* Ends it with that failure, whatever state it is in; a finished call stays as it is. */
void mde_call_reject(mde_call *call, mde_error_kind kind, mde_failure_reason reason,
                     const char *detail);

#endif

#include "core/call.h"

#include "core/instant.h"
#include "core/retry.h"

#include <string.h>

enum { TROUBLE_MAX_MS = 120000 };

/* Where an attempt begins. */
static mde_call_need first_need(const mde_call *call)
{
  return call->login != NULL ? MDE_CALL_SEND : MDE_CALL_TOKEN;
}

static void begin(mde_call *call, const mde_operation *operation, const mde_call_limits *limits,
                  int64_t now_ms)
{
  call->operation = operation;
  call->limits = *limits;
  call->need = first_need(call);
  call->deadline_ms = MDE_TIME_NEVER;
  call->trouble_ms = MDE_TIME_NEVER;
  call->wake_ms = now_ms;
  if (limits->budget_ms < MDE_TIME_NEVER - now_ms)
    call->deadline_ms = now_ms + limits->budget_ms;
}

void mde_call_init(mde_call *call, const mde_operation *operation, mde_credential *credential,
                   const mde_call_limits *limits, const mde_memory *memory, int64_t now_ms)
{
  *call = (mde_call){.credential = credential};
  mde_paging_init(&call->paging, memory);
  mde_response_init(&call->response, memory, limits->max_body_bytes);
  begin(call, operation, limits, now_ms);
}

void mde_call_rest(mde_call *call)
{
  mde_paging_reset(&call->paging);
  mde_buffer_trim(&call->response.body, MDE_BODY_KEPT_MAX);
}

void mde_call_again(mde_call *call, const mde_operation *operation, const mde_call_limits *limits,
                    const mde_login *login, int64_t now_ms)
{
  mde_call_rest(call);
  *call = (mde_call){.credential = call->credential,
                     .login = login,
                     .paging = call->paging,
                     .response = call->response};
  mde_response_reset(&call->response);
  call->response.body.max_bytes = limits->max_body_bytes;
  begin(call, operation, limits, now_ms);
}

void mde_call_free(mde_call *call)
{
  mde_paging_free(&call->paging);
  mde_response_free(&call->response);
}

bool mde_call_finished(const mde_call *call)
{
  return call->need == MDE_CALL_DONE || call->need == MDE_CALL_FAILED;
}

/* --- failing --- */

/* Only failures that come of an answer speak of its status. */
static bool speaks_of_answer(mde_failure_reason reason)
{
  return reason == MDE_FAILURE_STATUS || reason == MDE_FAILURE_BUDGET_RETRY ||
         reason == MDE_FAILURE_BUDGET_BACKOFF || reason == MDE_FAILURE_BODY ||
         reason == MDE_FAILURE_LINK_MALFORMED || reason == MDE_FAILURE_LINK_CIRCLE;
}

static bool kind_is_retryable(mde_error_kind kind)
{
#define RETRYABLE(symbol, name, retryable) retryable,
  static const bool table[] = {MDE_ERROR_KINDS(RETRYABLE) false};
#undef RETRYABLE
  return table[kind];
}

static void copy_detail(mde_failure *failure, const char *detail)
{
  size_t length = detail != NULL ? strlen(detail) : 0;
  if (length > MDE_FAILURE_DETAIL_MAX)
    length = MDE_FAILURE_DETAIL_MAX;
  if (length > 0)
    memcpy(failure->detail, detail, length);
  failure->detail[length] = '\0';
}

void mde_call_reject(mde_call *call, mde_error_kind kind, mde_failure_reason reason,
                     const char *detail)
{
  if (mde_call_finished(call))
    return;
  call->need = MDE_CALL_FAILED;
  call->failure = (mde_failure){.kind = kind,
                                .reason = reason,
                                .status = speaks_of_answer(reason) ? call->response.status : 0,
                                .retry_after_ms = -1,
                                .attempts = call->requests,
                                .retryable = kind_is_retryable(kind)};
  copy_detail(&call->failure, detail);
}

/* --- waiting --- */

/* The kind of a wait that the budget forbids: what the caller can do about it differs. */
static void reject_wait(mde_call *call, mde_wait_reason reason, int64_t wait_ms)
{
  if (reason == MDE_WAIT_QUOTA)
    mde_call_reject(call, MDE_ERROR_RATE_LIMITED, MDE_FAILURE_BUDGET_QUOTA, NULL);
  else if (reason == MDE_WAIT_RETRY_AFTER)
    mde_call_reject(call, MDE_ERROR_RATE_LIMITED, MDE_FAILURE_BUDGET_RETRY, NULL);
  else
    mde_call_reject(call, MDE_ERROR_TIMEOUT, MDE_FAILURE_BUDGET_BACKOFF, NULL);
  call->failure.retry_after_ms = wait_ms;
}

static void pause(mde_call *call, mde_wait_reason reason, int64_t wait_ms, int64_t now_ms)
{
  if (call->deadline_ms != MDE_TIME_NEVER && wait_ms >= call->deadline_ms - now_ms) {
    reject_wait(call, reason, wait_ms);
    return;
  }
  call->need = MDE_CALL_WAIT;
  call->wait_reason = reason;
  call->wake_ms = now_ms + wait_ms;
}

int64_t mde_call_wake_ms(const mde_call *call)
{
  if (call->need == MDE_CALL_WAIT && call->wake_ms < call->deadline_ms)
    return call->wake_ms;
  return call->deadline_ms;
}

static mde_call_need await_token(mde_call *call, mde_call_need need)
{
  call->token_awaited = true;
  call->token_failures = call->credential->failures;
  return need;
}

static mde_call_need reject_token(mde_call *call, int64_t now_ms)
{
  const mde_credential *credential = call->credential;
  const char *reason = credential->reason[0] != '\0' ? credential->reason : "there is none";
  mde_call_reject(call, MDE_ERROR_AUTH, MDE_FAILURE_TOKEN, reason);
  call->failure.retryable =
      credential->end == MDE_FETCH_PASSING || credential->end == MDE_FETCH_THROTTLED;
  if (credential->end == MDE_FETCH_THROTTLED && now_ms < credential->blocked_ms)
    call->failure.retry_after_ms = credential->blocked_ms - now_ms;
  return call->need;
}

/* Somebody else is fetching; perhaps the token's endpoint has asked for a pause. */
static mde_call_need await_fetch(mde_call *call, int64_t now_ms)
{
  if (call->credential->ready_ms >= call->deadline_ms) {
    reject_wait(call, MDE_WAIT_RETRY_AFTER, call->credential->ready_ms - now_ms);
    return call->need;
  }
  return await_token(call, MDE_CALL_WAIT);
}

static mde_call_need ask_token(mde_call *call, int64_t now_ms)
{
  if (call->token_awaited && call->token_failures != call->credential->failures)
    return reject_token(call, now_ms);
  switch (mde_credential_ask(call->credential, now_ms)) {
  case MDE_TOKEN_FETCH:
    return await_token(call, MDE_CALL_TOKEN);
  case MDE_TOKEN_WAIT:
    return await_fetch(call, now_ms);
  case MDE_TOKEN_LATER:
    pause(call, MDE_WAIT_RETRY_AFTER, call->credential->blocked_ms - now_ms, now_ms);
    return call->need;
  case MDE_TOKEN_NONE:
    return reject_token(call, now_ms);
  case MDE_TOKEN_FRESH:
    break;
  }
  call->token_awaited = false;
  return call->need = MDE_CALL_QUOTA;
}

static bool is_before_sending(const mde_call *call)
{
  return call->need == MDE_CALL_TOKEN || call->need == MDE_CALL_QUOTA ||
         call->need == MDE_CALL_WAIT;
}

mde_call_need mde_call_next(mde_call *call, int64_t now_ms)
{
  if (is_before_sending(call) && now_ms >= call->deadline_ms)
    mde_call_reject(call, MDE_ERROR_TIMEOUT, MDE_FAILURE_BUDGET_SPENT, NULL);
  if (call->need == MDE_CALL_WAIT && now_ms >= call->wake_ms)
    call->need = first_need(call);
  if (call->need == MDE_CALL_SEND && call->login == NULL &&
      now_ms - call->granted_ms > MDE_QUOTA_FRESH_MS)
    call->need = MDE_CALL_QUOTA;
  return call->need == MDE_CALL_TOKEN ? ask_token(call, now_ms) : call->need;
}

void mde_call_grant(mde_call *call, int64_t now_ms)
{
  if (call->need != MDE_CALL_QUOTA)
    return;
  call->need = MDE_CALL_SEND;
  call->granted_ms = now_ms;
  call->trouble_ms = MDE_TIME_NEVER;
}

static void reject_quota(mde_call *call, const mde_quota_answer *answer)
{
  mde_call_reject(call, MDE_ERROR_RATE_LIMITED, MDE_FAILURE_QUOTA, answer->trouble);
  call->failure.retry_after_ms = answer->wait_ms;
}

/* True: it has been asked for long enough. */
static bool gives_up(mde_call *call, const mde_quota_answer *answer, int64_t now_ms)
{
  if (call->trouble_ms == MDE_TIME_NEVER)
    call->trouble_ms = now_ms;
  if (call->deadline_ms != MDE_TIME_NEVER)
    return answer->wait_ms >= call->deadline_ms - now_ms;
  return now_ms + answer->wait_ms - call->trouble_ms > TROUBLE_MAX_MS;
}

void mde_call_refuse(mde_call *call, const mde_quota_answer *answer, int64_t now_ms)
{
  if (call->need != MDE_CALL_QUOTA)
    return;
  if (answer->trouble == NULL) {
    call->trouble_ms = MDE_TIME_NEVER;
  } else if (gives_up(call, answer, now_ms)) {
    reject_quota(call, answer);
    return;
  }
  if (answer->wait_ms == MDE_WAIT_UNKNOWN)
    call->need = MDE_CALL_TOKEN; /* asked again as soon as something has moved */
  else
    pause(call, answer->closed ? MDE_WAIT_RETRY_AFTER : MDE_WAIT_QUOTA, answer->wait_ms, now_ms);
}

/* --- on the wire --- */

static int64_t at_most(int64_t value, int64_t maximum)
{
  return value < maximum ? value : maximum;
}

static int64_t attempt_ms(const mde_call *call, int64_t now_ms)
{
  int64_t left_ms = call->deadline_ms - now_ms;
  return at_most(call->limits.timeout_ms, left_ms > 1 ? left_ms : 1);
}

int64_t mde_call_lease_ms(const mde_call *call, int64_t now_ms)
{
  return attempt_ms(call, now_ms) + MDE_QUOTA_LINGER_MS;
}

mde_request mde_call_request(mde_call *call, int64_t now_ms)
{
  const mde_login *login = call->login;
  int64_t timeout_ms = attempt_ms(call, now_ms);
  mde_slice form = {"", 0};
  mde_response_reset(&call->response);
  if (login != NULL && login->form.length > 0)
    form = (mde_slice){login->form.data, login->form.length};
  return (mde_request){
      .method = call->operation->method,
      .url = mde_buffer_text(login != NULL ? &login->url : &call->paging.url),
      .header = mde_buffer_text(login != NULL ? &login->header : &call->credential->header),
      .form = form,
      .direct = login != NULL && !mde_login_is_https(login),
      .timeout_ms = timeout_ms,
      .connect_timeout_ms = at_most(call->limits.connect_timeout_ms, timeout_ms),
      .response = &call->response};
}

void mde_call_sent(mde_call *call)
{
  if (call->need != MDE_CALL_SEND)
    return;
  call->attempt++;
  call->token_generation = call->credential->generation;
  call->need = MDE_CALL_IN_FLIGHT;
}

static mde_lesson learn(const mde_call *call, const mde_outcome *outcome)
{
  mde_lesson lesson = {0};
  int status = call->response.status;
  if (outcome->kind != MDE_OUTCOME_ANSWER || (status != 429 && status != 503))
    return lesson;
  int64_t retry_after_ms = mde_response_retry_after_ms(&call->response);
  lesson.close_for_ms = retry_after_ms > 0 ? retry_after_ms : 0;
  if (status != 429 || !mde_response_limit(&call->response, &lesson.limit))
    lesson.limit = (mde_window){0};
  return lesson;
}

/* Whoever is throttled or meets a fault has perhaps not been looked at. */
static bool has_passed(int status)
{
  return status < 500 && status != 408 && status != 429;
}

/* The token may simply be over: one new one is tried, once for each call; again only if the service
 * has taken that one meanwhile, and it is over in its turn. */
static bool renews_token(mde_call *call, const mde_outcome *outcome, int64_t now_ms)
{
  mde_credential *credential = call->credential;
  if (outcome->kind != MDE_OUTCOME_ANSWER || call->login != NULL)
    return false;
  if (call->response.status != 401) {
    if (has_passed(call->response.status))
      mde_credential_prove(credential, call->token_generation);
    return false;
  }
  bool again = !call->token_renewed || credential->generation != call->token_generation ||
               credential->proven;
  bool renewed = mde_credential_refuse(credential, call->token_generation, now_ms);
  if (!renewed || !again || call->attempt >= call->limits.max_attempts)
    return false;
  call->token_renewed = true;
  call->need = MDE_CALL_TOKEN;
  return true;
}

static mde_error_kind kind_of_outcome(const mde_call *call, mde_outcome_kind outcome)
{
  switch (outcome) {
  case MDE_OUTCOME_ANSWER:
    return mde_failure_kind_of_status(call->response.status);
  case MDE_OUTCOME_UNREACHABLE:
  case MDE_OUTCOME_BROKEN:
    return MDE_ERROR_NETWORK;
  case MDE_OUTCOME_TIMEOUT:
    return MDE_ERROR_TIMEOUT;
  case MDE_OUTCOME_TLS:
    return MDE_ERROR_TLS;
  case MDE_OUTCOME_TOO_LARGE:
    return MDE_ERROR_TOO_LARGE;
  case MDE_OUTCOME_CANCELLED:
    return MDE_ERROR_CANCELLED;
  case MDE_OUTCOME_NO_MEMORY:
    break;
  }
  return MDE_ERROR_MEMORY;
}

static mde_failure_reason reason_of_outcome(mde_outcome_kind outcome)
{
  switch (outcome) {
  case MDE_OUTCOME_ANSWER:
    return MDE_FAILURE_STATUS;
  case MDE_OUTCOME_CANCELLED:
    return MDE_FAILURE_CANCELLED;
  case MDE_OUTCOME_NO_MEMORY:
    return MDE_FAILURE_MEMORY;
  default:
    return MDE_FAILURE_TRANSPORT;
  }
}

static void stop(mde_call *call, const mde_outcome *outcome, const mde_retry_verdict *verdict)
{
  bool answered = outcome->kind == MDE_OUTCOME_ANSWER;
  mde_call_reject(call, kind_of_outcome(call, outcome->kind), reason_of_outcome(outcome->kind),
                  outcome->detail);
  call->failure.retryable = verdict->retryable;
  call->failure.unknown = verdict->unknown;
  if (answered)
    call->failure.retry_after_ms = mde_response_retry_after_ms(&call->response);
}

/* The local service of managed identities says so while it starts or is renewed. */
static int judged_status(const mde_call *call)
{
  int status = call->response.status;
  bool starts = call->operation == &mde_operation_local_token && (status == 404 || status == 410);
  return starts ? 503 : status;
}

static void decide(mde_call *call, const mde_outcome *outcome, int64_t now_ms, double random)
{
  bool answered = outcome->kind == MDE_OUTCOME_ANSWER;
  mde_retry_case retry_case = {
      .outcome = outcome->kind,
      .sent = outcome->sent,
      .status = answered ? judged_status(call) : 0,
      .changes = call->operation->changes,
      .attempt = call->attempt,
      .max_attempts = call->limits.max_attempts,
      .retry_after_ms = answered ? mde_response_retry_after_ms(&call->response) : -1,
      .random = random,
  };
  mde_retry_verdict verdict = mde_retry_decide(&retry_case);
  if (!verdict.again) {
    stop(call, outcome, &verdict);
    return;
  }
  mde_wait_reason reason = retry_case.retry_after_ms >= 0 ? MDE_WAIT_RETRY_AFTER : MDE_WAIT_BACKOFF;
  pause(call, reason, verdict.wait_ms, now_ms);
  if (call->need == MDE_CALL_FAILED)
    copy_detail(&call->failure, outcome->detail);
}

void mde_call_feed(mde_call *call, const mde_outcome *outcome, int64_t now_ms, double random)
{
  bool answered = outcome->kind == MDE_OUTCOME_ANSWER;
  if (!answered)
    call->response.status = 0; /* that of half an answer says nothing */
  call->lesson = learn(call, outcome);
  if (outcome->sent)
    call->requests++;
  if (call->need != MDE_CALL_IN_FLIGHT)
    return;
  bool renews = renews_token(call, outcome, now_ms);
  if (answered && call->response.status >= 200 && call->response.status < 300)
    call->need = MDE_CALL_BODY;
  else if (!renews)
    decide(call, outcome, now_ms, random);
}

/* --- pages --- */

static void reject_page(mde_call *call, mde_paging_verdict verdict)
{
  switch (verdict) {
  case MDE_PAGING_CIRCLE:
    mde_call_reject(call, MDE_ERROR_JSON, MDE_FAILURE_LINK_CIRCLE, NULL);
    break;
  case MDE_PAGING_MALFORMED:
    mde_call_reject(call, MDE_ERROR_JSON, MDE_FAILURE_LINK_MALFORMED, NULL);
    break;
  case MDE_PAGING_TOO_MANY:
    mde_call_reject(call, MDE_ERROR_TOO_LARGE, MDE_FAILURE_PAGES, NULL);
    break;
  default:
    mde_call_reject(call, MDE_ERROR_MEMORY, MDE_FAILURE_MEMORY, NULL);
    break;
  }
}

void mde_call_done(mde_call *call)
{
  if (call->need == MDE_CALL_BODY)
    call->need = MDE_CALL_DONE;
}

void mde_call_page(mde_call *call, int64_t items, mde_slice next_link)
{
  if (call->need != MDE_CALL_BODY)
    return;
  mde_paging_verdict verdict = mde_paging_next(&call->paging, items, next_link);
  if (verdict == MDE_PAGING_MORE) {
    call->need = MDE_CALL_TOKEN;
    call->attempt = 0;
    call->response.status = 0; /* no later failure is this page's */
  } else if (verdict == MDE_PAGING_END) {
    call->need = MDE_CALL_DONE;
  } else {
    reject_page(call, verdict);
  }
}

/* A call, driven by dice: by any answer, at any moment, with any limits. It must always end, keep
 * its limits, and never contradict itself.
 *
 *   call_walk_through(dice, seed);      returns how many steps it took; the seed is for messages
 *
 * A world's own script is not used: what happens is drawn. */
#ifndef MDE_SPEC_CORE_CALL_WALK_H
#define MDE_SPEC_CORE_CALL_WALK_H

#include "call_world.h"

typedef struct call_walk {
  test_random *dice;
  call_world world;
  uint32_t page_tries;
  int64_t fetch_ends_ms; /* a fetch under way; -1: none */
  int64_t deadline_ms;   /* as it was at first */
} call_walk;

static const char *const LINKS[] = {NULL, "/2", "/3", "/4", "https://other/2", "bad", "/a\nb"};

/* What changes something in the service is not repeated if it may have happened. */
static void assert_not_repeated(const mde_call *call, const mde_outcome *outcome)
{
  int status = call->response.status;
  bool answered = outcome->kind == MDE_OUTCOME_ANSWER;
  bool failed = status == 408 || status == 500 || status == 502 || status == 504;
  if (call->operation->changes && (answered ? failed : outcome->sent))
    assert_int_equal(call->need, MDE_CALL_FAILED);
}

static void walk_answer(call_walk *walk)
{
  static const int statuses[] = {200, 200, 200, 200, 204, 301, 400, 401, 403, 404,
                                 408, 429, 429, 429, 500, 502, 503, 503, 504, 999};
  static const char *const headers[] = {"X: y",
                                        "Retry-After: 0",
                                        "Retry-After: 2",
                                        "Retry-After: 3000",
                                        "retry-after-ms: 70",
                                        "Retry-After: soon"};
  call_world *world = &walk->world;
  test_random *dice = walk->dice;
  bool whole = test_chance(dice, 70);
  mde_outcome outcome = {MDE_OUTCOME_ANSWER, true, NULL};
  if (!whole)
    outcome.kind =
        (mde_outcome_kind)test_between(dice, MDE_OUTCOME_UNREACHABLE, MDE_OUTCOME_CANCELLED);
  outcome.sent = whole || test_chance(dice, 50);
  world->now_ms += test_between(dice, 0, world->timeout_ms[0]);
  world->call.response.status = statuses[test_between(dice, 0, TEST_COUNT(statuses) - 1)];
  const char *header = headers[test_between(dice, 0, TEST_COUNT(headers) - 1)];
  mde_response_header(&world->call.response, header, strlen(header));
  uint32_t before = world->call.requests;
  mde_call_feed(&world->call, &outcome, world->now_ms, test_fraction(dice));
  assert_int_equal(world->call.requests, before + outcome.sent);
  assert_not_repeated(&world->call, &outcome);
}

static void walk_send(call_walk *walk)
{
  call_world *world = &walk->world;
  mde_request request = mde_call_request(&world->call, world->now_ms);
  assert_true(request.timeout_ms >= 1 && request.timeout_ms <= world->call.limits.timeout_ms);
  assert_true(request.timeout_ms == 1 || request.timeout_ms <= walk->deadline_ms - world->now_ms);
  assert_true(request.connect_timeout_ms <= request.timeout_ms);
  assert_memory_equal(request.url, "https://h/", 10);
  assert_true(mde_credential_token(&world->credential).length > 0);
  world->timeout_ms[0] = request.timeout_ms;
  mde_call_sent(&world->call);
  walk->page_tries++;
  assert_true(walk->page_tries <= world->call.limits.max_attempts);
}

static void walk_refusal(call_walk *walk)
{
  mde_quota_answer answer = {.wait_ms = test_between(walk->dice, 1, 60000),
                             .closed = test_chance(walk->dice, 30),
                             .trouble = test_chance(walk->dice, 20) ? "no luck" : NULL};
  mde_call_refuse(&walk->world.call, &answer, walk->world.now_ms);
}

static void walk_quota(call_walk *walk)
{
  call_world *world = &walk->world;
  if (test_chance(walk->dice, 60))
    mde_call_grant(&world->call, world->now_ms);
  else if (test_chance(walk->dice, 20))
    mde_call_refuse(&world->call, &refused_for(MDE_WAIT_UNKNOWN), world->now_ms++);
  else
    walk_refusal(walk);
}

static void walk_fetch_end(call_walk *walk)
{
  call_world *world = &walk->world;
  walk->fetch_ends_ms = -1;
  if (test_chance(walk->dice, 10))
    mde_credential_fail(&world->credential, MDE_FETCH_FAILED, 0, "no luck", 0);
  else
    mde_credential_set(&world->credential, text_of("T"),
                       world->now_ms + test_between(walk->dice, 0, 100000));
}

static void walk_wait(call_walk *walk)
{
  call_world *world = &walk->world;
  int64_t wake_ms = mde_call_wake_ms(&world->call);
  assert_true(wake_ms <= walk->deadline_ms);
  if (walk->fetch_ends_ms >= 0 && walk->fetch_ends_ms <= wake_ms) {
    world->now_ms = walk->fetch_ends_ms;
    walk_fetch_end(walk);
    return;
  }
  assert_int_not_equal(wake_ms, MDE_TIME_NEVER); /* nobody would ever wake it */
  assert_true(wake_ms > world->now_ms);
  world->now_ms = test_chance(walk->dice, 20) ? world->now_ms + 1 : wake_ms;
}

static void walk_body(call_walk *walk)
{
  call_world *world = &walk->world;
  assert_true(world->call.response.status >= 200 && world->call.response.status < 300);
  walk->page_tries = 0;
  if (test_chance(walk->dice, 5))
    mde_call_reject(&world->call, MDE_ERROR_JSON, MDE_FAILURE_BODY, "no JSON");
  else
    mde_call_page(&world->call, test_between(walk->dice, 0, 10),
                  text_of(LINKS[test_between(walk->dice, 0, TEST_COUNT(LINKS) - 1)]));
}

static void walk_token(call_walk *walk)
{
  walk->fetch_ends_ms = walk->world.now_ms + test_between(walk->dice, 0, 3000);
  if (test_chance(walk->dice, 50))
    walk_fetch_end(walk);
}

static void walk_step(call_walk *walk)
{
  switch (mde_call_next(&walk->world.call, walk->world.now_ms)) {
  case MDE_CALL_TOKEN:
    walk_token(walk);
    break;
  case MDE_CALL_QUOTA:
    walk_quota(walk);
    break;
  case MDE_CALL_WAIT:
    walk_wait(walk);
    break;
  case MDE_CALL_SEND:
    walk_send(walk);
    break;
  case MDE_CALL_IN_FLIGHT:
    walk_answer(walk);
    break;
  case MDE_CALL_BODY:
    walk_body(walk);
    break;
  case MDE_CALL_DONE:
  case MDE_CALL_FAILED: /* the budget was over */
    break;
  }
}

static mde_call_limits random_limits(test_random *dice)
{
  mde_call_limits limits = LIMITS;
  limits.max_attempts = (uint32_t)test_between(dice, 1, 6);
  limits.timeout_ms = test_between(dice, 1, 60000);
  limits.connect_timeout_ms = test_between(dice, 1, 60000);
  if (test_chance(dice, 60))
    limits.budget_ms = test_between(dice, 0, test_chance(dice, 50) ? 10000 : 1000000);
  return limits;
}

static void assert_sensible(const mde_call *call, uint64_t seed)
{
  const mde_failure *failure = &call->failure;
  if (call->need == MDE_CALL_DONE)
    return;
  bool sensible = failure->kind <= MDE_ERROR_MEMORY && failure->attempts == call->requests &&
                  !(failure->retryable && failure->unknown) &&
                  (!failure->unknown || call->operation->changes) &&
                  (failure->reason != MDE_FAILURE_STATUS || failure->status >= 100) &&
                  (failure->reason != MDE_FAILURE_TRANSPORT || failure->status == 0) &&
                  failure->retry_after_ms >= -1;
  if (!sensible)
    fail_msg("MDE_SEED=%llu: kind %d reason %d status %d", (unsigned long long)seed, failure->kind,
             failure->reason, failure->status);
}

static int call_walk_through(test_random dice, uint64_t seed)
{
  call_walk walk = {.dice = &dice, .fetch_ends_ms = -1};
  mde_call_limits limits = random_limits(&dice);
  call_script script = {.changes = test_chance(&dice, 30), .string_token = test_chance(&dice, 30)};
  world_start(&walk.world, &script, &limits);
  assert_int_equal(world_prepare(&walk.world), MDE_OK);
  walk.deadline_ms = walk.world.call.deadline_ms;
  int steps = 0;
  for (; !mde_call_finished(&walk.world.call); steps++) {
    if (steps > 5000)
      fail_msg("MDE_SEED=%llu: does not end", (unsigned long long)seed);
    if (test_between(&dice, 0, 999) == 0)
      mde_call_reject(&walk.world.call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED, NULL);
    else
      walk_step(&walk);
  }
  assert_sensible(&walk.world.call, seed);
  world_end(&walk.world);
  return steps;
}

#endif

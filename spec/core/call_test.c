#include "call_world.h"

static void assert_waits(const call_world *world, size_t count, ...)
{
  va_list list;
  va_start(list, count);
  assert_int_equal(world->waits, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(world->waited_for[i], va_arg(list, int));
    assert_int_equal(world->waited_ms[i], va_arg(list, int));
  }
  va_end(list);
}

/* --- the happy path --- */

static void one_answer_is_enough(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.string_token = true, .answers = {{.status = 200, .items = 2}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_int_equal(world.call.requests, 1);
  assert_int_equal(world.waits, 0);
  assert_string_equal(world.url[0], "https://h/api/alerts/da1/ips");
  assert_string_equal(world.authorization[0], "Authorization: Bearer T0");
  assert_int_equal(world.timeout_ms[0], 30000);
  assert_int_equal(world.connect_timeout_ms[0], 10000);
  world_end(&world);
}

static void goes_from_token_to_quota_to_sending_to_the_body(void **state)
{
  (void)state;
  static const mde_call_need wanted[] = {MDE_CALL_TOKEN,     MDE_CALL_QUOTA, MDE_CALL_SEND,
                                         MDE_CALL_IN_FLIGHT, MDE_CALL_BODY,  MDE_CALL_DONE};
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.tokens = {"T1"}, .answers = {{.status = 200}}}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  for (size_t i = 0; i < TEST_COUNT(wanted); i++)
    assert_int_equal(turn(&world), wanted[i]);
  assert_string_equal(world.authorization[0], "Authorization: Bearer T1");
  world_end(&world);
}

static void any_2xx_has_a_body(void **state)
{
  (void)state;
  for (int status = 200; status < 300; status++) {
    call_world world;
    play(&world, &(call_script){.string_token = true, .answers = {{.status = status}}}, &LIMITS);
    assert_int_equal(world.call.need, MDE_CALL_DONE);
    world_end(&world);
  }
}

/* --- every outcome --- */

static const struct {
  const char *name;
  call_answer answer;
  bool changes;
  mde_error_kind kind;
  mde_failure_reason reason;
  int status;
  uint32_t attempts; /* sent */
  size_t tries;
  bool retryable, unknown;
} outcomes[] = {
    {"100", {.status = 100}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 100, 1, 1, false, false},
    {"301", {.status = 301}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 301, 1, 1, false, false},
    {"400", {.status = 400}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 400, 1, 1, false, false},
    {"401", {.status = 401}, false, MDE_ERROR_AUTH, MDE_FAILURE_STATUS, 401, 1, 1, false, false},
    {"403", {.status = 403}, false, MDE_ERROR_AUTH, MDE_FAILURE_STATUS, 403, 1, 1, false, false},
    {"404",
     {.status = 404},
     false,
     MDE_ERROR_NOT_FOUND,
     MDE_FAILURE_STATUS,
     404,
     1,
     1,
     false,
     false},
    {"408", {.status = 408}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 408, 4, 4, true, false},
    {"429",
     {.status = 429},
     false,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_STATUS,
     429,
     4,
     4,
     true,
     false},
    {"500", {.status = 500}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 500, 4, 4, true, false},
    {"502", {.status = 502}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 502, 4, 4, true, false},
    {"503", {.status = 503}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 503, 4, 4, true, false},
    {"504", {.status = 504}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 504, 4, 4, true, false},
    {"999", {.status = 999}, false, MDE_ERROR_HTTP, MDE_FAILURE_STATUS, 999, 1, 1, false, false},
    {"unreachable",
     {.outcome = MDE_OUTCOME_UNREACHABLE, .unsent = true, .detail = "why"},
     false,
     MDE_ERROR_NETWORK,
     MDE_FAILURE_TRANSPORT,
     0,
     0,
     4,
     true,
     false},
    {"timeout",
     {.outcome = MDE_OUTCOME_TIMEOUT, .detail = "why"},
     false,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_TRANSPORT,
     0,
     4,
     4,
     true,
     false},
    {"half an answer",
     {.outcome = MDE_OUTCOME_BROKEN, .status = 200, .body = "{", .detail = "why"},
     false,
     MDE_ERROR_NETWORK,
     MDE_FAILURE_TRANSPORT,
     0,
     4,
     4,
     true,
     false},
    {"certificate refused",
     {.outcome = MDE_OUTCOME_TLS, .unsent = true, .detail = "why"},
     false,
     MDE_ERROR_TLS,
     MDE_FAILURE_TRANSPORT,
     0,
     0,
     1,
     false,
     false},
    {"too large",
     {.outcome = MDE_OUTCOME_TOO_LARGE, .status = 200, .detail = "why"},
     false,
     MDE_ERROR_TOO_LARGE,
     MDE_FAILURE_TRANSPORT,
     0,
     1,
     1,
     false,
     false},
    {"no memory",
     {.outcome = MDE_OUTCOME_NO_MEMORY, .status = 200},
     false,
     MDE_ERROR_MEMORY,
     MDE_FAILURE_MEMORY,
     0,
     1,
     1,
     false,
     false},
    {"cancelled",
     {.outcome = MDE_OUTCOME_CANCELLED},
     false,
     MDE_ERROR_CANCELLED,
     MDE_FAILURE_CANCELLED,
     0,
     1,
     1,
     true,
     false},
    {"changes, 429",
     {.status = 429},
     true,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_STATUS,
     429,
     4,
     4,
     true,
     false},
    {"changes, 503 with Retry-After",
     {.status = 503, .header = "Retry-After: 1"},
     true,
     MDE_ERROR_HTTP,
     MDE_FAILURE_STATUS,
     503,
     4,
     4,
     true,
     false},
    {"changes, 503",
     {.status = 503},
     true,
     MDE_ERROR_HTTP,
     MDE_FAILURE_STATUS,
     503,
     1,
     1,
     false,
     true},
    {"changes, 404",
     {.status = 404},
     true,
     MDE_ERROR_NOT_FOUND,
     MDE_FAILURE_STATUS,
     404,
     1,
     1,
     false,
     false},
    {"changes, unreachable",
     {.outcome = MDE_OUTCOME_UNREACHABLE, .unsent = true},
     true,
     MDE_ERROR_NETWORK,
     MDE_FAILURE_TRANSPORT,
     0,
     0,
     4,
     true,
     false},
    {"changes, timeout",
     {.outcome = MDE_OUTCOME_TIMEOUT},
     true,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_TRANSPORT,
     0,
     1,
     1,
     false,
     true},
    {"changes, reset",
     {.outcome = MDE_OUTCOME_BROKEN},
     true,
     MDE_ERROR_NETWORK,
     MDE_FAILURE_TRANSPORT,
     0,
     1,
     1,
     false,
     true},
    {"changes, cancelled",
     {.outcome = MDE_OUTCOME_CANCELLED},
     true,
     MDE_ERROR_CANCELLED,
     MDE_FAILURE_CANCELLED,
     0,
     1,
     1,
     false,
     true},
};

static void every_outcome_has_its_failure(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(outcomes); i++) {
    call_world world;
    play(&world,
         &(call_script){
             .string_token = true, .changes = outcomes[i].changes, .answers = {outcomes[i].answer}},
         &LIMITS);
    const mde_failure *failure = &world.call.failure;
    const char *detail = outcomes[i].answer.detail != NULL ? outcomes[i].answer.detail : "";
    if (world.call.need != MDE_CALL_FAILED || failure->kind != outcomes[i].kind ||
        failure->reason != outcomes[i].reason || failure->status != outcomes[i].status ||
        failure->attempts != outcomes[i].attempts || world.attempts != outcomes[i].tries ||
        failure->retryable != outcomes[i].retryable || failure->unknown != outcomes[i].unknown ||
        strcmp(failure->detail, detail) != 0)
      fail_msg("%s: need %d kind %d reason %d status %d attempts %u of %zu retryable %d unknown %d",
               outcomes[i].name, world.call.need, failure->kind, failure->reason, failure->status,
               failure->attempts, world.attempts, failure->retryable, failure->unknown);
    world_end(&world);
  }
}

/* --- retries --- */

static void a_passing_fault_passes(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .answers = {{.status = 503},
                                  {.outcome = MDE_OUTCOME_BROKEN},
                                  {.outcome = MDE_OUTCOME_UNREACHABLE, .unsent = true},
                                  {.status = 200}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_int_equal(world.call.requests, 3);
  assert_waits(&world, 3, MDE_WAIT_BACKOFF, 250, MDE_WAIT_BACKOFF, 500, MDE_WAIT_BACKOFF, 1000);
  assert_int_equal(world.asked_quota, 4);
  world_end(&world);
}

static void retry_after_is_waited_for(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .answers = {{.status = 429, .header = "Retry-After: 12\r\n"},
                                  {.status = 503, .header = "retry-after-ms: 70\r\n"},
                                  {.status = 200}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_waits(&world, 2, MDE_WAIT_RETRY_AFTER, 12000, MDE_WAIT_RETRY_AFTER, 70);
  world_end(&world);
}

static void the_failure_tells_when_to_come_back(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .answers = {{.status = 429, .header = "Retry-After: 12\r\n"}}},
       &LIMITS);
  assert_int_equal(world.call.failure.retry_after_ms, 12000);
  assert_int_equal(world.call.failure.attempts, 4);
  world_end(&world);
}

static void without_retries_one_attempt_is_made(void **state)
{
  (void)state;
  mde_call_limits limits = LIMITS;
  limits.max_attempts = 1;
  static const call_answer answers[] = {
      {.status = 503}, {.status = 429, .header = "Retry-After: 0"}, {.status = 401}};
  for (size_t i = 0; i < TEST_COUNT(answers); i++) {
    call_world world;
    play(&world, &(call_script){.tokens = {"A", "B", "C", "D"}, .answers = {answers[i]}}, &limits);
    assert_int_equal(world.call.need, MDE_CALL_FAILED);
    assert_int_equal(world.attempts, 1);
    assert_int_equal(world.call.failure.status, answers[i].status);
    world_end(&world);
  }
}

static void the_quota_is_waited_for(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true, .quota_ms = {5000, 1}, .answers = {{.status = 200}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_waits(&world, 2, MDE_WAIT_QUOTA, 5000, MDE_WAIT_QUOTA, 1);
  assert_int_equal(world.attempts, 1);
  world_end(&world);
}

static void a_closed_quota_is_a_retry_after(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .quota_ms = {5000},
                      .quota_closed = true,
                      .answers = {{.status = 200}}},
       &LIMITS);
  assert_waits(&world, 1, MDE_WAIT_RETRY_AFTER, 5000);
  world_end(&world);
}

static void a_wait_of_unknown_length_is_asked_about_again(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(mde_call_next(&world.call, world.now_ms), MDE_CALL_QUOTA);
    mde_call_refuse(&world.call, &refused_for(MDE_WAIT_UNKNOWN), world.now_ms);
    assert_int_equal(mde_call_wake_ms(&world.call), MDE_TIME_NEVER);
  }
  assert_int_equal(mde_call_next(&world.call, world.now_ms), MDE_CALL_QUOTA);
  mde_call_grant(&world.call, world.now_ms);
  assert_int_equal(mde_call_next(&world.call, world.now_ms), MDE_CALL_SEND);
  world_end(&world);
}

static void a_slot_that_was_not_used_in_time_is_asked_for_again(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  assert_int_equal(mde_call_next(&world.call, world.now_ms), MDE_CALL_QUOTA);
  mde_call_grant(&world.call, world.now_ms);
  int64_t late_ms = world.now_ms + MDE_QUOTA_FRESH_MS;
  assert_int_equal(mde_call_next(&world.call, late_ms), MDE_CALL_SEND);
  assert_int_equal(mde_call_next(&world.call, late_ms + 1), MDE_CALL_QUOTA);
  mde_call_grant(&world.call, late_ms + 1);
  assert_int_equal(mde_call_next(&world.call, late_ms + 1), MDE_CALL_SEND);
  world_end(&world);
}

static void a_lease_lasts_as_long_as_the_attempt_and_lingers(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  mde_call_limits limits = LIMITS;
  limits.timeout_ms = 20000;
  limits.budget_ms = 30000;
  world_start(&world, &(call_script){.string_token = true}, &limits);
  assert_int_equal(mde_call_lease_ms(&world.call, world.now_ms), 20000 + MDE_QUOTA_LINGER_MS);
  assert_int_equal(mde_call_lease_ms(&world.call, world.now_ms + 25000),
                   5000 + MDE_QUOTA_LINGER_MS);
  world_end(&world);
}

static mde_quota_answer in_trouble(int64_t wait_ms)
{
  return (mde_quota_answer){.wait_ms = wait_ms, .trouble = "the drive is gone"};
}

/* Asks again every 5 s; returns how long it was before the call gave up. */
static int64_t time_in_trouble(int64_t budget_ms, call_world *world)
{
  mde_call_limits limits = LIMITS;
  limits.budget_ms = budget_ms;
  world_start(world, &(call_script){.string_token = true}, &limits);
  assert_int_equal(world_prepare(world), MDE_OK);
  int64_t now_ms = world->now_ms;
  mde_quota_answer answer = in_trouble(5000);
  while (mde_call_next(&world->call, now_ms) == MDE_CALL_QUOTA) {
    mde_call_refuse(&world->call, &answer, now_ms);
    now_ms += world->call.need == MDE_CALL_WAIT ? 5000 : 0;
  }
  assert_int_equal(world->call.failure.kind, MDE_ERROR_RATE_LIMITED);
  assert_int_equal(world->call.failure.reason, MDE_FAILURE_QUOTA);
  assert_string_equal(world->call.failure.detail, "the drive is gone");
  assert_int_equal(world->call.failure.retry_after_ms, 5000);
  return now_ms - world->now_ms;
}

static void a_quota_in_trouble_is_asked_for_as_long_as_the_budget_allows(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  assert_int_equal(time_in_trouble(23000, &world), 20000);
  world_end(&world);
  assert_int_equal(time_in_trouble(600000, &world), 595000);
  world_end(&world);
}

static void without_a_budget_it_is_asked_for_two_minutes(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  assert_int_equal(time_in_trouble(MDE_TIME_NEVER, &world), 120000);
  world_end(&world);
}

/* --- the budget --- */

static mde_call_limits with_budget(int64_t budget_ms)
{
  mde_call_limits limits = LIMITS;
  limits.budget_ms = budget_ms;
  return limits;
}

static const struct {
  const char *name;
  call_script script;
  int64_t budget_ms;
  mde_error_kind kind;
  mde_failure_reason reason;
  int status;
  int64_t retry_after_ms, ends_after_ms;
  uint32_t attempts;
} budgets[] = {
    {"quota",
     {.quota_ms = {5000}},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_QUOTA,
     0,
     5000,
     0,
     0},
    {"quota to the very end",
     {.quota_ms = {4000}},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_QUOTA,
     0,
     4000,
     0,
     0},
    {"closed quota",
     {.quota_ms = {5000}, .quota_closed = true},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_RETRY,
     0,
     5000,
     0,
     0},
    {"second wait for the quota",
     {.quota_ms = {3000, 1001}},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_QUOTA,
     0,
     1001,
     3000,
     0},
    {"Retry-After",
     {.answers = {{.status = 429, .header = "Retry-After: 5", .takes_ms = 100}}},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_RETRY,
     429,
     5000,
     100,
     1},
    {"Retry-After to the very end",
     {.answers = {{.status = 503, .header = "Retry-After: 3", .takes_ms = 1000}}},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_RETRY,
     503,
     3000,
     1000,
     1},
    {"backoff",
     {.answers = {{.status = 500, .takes_ms = 3800}}},
     4000,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_BACKOFF,
     500,
     250,
     3800,
     1},
    {"backoff of the second attempt",
     {.answers = {{.status = 500, .takes_ms = 100}}},
     800,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_BACKOFF,
     500,
     500,
     450,
     2},
    {"backoff after no answer",
     {.answers = {{.outcome = MDE_OUTCOME_TIMEOUT, .takes_ms = 4000, .detail = "why"}}},
     4000,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_BACKOFF,
     0,
     250,
     4000,
     1},
    {"backoff after half an answer",
     {.answers = {{.outcome = MDE_OUTCOME_BROKEN, .status = 200, .takes_ms = 3900}}},
     4000,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_BACKOFF,
     0,
     250,
     3900,
     1},
    {"nothing at all",
     {.answers = {{.status = 200}}},
     0,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_SPENT,
     0,
     -1,
     0,
     0},
    {"a page that took all",
     {.answers = {{.status = 200, .takes_ms = 4000, .link = "/next"}}},
     4000,
     MDE_ERROR_TIMEOUT,
     MDE_FAILURE_BUDGET_SPENT,
     0,
     -1,
     4000,
     1},
    {"a closed quota after a page, which speaks of no answer",
     {.answers = {{.status = 200, .takes_ms = 100, .link = "/next"}},
      .quota_ms = {0, 5000},
      .quota_closed = true},
     4000,
     MDE_ERROR_RATE_LIMITED,
     MDE_FAILURE_BUDGET_RETRY,
     0,
     5000,
     100,
     1},
};

static void no_wait_is_begun_that_the_budget_forbids(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(budgets); i++) {
    mde_call_limits limits = with_budget(budgets[i].budget_ms);
    call_script script = budgets[i].script;
    script.string_token = true;
    call_world world;
    play(&world, &script, &limits);
    const mde_failure *failure = &world.call.failure;
    if (world.call.need != MDE_CALL_FAILED || failure->kind != budgets[i].kind ||
        failure->reason != budgets[i].reason || failure->status != budgets[i].status ||
        failure->retry_after_ms != budgets[i].retry_after_ms ||
        failure->attempts != budgets[i].attempts ||
        world.now_ms - NOW_MS != budgets[i].ends_after_ms)
      fail_msg("%s: kind %d reason %d status %d retry_after %lld attempts %u after %lld ms",
               budgets[i].name, failure->kind, failure->reason, failure->status,
               (long long)failure->retry_after_ms, failure->attempts,
               (long long)(world.now_ms - NOW_MS));
    assert_true(failure->retryable);
    world_end(&world);
  }
}

static void a_wait_that_fits_the_budget_is_waited(void **state)
{
  (void)state;
  mde_call_limits limits = with_budget(4000);
  call_world world;
  play(&world,
       &(call_script){.string_token = true, .quota_ms = {3999}, .answers = {{.status = 200}}},
       &limits);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  world_end(&world);
}

static void an_answer_in_time_counts_even_at_the_end(void **state)
{
  (void)state;
  mde_call_limits limits = with_budget(4000);
  call_world world;
  play(&world, &(call_script){.string_token = true, .answers = {{.status = 200, .takes_ms = 4000}}},
       &limits);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  world_end(&world);
}

static void an_attempt_gets_no_more_time_than_the_budget_has_left(void **state)
{
  (void)state;
  static const struct {
    int64_t budget_ms, quota_ms, timeout_ms, connect_timeout_ms;
  } cases[] = {{60000, 0, 30000, 10000}, {30000, 0, 30000, 10000}, {29999, 0, 29999, 10000},
               {5000, 0, 5000, 5000},    {5000, 2000, 3000, 3000}, {60000, 55000, 5000, 5000},
               {5000, 4999, 1, 1}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_call_limits limits = with_budget(cases[i].budget_ms);
    call_world world;
    play(&world,
         &(call_script){
             .string_token = true, .quota_ms = {cases[i].quota_ms}, .answers = {{.status = 200}}},
         &limits);
    assert_int_equal(world.timeout_ms[0], cases[i].timeout_ms);
    assert_int_equal(world.connect_timeout_ms[0], cases[i].connect_timeout_ms);
    world_end(&world);
  }
}

static void a_connection_gets_no_more_time_than_its_attempt(void **state)
{
  (void)state;
  mde_call_limits limits = LIMITS;
  limits.timeout_ms = 3000;
  call_world world;
  play(&world, &(call_script){.string_token = true, .answers = {{.status = 200}}}, &limits);
  assert_int_equal(world.timeout_ms[0], 3000);
  assert_int_equal(world.connect_timeout_ms[0], 3000);
  world_end(&world);
}

static void waiting_for_a_token_ends_with_the_budget(void **state)
{
  (void)state;
  mde_call_limits limits = with_budget(4000);
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = false}, &limits);
  assert_int_equal(world_prepare(&world), MDE_OK);
  assert_int_equal(mde_credential_ask(&world.credential, NOW_MS), MDE_TOKEN_FETCH); /* others do */
  assert_int_equal(mde_call_next(&world.call, NOW_MS), MDE_CALL_WAIT);
  assert_int_equal(mde_call_wake_ms(&world.call), NOW_MS + 4000);
  assert_int_equal(mde_call_next(&world.call, NOW_MS + 3999), MDE_CALL_WAIT);
  assert_int_equal(mde_call_next(&world.call, NOW_MS + 4000), MDE_CALL_FAILED);
  assert_int_equal(world.call.failure.reason, MDE_FAILURE_BUDGET_SPENT);
  world_end(&world);
}

/* --- tokens --- */

static void a_401_is_answered_with_a_new_token_once(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.tokens = {"A", "B"}, .answers = {{.status = 401}, {.status = 200}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_int_equal(world.fetches, 2);
  assert_int_equal(world.waits, 0);
  assert_int_equal(world.asked_quota, 2);
  assert_string_equal(world.authorization[0], "Authorization: Bearer A");
  assert_string_equal(world.authorization[1], "Authorization: Bearer B");
  world_end(&world);
}

static void a_second_401_ends_it(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.tokens = {"A", "B", "C", "D"}, .answers = {{.status = 401}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_FAILED);
  assert_int_equal(world.call.failure.kind, MDE_ERROR_AUTH);
  assert_int_equal(world.call.failure.status, 401);
  assert_int_equal(world.call.failure.attempts, 2);
  assert_int_equal(world.fetches, 2);
  /* The refused token is gone: the next call gets a new one. */
  assert_int_equal(mde_credential_ask(&world.credential, world.now_ms), MDE_TOKEN_FETCH);
  world_end(&world);
}

static void a_request_that_changes_something_is_repeated_after_a_401(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){
           .changes = true, .tokens = {"A", "B"}, .answers = {{.status = 401}, {.status = 200}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  world_end(&world);
}

static void a_string_token_cannot_be_renewed(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.string_token = true, .answers = {{.status = 401}}}, &LIMITS);
  assert_int_equal(world.call.failure.kind, MDE_ERROR_AUTH);
  assert_int_equal(world.call.failure.status, 401);
  assert_int_equal(world.attempts, 1);
  assert_int_equal(mde_credential_ask(&world.credential, world.now_ms), MDE_TOKEN_FRESH);
  world_end(&world);
}

static void a_401_to_an_older_token_tries_the_newer_without_a_fetch(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world,
              &(call_script){.tokens = {"A"}, .answers = {{.status = 401}, {.status = 200}}},
              &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  while (turn(&world) != MDE_CALL_SEND)
    ;
  mde_credential_set(&world.credential, text_of("NEW"), MDE_TIME_NEVER);
  world_finish(&world);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_int_equal(world.fetches, 1);
  assert_string_equal(world.authorization[1], "Authorization: Bearer NEW");
  world_end(&world);
}

static void a_failed_fetch_fails_the_call(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.answers = {{.status = 200}}}, &LIMITS);
  assert_int_equal(world.call.failure.kind, MDE_ERROR_AUTH);
  assert_int_equal(world.call.failure.reason, MDE_FAILURE_TOKEN);
  assert_string_equal(world.call.failure.detail, "no luck");
  assert_int_equal(world.call.failure.status, 0);
  assert_int_equal(world.call.failure.attempts, 0);
  assert_int_equal(world.fetches, 1);
  world_end(&world);
}

static void a_failed_renewal_fails_the_call(void **state)
{
  (void)state;
  call_world world;
  play(&world, &(call_script){.tokens = {"A", NULL}, .answers = {{.status = 401}}}, &LIMITS);
  assert_int_equal(world.call.failure.reason, MDE_FAILURE_TOKEN);
  assert_int_equal(world.call.failure.attempts, 1);
  world_end(&world);
}

static void without_a_token_the_call_fails(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true}, &LIMITS);
  assert_int_equal(mde_call_next(&world.call, NOW_MS), MDE_CALL_FAILED);
  assert_int_equal(world.call.failure.kind, MDE_ERROR_AUTH);
  assert_int_equal(world.call.failure.reason, MDE_FAILURE_TOKEN);
  world_end(&world);
}

static void a_token_that_ends_during_a_wait_is_fetched_again(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = false, .quota_ms = {5000}}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  assert_int_equal(mde_call_next(&world.call, NOW_MS), MDE_CALL_TOKEN);
  mde_credential_set(&world.credential, text_of("A"), NOW_MS + 5000);
  assert_int_equal(turn(&world), MDE_CALL_QUOTA);
  assert_int_equal(turn(&world), MDE_CALL_WAIT);
  assert_int_equal(mde_call_next(&world.call, world.now_ms), MDE_CALL_TOKEN);
  world_end(&world);
}

typedef struct call_pair {
  call_world world;
  mde_call other;
} call_pair;

/* Two calls of one client, of which the first has been told to fetch. */
static void pair_start(call_pair *pair)
{
  pair->world.heap = (test_heap){0};
  world_start(&pair->world, &(call_script){.string_token = false}, &LIMITS);
  mde_call_init(&pair->other, &pair->world.operation, &pair->world.credential, &LIMITS,
                &pair->world.memory, NOW_MS);
  assert_int_equal(mde_call_next(&pair->world.call, NOW_MS), MDE_CALL_TOKEN);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(mde_call_next(&pair->other, NOW_MS), MDE_CALL_WAIT);
    assert_int_equal(mde_call_wake_ms(&pair->other), MDE_TIME_NEVER);
  }
}

static void pair_end(call_pair *pair)
{
  mde_call_free(&pair->other);
  world_end(&pair->world);
}

static void two_calls_share_one_fetch(void **state)
{
  (void)state;
  call_pair pair;
  pair_start(&pair);
  mde_credential_set(&pair.world.credential, text_of("A"), MDE_TIME_NEVER);
  assert_int_equal(mde_call_next(&pair.other, NOW_MS), MDE_CALL_QUOTA);
  assert_int_equal(mde_call_next(&pair.world.call, NOW_MS), MDE_CALL_QUOTA);
  pair_end(&pair);
}

static void a_failed_fetch_fails_all_who_waited_for_it(void **state)
{
  (void)state;
  call_pair pair;
  pair_start(&pair);
  mde_credential_fail(&pair.world.credential, MDE_FETCH_FAILED, 0, "sealed", 0);
  assert_int_equal(mde_call_next(&pair.other, NOW_MS), MDE_CALL_FAILED);
  assert_int_equal(mde_call_next(&pair.world.call, NOW_MS), MDE_CALL_FAILED);
  assert_string_equal(pair.other.failure.detail, "sealed");
  /* A later call tries again. */
  mde_call later;
  mde_call_init(&later, &pair.world.operation, &pair.world.credential, &LIMITS, &pair.world.memory,
                NOW_MS);
  assert_int_equal(mde_call_next(&later, NOW_MS), MDE_CALL_TOKEN);
  mde_call_free(&later);
  pair_end(&pair);
}

static void a_failure_before_a_call_is_not_its_failure(void **state)
{
  (void)state;
  call_pair pair;
  pair_start(&pair);
  mde_credential_fail(&pair.world.credential, MDE_FETCH_FAILED, 0, "sealed", 0);
  mde_credential_set(&pair.world.credential, text_of("A"), MDE_TIME_NEVER);
  mde_call later;
  mde_call_init(&later, &pair.world.operation, &pair.world.credential, &LIMITS, &pair.world.memory,
                NOW_MS);
  assert_int_equal(mde_call_next(&later, NOW_MS), MDE_CALL_QUOTA);
  mde_call_free(&later);
  pair_end(&pair);
}

/* --- pages --- */

static void pages_are_followed_and_each_has_its_own_attempts(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .answers = {{.status = 500},
                                  {.status = 500},
                                  {.status = 500},
                                  {.status = 200, .items = 3, .link = "https://other/2"},
                                  {.status = 500},
                                  {.status = 500},
                                  {.status = 500},
                                  {.status = 200, .items = 3}}},
       &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_DONE);
  assert_int_equal(world.call.requests, 8);
  assert_int_equal(world.call.paging.items, 6);
  assert_string_equal(world.url[3], "https://h/api/alerts/da1/ips");
  assert_string_equal(world.url[4], "https://h/2");
  assert_waits(&world, 6, MDE_WAIT_BACKOFF, 250, MDE_WAIT_BACKOFF, 500, MDE_WAIT_BACKOFF, 1000,
               MDE_WAIT_BACKOFF, 250, MDE_WAIT_BACKOFF, 500, MDE_WAIT_BACKOFF, 1000);
  world_end(&world);
}

static void a_bad_link_fails_the_call(void **state)
{
  (void)state;
  static const struct {
    const char *link;
    mde_failure_reason reason;
  } cases[] = {{"nowhere", MDE_FAILURE_LINK_MALFORMED},
               {"/a\nb", MDE_FAILURE_LINK_MALFORMED},
               {"/api/alerts/da1/ips", MDE_FAILURE_LINK_CIRCLE}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    call_world world;
    play(&world,
         &(call_script){.string_token = true, .answers = {{.status = 200, .link = cases[i].link}}},
         &LIMITS);
    assert_int_equal(world.call.failure.kind, MDE_ERROR_JSON);
    assert_int_equal(world.call.failure.reason, cases[i].reason);
    assert_int_equal(world.call.failure.status, 200);
    assert_int_equal(world.call.failure.attempts, 1);
    world_end(&world);
  }
}

static void endless_pages_end(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true, .answers = {{.status = 200}}}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  for (uint32_t page = 1; !mde_call_finished(&world.call); page++) {
    char link[20];
    snprintf(link, sizeof link, "/%u", page);
    world.attempts = 0;
    while (mde_call_next(&world.call, NOW_MS) != MDE_CALL_BODY)
      turn(&world);
    mde_call_page(&world.call, 1, text_of(link));
  }
  assert_int_equal(world.call.failure.kind, MDE_ERROR_TOO_LARGE);
  assert_int_equal(world.call.failure.reason, MDE_FAILURE_PAGES);
  assert_int_equal(world.call.failure.attempts, MDE_PAGES_MAX);
  world_end(&world);
}

static void a_body_that_is_refused_fails_the_call(void **state)
{
  (void)state;
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true, .answers = {{.status = 200}}}, &LIMITS);
  assert_int_equal(world_prepare(&world), MDE_OK);
  while (mde_call_next(&world.call, NOW_MS) != MDE_CALL_BODY)
    turn(&world);
  mde_call_reject(&world.call, MDE_ERROR_JSON, MDE_FAILURE_BODY, "not JSON");
  assert_int_equal(world.call.need, MDE_CALL_FAILED);
  assert_int_equal(world.call.failure.status, 200);
  assert_int_equal(world.call.failure.attempts, 1);
  assert_false(world.call.failure.retryable);
  assert_string_equal(world.call.failure.detail, "not JSON");
  world_end(&world);
}

/* --- what an answer teaches --- */

static const struct {
  call_answer answer;
  int64_t close_for_ms;
  mde_window limit;
} lessons[] = {
    {{.status = 429, .header = "Retry-After: 7"}, 7000, {0, 0}},
    {{.status = 429, .body = "maximum allowed 45 per 00:01:00"}, 0, {60000, 45}},
    {{.status = 429, .header = "Retry-After: 7", .body = "maximum allowed 45 per 00:01:00"},
     7000,
     {60000, 45}},
    {{.status = 503, .header = "Retry-After: 7", .body = "maximum allowed 45 per 00:01:00"},
     7000,
     {0, 0}},
    {{.status = 429}, 0, {0, 0}},
    {{.status = 429, .header = "Retry-After: -7", .body = "maximum allowed 0 per 00:01:00"},
     0,
     {0, 0}},
    {{.status = 500, .header = "Retry-After: 7", .body = "maximum allowed 45 per 00:01:00"},
     0,
     {0, 0}},
    {{.status = 200, .header = "Retry-After: 7", .body = "maximum allowed 45 per 00:01:00"},
     0,
     {0, 0}},
    {{.status = 429, .outcome = MDE_OUTCOME_BROKEN, .header = "Retry-After: 7"}, 0, {0, 0}},
};

static void an_answer_teaches_about_the_quota(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(lessons); i++) {
    call_world world;
    play(&world, &(call_script){.string_token = true, .answers = {lessons[i].answer}}, &LIMITS);
    assert_int_equal(world.lesson.close_for_ms, lessons[i].close_for_ms);
    assert_int_equal(world.lesson.limit.calls, lessons[i].limit.calls);
    assert_int_equal(world.lesson.limit.length_ms, lessons[i].limit.length_ms);
    world_end(&world);
  }
}

static void a_lesson_is_taught_once(void **state)
{
  (void)state;
  call_world world;
  play(&world,
       &(call_script){.string_token = true,
                      .answers = {{.status = 429, .header = "Retry-After: 7"}, {.status = 200}}},
       &LIMITS);
  assert_int_equal(world.lesson.close_for_ms, 7000);
  assert_int_equal(world.call.lesson.close_for_ms, 0);
  world_end(&world);
}

/* --- the end --- */

static void end_in_state(call_world *world, mde_call_need need)
{
  world->heap = (test_heap){0};
  world_start(
      world,
      &(call_script){.tokens = {"A"}, .quota_ms = {10}, .answers = {{.status = 200, .link = "/2"}}},
      &LIMITS);
  assert_int_equal(world_prepare(world), MDE_OK);
  while (mde_call_next(&world->call, world->now_ms) != need) {
    /* A call that asked for a token has started a fetch; fetch and go on. */
    if (world->call.need == MDE_CALL_TOKEN)
      fetch(world);
    else
      turn(world);
  }
}

static void a_call_can_be_ended_in_every_state(void **state)
{
  (void)state;
  for (int need = MDE_CALL_TOKEN; need <= MDE_CALL_BODY; need++) {
    call_world world;
    end_in_state(&world, (mde_call_need)need);
    mde_call_reject(&world.call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED, NULL);
    assert_int_equal(mde_call_next(&world.call, NOW_MS), MDE_CALL_FAILED);
    assert_int_equal(world.call.failure.kind, MDE_ERROR_CANCELLED);
    assert_int_equal(world.call.failure.status, 0);
    world_end(&world);
  }
}

static void poke(mde_call *call)
{
  mde_outcome outcome = {MDE_OUTCOME_ANSWER, true, "late"};
  mde_call_grant(call, NOW_MS);
  mde_call_refuse(call, &(mde_quota_answer){.wait_ms = 10, .closed = true}, NOW_MS);
  mde_call_refuse(call, &refused_for(MDE_WAIT_UNKNOWN), NOW_MS);
  mde_call_refuse(call, &refused_for(INT64_MAX / 2), NOW_MS);
  mde_call_sent(call);
  call->response.status = 503;
  mde_call_feed(call, &outcome, NOW_MS, 0.5);
  mde_call_page(call, 1, text_of("/3"));
  mde_call_reject(call, MDE_ERROR_CLOSED, MDE_FAILURE_CLOSED, "again");
}

static void a_finished_call_stays_as_it_is(void **state)
{
  (void)state;
  static const mde_error_kind kinds[] = {MDE_ERROR_CANCELLED, MDE_ERROR_MEMORY};
  for (size_t i = 0; i <= TEST_COUNT(kinds); i++) {
    call_world world = {.heap = {0}};
    mde_call_limits limits = with_budget(5000);
    world_start(&world, &(call_script){.string_token = true, .answers = {{.status = 200}}},
                &limits);
    assert_int_equal(world_prepare(&world), MDE_OK);
    if (i < TEST_COUNT(kinds))
      mde_call_reject(&world.call, kinds[i], MDE_FAILURE_CANCELLED, "first");
    world_finish(&world);
    mde_call_need need = world.call.need;
    mde_failure failure = world.call.failure;
    poke(&world.call);
    assert_int_equal(mde_call_next(&world.call, MDE_TIME_NEVER), need);
    assert_int_equal(world.call.failure.kind, failure.kind);
    assert_int_equal(world.call.failure.retry_after_ms, failure.retry_after_ms);
    assert_int_equal(world.call.failure.attempts, failure.attempts);
    assert_string_equal(world.call.failure.detail, failure.detail);
    world_end(&world);
  }
}

static void a_long_detail_is_cut(void **state)
{
  (void)state;
  char detail[1000];
  memset(detail, 'x', sizeof detail);
  detail[sizeof detail - 1] = '\0';
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true}, &LIMITS);
  mde_call_reject(&world.call, MDE_ERROR_JSON, MDE_FAILURE_BODY, detail);
  assert_int_equal(strlen(world.call.failure.detail), MDE_FAILURE_DETAIL_MAX);
  world_end(&world);
}

/* Nothing of the first call is left: not its attempts, its renewed token, its answer or its limits. */
static void a_finished_call_becomes_the_next_one(void **state)
{
  (void)state;
  static const call_script refused = {.tokens = {"A", "B"}, .answers = {{.status = 401}}};
  call_world world;
  mde_call_limits limits = LIMITS;
  play(&world, &refused, &LIMITS);
  assert_int_equal(world.call.need, MDE_CALL_FAILED);
  limits.max_body_bytes = 9;
  limits.budget_ms = 5000;
  mde_call_again(&world.call, &world.operation, &limits, NULL, world.now_ms);
  assert_int_equal(world.call.deadline_ms, world.now_ms + 5000);
  assert_int_equal(world.call.response.body.max_bytes, 9);
  assert_int_equal(world.call.response.status, 0);
  world.attempts = world.fetches = 0;
  assert_int_equal(world_prepare(&world), MDE_OK);
  world_finish(&world);
  assert_int_equal(world.call.failure.status, 401);
  assert_int_equal(world.call.failure.attempts, 2);
  assert_string_equal(world.url[0], world.url[1]);
  world_end(&world);
}

static void at_rest_a_call_holds_little(void **state)
{
  (void)state;
  static const char kib[1024];
  call_world world = {.heap = {0}};
  world_start(&world, &(call_script){.string_token = true}, &LIMITS);
  world_prepare(&world);
  for (int i = 0; i < 20; i++)
    mde_buffer_append(&world.call.response.body, kib, sizeof kib);
  assert_true(world.call.response.body.capacity > MDE_BODY_KEPT_MAX);
  mde_call_rest(&world.call);
  assert_int_equal(world.call.response.body.capacity, 0);
  mde_buffer_append(&world.call.response.body, kib, sizeof kib);
  mde_call_rest(&world.call);
  assert_true(world.call.response.body.capacity > 0);
  world_end(&world);
}

static void free_accepts_zeroed(void **state)
{
  (void)state;
  mde_call call = {0};
  mde_call_free(&call);
}

/* --- memory --- */

static bool survives(call_world *world, size_t k)
{
  static const char body[] = "a body that is longer than the first block of memory which a buffer "
                             "asks for, so that it has to grow";
  static const char token[] = "a token that is longer than the first block of memory which a "
                              "buffer asks for, so that it has to grow";
  static const char link[] = "/a/link/that/is/longer/than/the/first/block/of/memory/that/a/buffer/"
                             "asks/for/so/that/it/has/to/grow";
  world->heap = (test_heap){.fail_at = k};
  world_start(world,
              &(call_script){.tokens = {token, token, token, token},
                             .answers = {{.status = 401, .body = body},
                                         {.status = 503, .body = body},
                                         {.status = 200, .body = body, .link = link},
                                         {.status = 200, .body = body, .link = "/2"},
                                         {.status = 200, .body = body}}},
              &LIMITS);
  mde_status status = world_prepare(world);
  if (status == MDE_OK)
    world_finish(world);
  if (world->heap.allocations >= k) {
    assert_true(status == MDE_NO_MEMORY || (world->call.need == MDE_CALL_FAILED &&
                                            world->call.failure.kind == MDE_ERROR_MEMORY));
    return false;
  }
  assert_int_equal(world->call.need, MDE_CALL_DONE);
  return true;
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  bool survived = false;
  for (size_t k = 1; !survived; k++) {
    call_world world;
    survived = survives(&world, k);
    world_end(&world);
    assert_true(k < 100);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_answer_is_enough),
      cmocka_unit_test(goes_from_token_to_quota_to_sending_to_the_body),
      cmocka_unit_test(any_2xx_has_a_body),
      cmocka_unit_test(every_outcome_has_its_failure),
      cmocka_unit_test(a_passing_fault_passes),
      cmocka_unit_test(retry_after_is_waited_for),
      cmocka_unit_test(the_failure_tells_when_to_come_back),
      cmocka_unit_test(without_retries_one_attempt_is_made),
      cmocka_unit_test(the_quota_is_waited_for),
      cmocka_unit_test(a_closed_quota_is_a_retry_after),
      cmocka_unit_test(a_wait_of_unknown_length_is_asked_about_again),
      cmocka_unit_test(a_slot_that_was_not_used_in_time_is_asked_for_again),
      cmocka_unit_test(a_lease_lasts_as_long_as_the_attempt_and_lingers),
      cmocka_unit_test(a_quota_in_trouble_is_asked_for_as_long_as_the_budget_allows),
      cmocka_unit_test(without_a_budget_it_is_asked_for_two_minutes),
      cmocka_unit_test(no_wait_is_begun_that_the_budget_forbids),
      cmocka_unit_test(a_wait_that_fits_the_budget_is_waited),
      cmocka_unit_test(an_answer_in_time_counts_even_at_the_end),
      cmocka_unit_test(an_attempt_gets_no_more_time_than_the_budget_has_left),
      cmocka_unit_test(a_connection_gets_no_more_time_than_its_attempt),
      cmocka_unit_test(waiting_for_a_token_ends_with_the_budget),
      cmocka_unit_test(a_401_is_answered_with_a_new_token_once),
      cmocka_unit_test(a_second_401_ends_it),
      cmocka_unit_test(a_request_that_changes_something_is_repeated_after_a_401),
      cmocka_unit_test(a_string_token_cannot_be_renewed),
      cmocka_unit_test(a_401_to_an_older_token_tries_the_newer_without_a_fetch),
      cmocka_unit_test(a_failed_fetch_fails_the_call),
      cmocka_unit_test(a_failed_renewal_fails_the_call),
      cmocka_unit_test(without_a_token_the_call_fails),
      cmocka_unit_test(a_token_that_ends_during_a_wait_is_fetched_again),
      cmocka_unit_test(two_calls_share_one_fetch),
      cmocka_unit_test(a_failed_fetch_fails_all_who_waited_for_it),
      cmocka_unit_test(a_failure_before_a_call_is_not_its_failure),
      cmocka_unit_test(pages_are_followed_and_each_has_its_own_attempts),
      cmocka_unit_test(a_bad_link_fails_the_call),
      cmocka_unit_test(endless_pages_end),
      cmocka_unit_test(a_body_that_is_refused_fails_the_call),
      cmocka_unit_test(an_answer_teaches_about_the_quota),
      cmocka_unit_test(a_lesson_is_taught_once),
      cmocka_unit_test(a_call_can_be_ended_in_every_state),
      cmocka_unit_test(a_finished_call_stays_as_it_is),
      cmocka_unit_test(a_long_detail_is_cut),
      cmocka_unit_test(a_finished_call_becomes_the_next_one),
      cmocka_unit_test(at_rest_a_call_holds_little),
      cmocka_unit_test(free_accepts_zeroed),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}

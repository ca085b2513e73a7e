/* A world for a call, all by script: a clock, a token's source, a quota and a service.
 *
 *   call_world world;
 *   play(&world, &(call_script){.string_token = true, .answers = {{.status = 200}}}, &LIMITS);
 *   assert_int_equal(world.call.need, MDE_CALL_DONE);
 *   world_end(&world);                              checks that nothing leaked
 *
 * play() is a driver's loop: it does what the call says until the call is finished. Waiting moves
 * the world's clock. What was waited for and what was sent is kept for the test to look at. */
#ifndef MDE_SPEC_CORE_CALL_WORLD_H
#define MDE_SPEC_CORE_CALL_WORLD_H

#include "core/call.h"
#include "test.h"

enum { NOW_MS = 1000000 };

/* What the service or the network does to one attempt. */
typedef struct call_answer {
  int status; /* 0: none, but `outcome` */
  const char *header, *body;
  mde_outcome_kind outcome;
  bool unsent;
  const char *detail;
  int64_t takes_ms;
  int64_t items;
  const char *link;
} call_answer;

typedef struct call_script {
  call_answer answers[8]; /* the last one but zeroes is repeated */
  int64_t quota_ms[8];    /* waits before the first attempts; 0: granted */
  bool quota_closed;
  const char *tokens[4]; /* of each fetch; NULL: it fails */
  bool string_token;     /* not from a function */
  bool changes;          /* the operation does */
} call_script;

typedef struct call_world {
  test_heap heap;
  mde_memory memory;
  mde_base_url base;
  mde_operation operation;
  mde_credential credential;
  mde_call call;
  call_script script;
  int64_t now_ms;
  size_t attempts, asked_quota, fetches, waits;
  int64_t waited_ms[32];
  mde_wait_reason waited_for[32];
  char authorization[16][64]; /* of each attempt */
  int64_t timeout_ms[16], connect_timeout_ms[16];
  char url[16][128];
  mde_lesson lesson; /* the latest that said something */
} call_world;

static const mde_call_limits LIMITS = {.timeout_ms = 30000,
                                       .connect_timeout_ms = 10000,
                                       .budget_ms = MDE_TIME_NEVER,
                                       .max_attempts = 4,
                                       .max_body_bytes = 100000};

static inline mde_slice text_of(const char *text)
{
  return (mde_slice){text, text != NULL ? strlen(text) : 0};
}

static inline void world_start(call_world *world, const call_script *script,
                               const mde_call_limits *limits)
{
  *world = (call_world){.script = *script, .now_ms = NOW_MS, .heap = world->heap};
  world->memory = test_memory(&world->heap);
  assert_true(mde_base_url_parse(&world->base, "https://h", 9));
  world->operation = *mde_operation_find("alert_ips", 9);
  world->operation.changes = script->changes;
  mde_credential_init(&world->credential, &world->memory, !script->string_token);
  mde_call_init(&world->call, &world->operation, &world->credential, limits, &world->memory,
                world->now_ms);
}

/* What may run out of memory before the first step. */
static inline mde_status world_prepare(call_world *world)
{
  mde_slice id = text_of("da1");
  mde_query query = {0};
  if (world->script.string_token &&
      mde_credential_set(&world->credential, text_of("T0"), MDE_TIME_NEVER) != MDE_OK)
    return MDE_NO_MEMORY;
  return mde_paging_first(&world->call.paging, &world->base, &world->operation, &id, &query);
}

static inline void world_end(call_world *world)
{
  mde_call_free(&world->call);
  mde_call_free(&world->call);
  mde_credential_free(&world->credential);
  assert_int_equal(world->heap.blocks, 0);
}

static inline void fetch(call_world *world)
{
  const char *token = world->script.tokens[world->fetches++ % 4];
  if (token == NULL)
    mde_credential_fail(&world->credential, MDE_FETCH_FAILED, 0, "no luck", 0);
  else if (mde_credential_set(&world->credential, text_of(token), MDE_TIME_NEVER) != MDE_OK)
    mde_call_reject(&world->call, MDE_ERROR_MEMORY, MDE_FAILURE_MEMORY, NULL);
}

/* A quota's refusal: to be asked again so much later. */
#define refused_for(milliseconds) ((mde_quota_answer){.wait_ms = (milliseconds)})

static inline void ask_quota(call_world *world)
{
  size_t at = world->asked_quota++;
  int64_t wait_ms = at < TEST_COUNT(world->script.quota_ms) ? world->script.quota_ms[at] : 0;
  if (wait_ms == 0)
    mde_call_grant(&world->call, world->now_ms);
  else
    mde_call_refuse(&world->call,
                    &(mde_quota_answer){.wait_ms = wait_ms, .closed = world->script.quota_closed},
                    world->now_ms);
}

static inline void wait_a_while(call_world *world)
{
  int64_t wake_ms = mde_call_wake_ms(&world->call);
  assert_true(wake_ms >= world->now_ms && wake_ms <= world->call.deadline_ms);
  assert_int_not_equal(wake_ms, MDE_TIME_NEVER);
  world->waited_for[world->waits] = world->call.wait_reason;
  world->waited_ms[world->waits++] = wake_ms - world->now_ms;
  world->now_ms = wake_ms;
}

static inline void send_request(call_world *world)
{
  mde_request request = mde_call_request(&world->call, world->now_ms);
  size_t at = world->attempts++;
  assert_ptr_equal(request.response, &world->call.response);
  assert_int_equal(request.response->status, 0);
  assert_string_equal(request.method, "GET");
  world->timeout_ms[at] = request.timeout_ms;
  world->connect_timeout_ms[at] = request.connect_timeout_ms;
  snprintf(world->authorization[at], sizeof world->authorization[at], "%s", request.header);
  snprintf(world->url[at], sizeof world->url[at], "%s", request.url);
  mde_call_sent(&world->call);
}

static inline const call_answer *answer_now(const call_world *world)
{
  static const call_answer nothing;
  size_t at = world->attempts - 1;
  while (at > 0 && memcmp(&world->script.answers[at], &nothing, sizeof nothing) == 0)
    at--;
  return &world->script.answers[at];
}

static inline void answer(call_world *world)
{
  const call_answer *answer = answer_now(world);
  mde_outcome outcome = {answer->outcome, !answer->unsent, answer->detail};
  mde_response *response = &world->call.response;
  world->now_ms += answer->takes_ms;
  if (answer->status != 0) {
    mde_response_header(response, "HTTP/1.1 200 OK\r\n", 17);
    response->status = answer->status;
  }
  if (answer->header != NULL)
    mde_response_header(response, answer->header, strlen(answer->header));
  if (answer->body != NULL && mde_buffer_append_text(&response->body, answer->body) != MDE_OK)
    outcome = (mde_outcome){MDE_OUTCOME_NO_MEMORY, true, NULL};
  mde_call_feed(&world->call, &outcome, world->now_ms, 0.5);
  if (world->call.lesson.close_for_ms > 0 || world->call.lesson.limit.calls > 0)
    world->lesson = world->call.lesson;
}

/* One turn of a driver's loop. */
static inline mde_call_need turn(call_world *world)
{
  mde_call_need need = mde_call_next(&world->call, world->now_ms);
  switch (need) {
  case MDE_CALL_TOKEN:
    fetch(world);
    break;
  case MDE_CALL_QUOTA:
    ask_quota(world);
    break;
  case MDE_CALL_WAIT:
    wait_a_while(world);
    break;
  case MDE_CALL_SEND:
    send_request(world);
    break;
  case MDE_CALL_IN_FLIGHT:
    answer(world);
    break;
  case MDE_CALL_BODY:
    mde_call_page(&world->call, answer_now(world)->items, text_of(answer_now(world)->link));
    break;
  case MDE_CALL_DONE:
  case MDE_CALL_FAILED:
    break;
  }
  return need;
}

static inline void world_finish(call_world *world)
{
  for (int turns = 0; !mde_call_finished(&world->call); turns++) {
    assert_true(turns < 200);
    turn(world);
  }
}

static inline void play(call_world *world, const call_script *script, const mde_call_limits *limits)
{
  world->heap = (test_heap){0};
  world_start(world, script, limits);
  assert_int_equal(world_prepare(world), MDE_OK);
  world_finish(world);
}

#endif

#include "bind/driver.h"

#include "bind/answer.h"
#include "bind/budget.h"
#include "bind/error.h"
#include "bind/event.h"
#include "bind/login.h"
#include "bind/script.h"
#include "bind/token.h"

enum { SLICE_MS = 50 };

static const char tick_key = 't'; /* the registry's key of the trivial function */

/* --- one step of one call --- */

static double jitter(Client *client)
{
  return client->fixed_jitter >= 0 ? client->fixed_jitter : mde_random_next(&client->random_state);
}

/* `trouble`: of a quota that cannot decide, or NULL. */
static void tell_wait(lua_State *L, int client_index, const Call *call, const char *trouble)
{
  int64_t wait_ms = call->core.wake_ms - client_now_ms(call->client);
  if (call->core.need != MDE_CALL_WAIT || wait_ms <= 0)
    return;
  if (call_is_login(call)) /* those who wait for it tell of that when it is over */
    call->client->credential.ready_ms = call->core.wake_ms;
  else
    call->client->stats.waited_ms += wait_ms;
  event_wait(L, client_index, call, call->core.wait_reason, wait_ms, trouble);
}

static bool take_answer(lua_State *L, int client_index, Call *call, const mde_quota_answer *answer,
                        int64_t now_ms)
{
  call->awaits_slot = !answer->granted && answer->wait_ms == MDE_WAIT_UNKNOWN;
  if (answer->status != MDE_OK) {
    mde_call_reject(&call->core, MDE_ERROR_MEMORY, MDE_FAILURE_MEMORY, NULL);
    return true;
  }
  if (answer->granted) {
    mde_call_grant(&call->core, client_now_ms(call->client));
    return true;
  }
  mde_call_refuse(&call->core, answer, now_ms);
  tell_wait(L, client_index, call, answer->trouble);
  return answer->wait_ms != MDE_WAIT_UNKNOWN;
}

/* Each step returns whether the call may be able to go on at once. */
static bool ask_quota(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  Client *client = call->client;
  if (!budget_release(call, MDE_SLOT_UNSENT)) /* from before this process was stopped for long */
    budget_tell(L, client_index, call_index, MDE_SLOT_UNSENT);
  if (client->in_flight >= client->concurrency)
    return false;
  if (client->quota != NULL && !client->quota->open) {
    mde_call_reject(&call->core, MDE_ERROR_CLOSED, MDE_FAILURE_QUOTA_CLOSED, NULL);
    return true;
  }
  int64_t now_ms = client_now_ms(client);
  int top = lua_gettop(L);
  mde_quota_answer answer = budget_reserve(L, client_index, call_index, now_ms);
  bool goes_on = take_answer(L, client_index, call, &answer, now_ms);
  lua_settop(L, top);
  return goes_on;
}

static mde_slot_end slot_end(const mde_outcome *outcome)
{
  if (!outcome->sent)
    return MDE_SLOT_UNSENT;
  bool given_up = outcome->kind == MDE_OUTCOME_TIMEOUT || outcome->kind == MDE_OUTCOME_CANCELLED ||
                  outcome->kind == MDE_OUTCOME_NO_MEMORY;
  return given_up ? MDE_SLOT_ABANDONED : MDE_SLOT_ANSWERED;
}

static void count(client_stats *stats, const mde_call *core, const mde_outcome *outcome,
                  size_t bytes)
{
  stats->bytes += bytes;
  if (core->login != NULL)
    return;
  stats->attempts += outcome->sent;
  stats->throttled += core->response.status == 429;
}

/* A service or proxy that echoes the request must not bring the token into a message. Now is the time:
 * a token that the answer refuses is forgotten by the core. */
static void hide_secrets(Call *call)
{
  mde_response *response = &call->core.response;
  if (response->status < 300)
    return;
  if (call_is_login(call))
    login_hide(call);
  else
    error_hide(&response->body, mde_credential_token(&call->client->credential));
}

/* What may raise comes last: until then the call must know what came of its attempt. */
static void conclude(lua_State *L, int client_index, int call_index, const mde_outcome *outcome)
{
  Call *call = lua_touserdata(L, call_index);
  Client *client = call->client;
  uint32_t attempt = call->core.attempt;
  size_t bytes = call->core.response.body.length;
  call->exchange = NULL;
  call_move(call, &client->active);
  hide_secrets(call);
  bool settled = budget_release(call, slot_end(outcome));
  mde_call_feed(&call->core, outcome, client_now_ms(client), jitter(client));
  count(&client->stats, &call->core, outcome, bytes);
  if (!settled)
    budget_tell(L, client_index, call_index, slot_end(outcome));
  if (!call_is_login(call)) /* the token's endpoint has limits of its own */
    budget_learn(L, client_index, call);
  event_attempt(L, client_index, call, outcome, attempt, bytes);
  tell_wait(L, client_index, call, NULL);
}

static bool send(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  Client *client = call->client;
  call->sent_ms = client_now_ms(client);
  mde_request request = mde_call_request(&call->core, call->sent_ms);
  mde_call_sent(&call->core);
  client->stats.retries += call->core.attempt > 1 && !call_is_login(call);
  if (client->scripted)
    script_start(L, client_index, call, &request);
  else
    call->exchange = mde_transport_start(client->transport, &request, call);
  if (client->scripted || call->exchange != NULL) {
    call_move(call, &client->flying);
    return false;
  }
  mde_outcome outcome = {.kind = MDE_OUTCOME_NO_MEMORY};
  conclude(L, client_index, call_index, &outcome);
  return true;
}

static bool take_body(lua_State *L, int client_index, int call_index)
{
  if (call_is_login(lua_touserdata(L, call_index)))
    login_take(L, client_index, call_index);
  else
    answer_take(L, client_index, call_index);
  return true;
}

static bool await_token(Call *call)
{
  if (call->core.need == MDE_CALL_TOKEN && call->token_since_ms == 0)
    call->token_since_ms = client_now_ms(call->client);
  return false;
}

/* What a call has waited for a token is known when it has one. */
static void tell_token_wait(lua_State *L, int client_index, Call *call)
{
  int64_t waited_ms = client_now_ms(call->client) - call->token_since_ms;
  bool told = call->token_since_ms == 0 || waited_ms <= 0;
  call->token_since_ms = 0;
  if (told)
    return;
  call->client->stats.waited_ms += waited_ms;
  event_wait(L, client_index, call, MDE_WAIT_TOKEN, waited_ms, NULL);
}

/* The call's userdata is at `call_index`. */
static bool take_step(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  switch (mde_call_next(&call->core, client_now_ms(call->client))) {
  case MDE_CALL_TOKEN:
    token_fetch(L, client_index, call);
    return true;
  case MDE_CALL_QUOTA:
    tell_token_wait(L, client_index, call);
    return ask_quota(L, client_index, call_index);
  case MDE_CALL_SEND:
    return send(L, client_index, call_index);
  case MDE_CALL_BODY:
    return take_body(L, client_index, call_index);
  case MDE_CALL_WAIT:
    return await_token(call);
  case MDE_CALL_IN_FLIGHT:
  case MDE_CALL_DONE:
  case MDE_CALL_FAILED:
    break;
  }
  return false;
}

/* --- all calls of a client --- */

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
  return a_ms < b_ms ? a_ms : b_ms;
}

/* Pushes the client's table of calls. From here to the userdata on the stack nothing is allocated, so
 * that no collection can take away a call that is only held by a pointer. */
static int push_calls(lua_State *L, int client_index)
{
  luaL_checkstack(L, 8, "calls");
  compat_getuservalue(L, client_index);
  lua_getfield(L, -1, CLIENT_CALLS);
  lua_remove(L, -2);
  return lua_gettop(L);
}

/* Pushes the call's userdata, or nil while it is being collected. */
static bool push_anchor(lua_State *L, int calls_index, Call *call)
{
  lua_pushlightuserdata(L, call);
  lua_rawget(L, calls_index);
  return !lua_isnil(L, -1);
}

static bool is_running(const Client *client)
{
  return client->open && !client->close_asked;
}

/* Appends the call to the queue of whoever waits for it. Returns whether anybody does. */
static bool enqueue(lua_State *L, int call_index)
{
  compat_getuservalue(L, call_index);
  lua_rawgeti(L, -1, CALL_QUEUE);
  bool awaited = lua_istable(L, -1);
  if (awaited) {
    lua_pushvalue(L, call_index);
    lua_rawseti(L, -2, (int)compat_rawlen(L, -2) + 1);
  }
  lua_pop(L, 2);
  return awaited;
}

static void finish_login(lua_State *L, int client_index, Call *call)
{
  call_detach(call);
  login_end(L, client_index, call);
}

/* Tells whoever waits for the call, and lets its client forget it. */
static void finish(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  if (call_is_login(call)) {
    finish_login(L, client_index, call);
    return;
  }
  call->client->stats.errors += call->core.need == MDE_CALL_FAILED;
  call_detach(call);
  if (call->core.need == MDE_CALL_DONE)
    call_give_back(call);
  enqueue(L, call_index);
}

static bool is_finished(const Call *call)
{
  return call->client != NULL && mde_call_finished(&call->core);
}

/* The call is no longer in the hands of the driver, who ends what has ended meanwhile. */
static void let_go(lua_State *L, int client_index, int call_index)
{
  Client *client = lua_touserdata(L, client_index);
  Call *call = lua_touserdata(L, call_index);
  client->handled = NULL;
  if (is_finished(call))
    finish(L, client_index, call_index);
  else if (call->cancel_asked)
    call_end(call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED);
}

/* As far as it goes by itself. */
static void take_turn(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  Client *client = call->client;
  client->turn = client->handled = call;
  while (is_running(client) && !call->cancel_asked && take_step(L, client_index, call_index))
    ;
  call->stepped = true;
  client->turn = NULL;
  let_go(L, client_index, call_index);
}

/* While a token is being fetched, more than the first could only wait for it, and fail with it. */
static bool has_place(const Client *client)
{
  if (client->queued.first == NULL || client->in_flight >= client->concurrency)
    return false;
  const Call *token_call = client->token_call;
  bool counts = token_call != NULL && token_call->list == &client->active;
  return client->active.count - counts < client->concurrency ||
         !mde_credential_awaited(&client->credential, client_now_ms(client));
}

/* Those whose time is over end as active ones. This looks at all, but hardly ever. */
static void expire_queued(Client *client)
{
  int64_t now_ms = client_now_ms(client);
  Call *next;
  if (now_ms < client->queued_deadline_ms)
    return;
  client->queued_deadline_ms = MDE_TIME_NEVER;
  for (Call *at = client->queued.first; at != NULL; at = next) {
    next = at->next;
    if (at->core.deadline_ms <= now_ms)
      call_move(at, &client->active);
    else
      client->queued_deadline_ms = earlier(client->queued_deadline_ms, at->core.deadline_ms);
  }
}

/* What is being collected ends here: its finalizer may be a long time coming, if nothing is allocated. */
static void give_turn(lua_State *L, int client_index, int calls_index, Call *call)
{
  if (push_anchor(L, calls_index, call))
    take_turn(L, client_index, calls_index + 1);
  else
    call_detach(call);
  lua_settop(L, calls_index);
}

/* The fetch of a token, as far as it goes by itself: before the others, who may wait for it, and behind
 * them, if one of them has begun it. */
static void advance_token(lua_State *L, int client_index, int calls_index)
{
  const Client *client = lua_touserdata(L, client_index);
  Call *call = client->token_call;
  if (call != NULL && call->list == &client->active && is_running(client))
    give_turn(L, client_index, calls_index, call);
}

/* While the old one is in use. */
static void renew_early(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  if (client->unfinished > 0 && mde_credential_renews(&client->credential, client_now_ms(client)))
    token_fetch(L, client_index, NULL);
}

/* First those that have begun, then as many others as there are places for. */
static void advance(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  renew_early(L, client_index);
  int calls_index = push_calls(L, client_index);
  advance_token(L, client_index, calls_index);
  expire_queued(client);
  client->cursor = client->active.first;
  while (client->cursor != NULL && is_running(client)) {
    Call *call = client->cursor;
    client->cursor = call->next;
    give_turn(L, client_index, calls_index, call);
  }
  client->cursor = NULL;
  while (has_place(client) && is_running(client)) {
    Call *call = client->queued.first;
    call_move(call, &client->active);
    give_turn(L, client_index, calls_index, call);
  }
  if (client->token_call != NULL && !client->token_call->stepped)
    advance_token(L, client_index, calls_index);
  lua_settop(L, calls_index - 1);
}

static bool take_finished(Client *client, mde_finished *finished)
{
  if (!client->scripted)
    return mde_transport_take(client->transport, finished);
  Call *call = script_take(client);
  if (call == NULL)
    return false;
  *finished = (mde_finished){call, call->scripted};
  return true;
}

static void harvest(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  int calls_index = push_calls(L, client_index);
  mde_finished finished;
  while (is_running(client) && take_finished(client, &finished)) {
    Call *call = finished.owner;
    if (push_anchor(L, calls_index, call)) {
      client->handled = call;
      conclude(L, client_index, calls_index + 1, &finished.outcome);
      let_go(L, client_index, calls_index + 1);
    } else {
      call->exchange = NULL;
      budget_release(call, slot_end(&finished.outcome));
      call_detach(call);
    }
    lua_settop(L, calls_index);
  }
  lua_settop(L, calls_index - 1);
}

/* When the next call's time comes. Those on the wire have their time-outs there. */
static int64_t earliest_wake_ms(const Client *client)
{
  int64_t earliest_ms = client->queued.first != NULL ? client->queued_deadline_ms : MDE_TIME_NEVER;
  for (const Call *at = client->active.first; at != NULL; at = at->next)
    earliest_ms = earlier(earliest_ms, mde_call_wake_ms(&at->core));
  return earliest_ms;
}

/* Until something moves, `limit_ms` (a moment) or, on real time, a slice is over. */
static void wait(lua_State *L, Client *client, int64_t limit_ms)
{
  int64_t wake_ms = earlier(earliest_wake_ms(client), limit_ms);
  if (client->scripted) {
    script_wait(L, client, wake_ms);
    return;
  }
  int64_t wait_ms = wake_ms - client_now_ms(client);
  mde_transport_run(client->transport, wait_ms > 0 ? earlier(wait_ms, SLICE_MS) : 0);
}

int64_t driver_due_ms(const Client *client)
{
  int64_t due_ms = earliest_wake_ms(client);
  if (has_place(client))
    return 0;
  if (client->scripted)
    due_ms = earlier(due_ms, script_next_ms(client));
  for (const Call *at = client->active.first; at != NULL; at = at->next) {
    if (!at->stepped)
      return 0;
    if (at->awaits_slot) /* that another client of the quota may have */
      due_ms = earlier(due_ms, client_now_ms(client) + SLICE_MS);
  }
  if (due_ms != MDE_TIME_NEVER)
    due_ms = due_ms > client_now_ms(client) ? due_ms - client_now_ms(client) : 0;
  return client->scripted ? due_ms : earlier(due_ms, mde_transport_due_ms(client->transport));
}

/* --- running, protected --- */

static void tick(lua_State *L)
{
  lua_pushlightuserdata(L, (void *)(size_t)&tick_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_call(L, 0, 0);
}

static void close_if_asked(Client *client)
{
  if (client->close_asked)
    client_close(client);
}

static void turn_round(lua_State *L, Client *client, int64_t limit_ms)
{
  wait(L, client, limit_ms);
  harvest(L, 1);
  close_if_asked(client);
  tick(L);
  if (is_running(client))
    advance(L, 1);
  close_if_asked(client);
}

/* (client, call): until the call is finished. */
static int run(lua_State *L)
{
  Client *client = lua_touserdata(L, 1);
  const Call *call = lua_touserdata(L, 2);
  advance(L, 1);
  close_if_asked(client);
  while (!mde_call_finished(&call->core))
    turn_round(L, client, MDE_TIME_NEVER);
  tick(L);
  return 0;
}

/* (client, limit): until a call is finished, or the limit is reached; once at least. */
static int step(lua_State *L)
{
  Client *client = lua_touserdata(L, 1);
  int64_t limit_ms = *(const int64_t *)lua_touserdata(L, 2);
  uint32_t unfinished = client->unfinished;
  advance(L, 1);
  close_if_asked(client);
  bool first = true;
  while (client->unfinished == unfinished && unfinished > 0 &&
         (first || client_now_ms(client) < limit_ms)) {
    turn_round(L, client, limit_ms);
    first = false;
  }
  return 0;
}

/* (client): what can be sent is put on the wire; nothing is waited for, not even asked. */
static int kick(lua_State *L)
{
  Client *client = lua_touserdata(L, 1);
  advance(L, 1);
  close_if_asked(client);
  if (client->open && !client->scripted)
    mde_transport_kick(client->transport);
  return 0;
}

/* The call in the middle of which something was raised. */
static void break_off(lua_State *L, int client_index, Call *call)
{
  Client *client = call->client;
  call_end(call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED);
  int calls_index = push_calls(L, client_index);
  if (push_anchor(L, calls_index, call) && enqueue(L, calls_index + 1))
    client->stats.errors += call->serves_again; /* call_end counts the others */
  lua_settop(L, calls_index - 1);
}

static void put_right(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  Call *turn = client->turn;
  client->turn = client->handled = client->cursor = NULL;
  if (turn != NULL)
    break_off(L, client_index, turn);
  if (!client->credential.fetching || client->token_call != NULL || client->token_wanted)
    return;
  /* Nobody is fetching any more: the next call must not wait for it. */
  mde_login_reset(&client->source.login);
  mde_credential_fail(&client->credential, MDE_FETCH_FAILED, 0, "the fetch was broken off",
                      client_now_ms(client));
}

/* The function's arguments are on top. Returns pcall's status; the error is then on top. */
static int protect(lua_State *L, int client_index, lua_CFunction function, int arguments)
{
  Client *client = lua_touserdata(L, client_index);
  lua_pushcfunction(L, function);
  lua_insert(L, -arguments - 1);
  client->busy = true;
  int status = lua_pcall(L, arguments, 0, 0);
  client->busy = false;
  close_if_asked(client);
  if (status != 0)
    put_right(L, client_index);
  return status;
}

void driver_run(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  lua_pushvalue(L, client_index);
  lua_pushvalue(L, call_index);
  if (protect(L, client_index, run, 2) == 0)
    return;
  call_end(call, MDE_ERROR_CANCELLED, MDE_FAILURE_CANCELLED);
  call_forget(L, call_index);
  lua_error(L);
}

void driver_step(lua_State *L, int client_index, int64_t most_ms)
{
  int64_t limit_ms = client_now_ms(lua_touserdata(L, client_index)) + most_ms;
  lua_pushvalue(L, client_index);
  lua_pushlightuserdata(L, &limit_ms);
  if (protect(L, client_index, step, 2) != 0)
    lua_error(L);
}

void driver_kick(lua_State *L, int client_index)
{
  lua_pushvalue(L, client_index);
  if (protect(L, client_index, kick, 1) != 0)
    lua_error(L);
}

void driver_register(lua_State *L)
{
  static const char code[] = "local ticks = 0; ticks = ticks + 1";
  lua_pushlightuserdata(L, (void *)(size_t)&tick_key);
  if (luaL_loadbuffer(L, code, sizeof code - 1, "=mde") != 0)
    lua_error(L);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

#include "bind/login.h"

#include "bind/error.h"
#include "bind/event.h"
#include "bind/json.h"
#include "bind/token.h"
#include "core/grant.h"
#include "core/login_failure.h"
#include "io/assertion.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MAX = 1024 * 1024, LOCAL_CONNECT_MS = 2000 };

/* --- the request --- */

static mde_login_account account_of(const TokenSource *source)
{
  return (mde_login_account){.authority = source_text(source, SOURCE_AUTHORITY),
                             .tenant = source_text(source, SOURCE_TENANT_ID),
                             .client_id = source_text(source, SOURCE_CLIENT_ID),
                             .audience = source_text(source, SOURCE_AUDIENCE)};
}

/* An assertion that is signed here stands in login.token until it is in the form. */
static bool sign(Client *client, const mde_login_account *account, mde_trouble *trouble)
{
  TokenSource *source = &client->source;
  const char *key = mde_buffer_text(&source->text[SOURCE_KEY_FILE]);
  const char *passphrase = mde_buffer_text(&source->text[SOURCE_PASSPHRASE]);
  mde_assertion_settings settings = {
      .certificate_file = mde_buffer_text(&source->text[SOURCE_CERTIFICATE_FILE]),
      .private_key_file = key[0] != '\0' ? key : NULL,
      .passphrase = passphrase[0] != '\0' ? passphrase : NULL,
      .signing = source->rs256 ? MDE_SIGNING_RS256 : MDE_SIGNING_PS256};
  mde_buffer *url = &source->login.url;
  mde_login_endpoint(url, account);
  return url->status == MDE_OK &&
         mde_assertion_make(&source->login.token, &settings, account->client_id,
                            (mde_slice){mde_buffer_text(url), url->length},
                            mde_clock_unix_s(client->clock), trouble);
}

static bool read_federated(Client *client, mde_trouble *trouble)
{
  TokenSource *source = &client->source;
  mde_secret_file file = {.what = "federated token",
                          .path = mde_buffer_text(&source->text[SOURCE_FILE])};
  return mde_secret_file_read(&file, &source->login.token, trouble);
}

static void fill_by_assertion(mde_login *login, const mde_login_account *account)
{
  const mde_buffer *token = &login->token;
  mde_slice assertion = mde_slice_trim((mde_slice){mde_buffer_text(token), token->length});
  mde_login_by_assertion(login, account, assertion);
  mde_buffer_reset(&login->token);
}

/* False: `trouble` says why, unless it is memory. */
static bool make_request(Client *client, mde_trouble *trouble)
{
  TokenSource *source = &client->source;
  mde_login *login = &source->login;
  mde_login_account account = account_of(source);
  mde_login_reset(login);
  switch (source->kind) {
  case SOURCE_SECRET:
    mde_login_by_secret(login, &account, source_text(source, SOURCE_PROOF));
    break;
  case SOURCE_CERTIFICATE:
    if (!sign(client, &account, trouble))
      return false;
    fill_by_assertion(login, &account);
    break;
  case SOURCE_FEDERATED:
    if (!read_federated(client, trouble))
      return false;
    fill_by_assertion(login, &account);
    break;
  case SOURCE_IMDS:
    mde_login_by_imds(login, &account, source_text(source, SOURCE_ENDPOINT));
    break;
  default:
    mde_login_by_app_service(login, &account, source_text(source, SOURCE_ENDPOINT),
                             source_text(source, SOURCE_PROOF));
    break;
  }
  return mde_login_status(login) == MDE_OK;
}

static bool is_local(const TokenSource *source)
{
  return source->kind == SOURCE_IMDS || source->kind == SOURCE_APP_SERVICE;
}

/* A local service answers at once or not at all: off Azure there is none. */
static mde_call_limits limits_of(const Client *client)
{
  mde_call_limits limits = client->limits;
  limits.budget_ms = MDE_TIME_NEVER;
  limits.max_body_bytes = ANSWER_MAX;
  if (is_local(&client->source) && limits.connect_timeout_ms > LOCAL_CONNECT_MS)
    limits.connect_timeout_ms = LOCAL_CONNECT_MS;
  return limits;
}

static void fail(lua_State *L, int client_index, mde_fetch_end end, int64_t wait_ms,
                 const char *reason)
{
  Client *client = lua_touserdata(L, client_index);
  mde_login_reset(&client->source.login);
  mde_credential_fail(&client->credential, end, wait_ms, reason, client_now_ms(client));
  event_token(L, client_index, false, 0);
}

void login_begin(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  char reason[MDE_TOKEN_REASON_MAX + 1] = "not enough memory to ask for it";
  mde_trouble trouble = {.text = reason, .size = sizeof reason};
  client->stats.tokens++;
  if (!make_request(client, &trouble)) {
    fail(L, client_index, MDE_FETCH_FAILED, 0, reason);
    return;
  }
  mde_call_limits limits = limits_of(client);
  call_push_for_token(L, client_index,
                      is_local(&client->source) ? &mde_operation_local_token : &mde_operation_token,
                      &limits);
  lua_pop(L, 1);
}

/* --- the answer --- */

/* table[name] of the table at `index`, which may be a number or a string of digits; 0: it is not there. */
static double read_seconds(lua_State *L, int index, const char *name)
{
  lua_pushstring(L, name);
  lua_rawget(L, index);
  double seconds = (double)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return seconds > 0 ? seconds : 0;
}

/* In seconds from its sending; 0: the answer does not say. */
static double find_life(lua_State *L, const Client *client, int index)
{
  double life = read_seconds(L, index, "expires_in");
  double end = read_seconds(L, index, "expires_on");
  if (life == 0 && end > 0)
    life = end - (double)mde_clock_unix_s(client->clock);
  return life;
}

/* The masked answer, as a table on top; false if it is not one that holds the token. */
static bool push_answer(lua_State *L, const mde_buffer *body, size_t token_length)
{
  char reason[JSON_REASON_MAX + 1];
  lua_pushlstring(L, mde_buffer_text(body), body->length);
  if (!json_decode(L, reason) || !lua_istable(L, -1))
    return false;
  lua_pushliteral(L, "access_token");
  lua_rawget(L, -2);
  bool held = lua_type(L, -1) == LUA_TSTRING && compat_rawlen(L, -1) == token_length;
  lua_pop(L, 1);
  return held;
}

static int64_t expiry_of(const Client *client, const Call *call, double life_s)
{
  if (life_s > 0)
    return token_end_ms(client, call->sent_ms, life_s);
  return token_used_once_ms(client, token_expiry_ms(client));
}

static bool accept(lua_State *L, Client *client, const Call *call, double life_s)
{
  const mde_buffer *token = &client->source.login.token;
  mde_slice text = {mde_buffer_text(token), token->length};
  token_look(L, client, text);
  if (!token_accept(client, text, expiry_of(client, call, life_s)))
    return false;
  mde_credential_renew_early(&client->credential, client_now_ms(client));
  return true;
}

static void refuse(Call *call, const char *reason)
{
  mde_call_reject(&call->core, MDE_ERROR_JSON, MDE_FAILURE_BODY, reason);
}

static void reject_memory(Call *call)
{
  mde_call_reject(&call->core, MDE_ERROR_MEMORY, MDE_FAILURE_MEMORY, NULL);
}

static void take(lua_State *L, Client *client, Call *call)
{
  mde_buffer *token = &client->source.login.token;
  mde_buffer *body = &call->core.response.body;
  if (!mde_grant_cut(body, token)) {
    refuse(call, "the answer holds no access_token");
    return;
  }
  if (token->status == MDE_NO_MEMORY) {
    reject_memory(call);
    return;
  }
  if (token->status != MDE_OK || !push_answer(L, body, token->length)) {
    refuse(call, "the answer is not the JSON of a token");
    return;
  }
  if (accept(L, client, call, find_life(L, client, lua_gettop(L))))
    mde_call_done(&call->core);
  else
    reject_memory(call);
}

void login_take(lua_State *L, int client_index, int call_index)
{
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, "token");
  take(L, lua_touserdata(L, client_index), lua_touserdata(L, call_index));
  lua_settop(L, top);
}

/* --- the end --- */

void login_hide(Call *call)
{
  const TokenSource *source = &call->client->source;
  const mde_login *login = &source->login;
  mde_buffer *body = &call->core.response.body;
  error_hide(body, source_text(source, SOURCE_PROOF));
  if (login->proof_at > 0)
    error_hide(body, (mde_slice){mde_buffer_text(&login->form) + login->proof_at,
                                 login->form.length - login->proof_at});
}

/* Pushes table[name] as what a failure says; borrows. */
static mde_slice push_words(lua_State *L, int index, const char *name)
{
  mde_slice words = {"", 0};
  lua_pushstring(L, name);
  lua_rawget(L, index);
  if (lua_type(L, -1) == LUA_TSTRING)
    words.data = lua_tolstring(L, -1, &words.length);
  return words;
}

/* App Service says `message` where others say `error_description`. */
static void read_refusal(lua_State *L, const Call *call, mde_login_failure *facts)
{
  char reason[JSON_REASON_MAX + 1];
  const mde_buffer *body = &call->core.response.body;
  if (call->core.failure.status == 0 || body->length == 0)
    return;
  lua_pushlstring(L, body->data, body->length);
  if (!json_decode(L, reason) || !lua_istable(L, -1))
    return;
  int answer = lua_gettop(L);
  facts->code = push_words(L, answer, "error");
  facts->trace_id = push_words(L, answer, "trace_id");
  facts->description = push_words(L, answer, "error_description");
  if (facts->description.length == 0)
    facts->description = push_words(L, answer, "message");
}

static void explain(lua_State *L, Client *client, const Call *call, char *reason, size_t size)
{
  mde_slice none = {"", 0};
  mde_login_failure facts = {
      .failure = &call->core.failure,
      .endpoint = {mde_buffer_text(&client->source.login.url), client->source.login.url.length},
      .local = is_local(&client->source),
      .code = none,
      .description = none,
      .trace_id = none};
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, "token");
  read_refusal(L, call, &facts);
  mde_login_text(reason, size, &facts);
  lua_settop(L, top);
}

void login_end(lua_State *L, int client_index, const Call *call)
{
  Client *client = lua_touserdata(L, client_index);
  char reason[MDE_TOKEN_REASON_MAX + 1];
  int64_t wait_ms;
  if (call->core.need == MDE_CALL_DONE) {
    int64_t life_ms = client->credential.expires_ms - call->sent_ms;
    mde_login_reset(&client->source.login);
    event_token(L, client_index, true,
                client->credential.expires_ms != MDE_TIME_NEVER ? (double)life_ms / 1000 : 0);
    return;
  }
  explain(L, client, call, reason, sizeof reason);
  mde_fetch_end end = mde_login_end(&call->core.failure, &wait_ms);
  fail(L, client_index, end, wait_ms, reason);
}

#include "bind/client.h"

#include "bind/budget.h"
#include "bind/claims.h"
#include "bind/driver.h"
#include "bind/error.h"
#include "bind/operations.h"
#include "bind/options.h"
#include "bind/token.h"
#include "core/version.h"
#include "io/environment.h"

#include <stdio.h>
#include <string.h>

enum { MIB = 1024 * 1024 };

/* --- options --- */

typedef struct client_options {
  source_options source;
  whereabouts_options given;
  whereabouts where;
  mde_slice proxy, no_proxy, ca_file, user_agent, http_version;
  bool has_windows;
  mde_windows windows;
  mde_call_limits limits;
  uint32_t concurrency;
} client_options;

#define GIVEN(field) (offsetof(client_options, given) + offsetof(whereabouts_options, field))
#define LIMIT(field) (offsetof(client_options, limits) + offsetof(mde_call_limits, field))

static const option_row client_rows[] = {
    SOURCE_ROWS(offsetof(client_options, source)),
    {"cloud", OPTION_TEXT, GIVEN(cloud), 0, 0},
    {"base_url", OPTION_TEXT, GIVEN(base_url), 0, 0},
    {"authority", OPTION_TEXT, GIVEN(authority), 0, 0},
    {"scope", OPTION_TEXT, GIVEN(scope), 0, 0},
    {"rate_limit", OPTION_WINDOWS, offsetof(client_options, windows), 0, 0},
    {"quota", OPTION_ANY, 0, 0, 0},
    {"timeout", OPTION_SECONDS, LIMIT(timeout_ms), 0.001, 86400},
    {"connect_timeout", OPTION_SECONDS, LIMIT(connect_timeout_ms), 0.001, 86400},
    {"budget", OPTION_SECONDS, LIMIT(budget_ms), 0, 1e9},
    {"max_attempts", OPTION_COUNT, LIMIT(max_attempts), 1, 100},
    {"max_body", OPTION_SIZE, LIMIT(max_body_bytes), 1, MAX_BODY_MAX},
    {"concurrency", OPTION_COUNT, offsetof(client_options, concurrency), 1, CONCURRENCY_MAX},
    {"http_version", OPTION_TEXT, offsetof(client_options, http_version), 0, 0},
    {"proxy", OPTION_TEXT, offsetof(client_options, proxy), 0, 0},
    {"no_proxy", OPTION_TEXT, offsetof(client_options, no_proxy), 0, 0},
    {"ca_file", OPTION_BYTES, offsetof(client_options, ca_file), 0, 0},
    {"user_agent", OPTION_TEXT, offsetof(client_options, user_agent), 0, 0},
    {"on_event", OPTION_FUNCTION, 0, 0, 0},
    {NULL, OPTION_END, 0, 0, 0},
};

static const mde_call_limits default_limits = {
    .timeout_ms = 30000,
    .connect_timeout_ms = 10000,
    .budget_ms = MDE_TIME_NEVER,
    .max_attempts = 4,
    .max_body_bytes = (size_t)64 * MIB,
};

static void read_options(lua_State *L, int argument, client_options *options)
{
  *options = (client_options){.limits = default_limits, .concurrency = 8};
  source_flatten(L, argument);
  options_read(L, argument, client_rows, options);
  options->has_windows = options_has(L, argument, "rate_limit");
  source_check(L, argument, &options->source);
  whereabouts_find(L, argument, &options->given, options->source.authority, &options->where);
}

/* --- what misuse is told --- */

/* Without TLS a proxy sees the token: then it must be on this machine, too. */
static void check_proxy(lua_State *L, int argument, const client_options *options)
{
  mde_base_url base, proxy;
  mde_base_url_parse(&base, options->where.base_url.data, options->where.base_url.length);
  if (base.https || options->proxy.length == 0)
    return;
  if (!mde_base_url_parse(&proxy, options->proxy.data, options->proxy.length) || !proxy.loopback)
    luaL_argerror(L, argument,
                  "option 'proxy': with a plain http base_url it would see the token;"
                  " a loopback proxy, http://127.0.0.1:PORT, expected");
}

static void check_version(lua_State *L, int argument, mde_slice text)
{
  if (text.data != NULL && strcmp(text.data, "1.1") != 0 && strcmp(text.data, "2") != 0)
    luaL_argerror(L, argument, "option 'http_version': '1.1' or '2' expected");
}

static mde_http_version version_of(mde_slice text)
{
  if (text.data == NULL)
    return MDE_HTTP_DEFAULT;
  return text.data[0] == '2' ? MDE_HTTP_2 : MDE_HTTP_1_1;
}

/* --- making one --- */

static void check_memory(lua_State *L, mde_status status)
{
  if (status != MDE_OK)
    luaL_error(L, "not enough memory");
}

/* The text lives as long as the userdata, closed or not, since it is in its user value. */
static void take_base_url(lua_State *L, Client *client, mde_slice text)
{
  compat_getuservalue(L, -1);
  lua_pushlstring(L, text.data, text.length);
  const char *kept = lua_tostring(L, -1);
  lua_setfield(L, -2, CLIENT_BASE_URL);
  lua_pop(L, 1);
  mde_base_url_parse(&client->base, kept, text.length);
}

/* The one that was given, or one of its own; its userdata is in the user value. */
static void take_quota(lua_State *L, int argument, Client *client, const client_options *options)
{
  int client_index = lua_gettop(L);
  options_push(L, argument, "quota");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    quota_push_private(L, options->has_windows ? &options->windows : NULL);
  }
  client->quota = compat_testudata(L, -1, QUOTA_CLASS);
  compat_getuservalue(L, client_index);
  lua_insert(L, -2);
  lua_setfield(L, -2, CLIENT_QUOTA);
  lua_pop(L, 1);
}

/* A token that says when it ends is not used any longer. */
static void take_token(lua_State *L, int argument, Client *client)
{
  char moment[MDE_INSTANT_TEXT_SIZE], reason[MDE_INSTANT_TEXT_SIZE + 64];
  mde_slice token;
  options_push(L, argument, "token");
  token.data = lua_tolstring(L, -1, &token.length);
  claims_read(L, token, &client->source.claims);
  check_memory(L, mde_credential_set(&client->credential, token, token_expiry_ms(client)));
  mde_instant_text(moment, client->source.claims.expires_s);
  snprintf(reason, sizeof reason, "the token expired at %s; get a new one", moment);
  mde_credential_explain(&client->credential, reason);
  lua_pop(L, 1);
}

static void take_source(lua_State *L, int argument, Client *client, const client_options *options)
{
  bool given = options->source.kind == SOURCE_TOKEN;
  mde_credential_init(&client->credential, &mde_memory_system, !given);
  bool ok = source_take(&client->source, &options->source, &options->where);
  check_memory(L, ok ? MDE_OK : MDE_NO_MEMORY);
  client->credential.patient = source_is_remote(&client->source);
  if (given)
    take_token(L, argument, client);
}

/* The string, or what the environment says; "" means none. */
static const char *text_of(mde_slice option, const char *environment)
{
  const char *text = option.data != NULL ? option.data : environment;
  return text != NULL && text[0] != '\0' ? text : NULL;
}

static const char *push_user_agent(lua_State *L, mde_slice prefix)
{
  if (prefix.length == 0)
    return lua_pushfstring(L, "mde-lua/%s", MDE_VERSION); /* 5.1's pushliteral returns nothing */
  return lua_pushfstring(L, "%s mde-lua/%s", prefix.data, MDE_VERSION);
}

static void take_transport(lua_State *L, Client *client, const client_options *options)
{
  mde_transport_settings settings = {
      .ca_file = text_of(options->ca_file, mde_environment_ca_file()),
      .proxy = text_of(options->proxy, mde_environment_proxy(client->base.https)),
      .no_proxy = text_of(options->no_proxy, mde_environment_no_proxy()),
      .user_agent = push_user_agent(L, options->user_agent),
      .http_version = version_of(options->http_version),
  };
  client->transport = mde_transport_open(&settings, &mde_memory_system);
  lua_pop(L, 1);
  if (client->transport == NULL)
    luaL_error(L, "libcurl could not be started, or there is not enough memory");
}

/* { token = function or nil, on_event = function or nil, calls = weak table } */
static void set_uservalue(lua_State *L, int argument, int client_index)
{
  static const char *const functions[] = {CLIENT_TOKEN, CLIENT_ON_EVENT};
  lua_createtable(L, 0, 6);
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    options_push(L, argument, functions[i]);
    if (!lua_isfunction(L, -1)) { /* a token string is not kept in Lua */
      lua_pop(L, 1);
      lua_pushnil(L);
    }
    lua_setfield(L, -2, functions[i]);
  }
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, CLIENT_CALLS);
  compat_setuservalue(L, client_index);
}

static Client *push_zeroed(lua_State *L)
{
  Client *client = compat_newuserdata(L, sizeof *client);
  memset(client, 0, sizeof *client);
  client->queued.end = &client->queued.first;
  client->queued_deadline_ms = MDE_TIME_NEVER;
  client->active.end = &client->active.first;
  client->flying.end = &client->flying.first;
  luaL_getmetatable(L, CLIENT_CLASS);
  lua_setmetatable(L, -2);
  return client;
}

Client *client_create(lua_State *L, int argument, mde_clock *clock)
{
  bool scripted = clock != NULL;
  client_options options;
  luaL_checkstack(L, 12, "client");
  read_options(L, argument, &options);
  check_proxy(L, argument, &options);
  check_version(L, argument, options.http_version);
  budget_check_quota(L, argument, scripted);
  Client *client = push_zeroed(L);
  set_uservalue(L, argument, lua_gettop(L));
  client->limits = options.limits;
  client->concurrency = options.concurrency;
  client->scripted = scripted;
  client->clock = scripted ? clock : &client->own_clock;
  client->random_state = mde_random_seed();
  client->fixed_jitter = -1;
  client->has_events = options_has(L, argument, CLIENT_ON_EVENT);
  take_base_url(L, client, options.where.base_url);
  take_quota(L, argument, client, &options);
  take_source(L, argument, client, &options);
  if (!scripted)
    take_transport(L, client, &options);
  client->open = true;
  return client;
}

int client_new(lua_State *L)
{
  if (lua_isnone(L, 1))
    luaL_argerror(L, 1, "a table of options expected: mde.client{ token = ... }");
  client_create(L, 1, NULL);
  return 1;
}

/* --- the end of one --- */

static void end_calls(CallList *list)
{
  while (list->first != NULL)
    call_end(list->first, MDE_ERROR_CLOSED, MDE_FAILURE_CLOSED);
}

void client_close(Client *client)
{
  client->open = false;
  client->close_asked = false;
  end_calls(&client->queued);
  end_calls(&client->active);
  end_calls(&client->flying);
  mde_transport_close(client->transport);
  client->transport = NULL;
  mde_credential_free(&client->credential);
  source_free(&client->source);
}

/* close, __gc and __close: any object, any number of times. */
static int client_gc(lua_State *L)
{
  Client *client = compat_testudata(L, 1, CLIENT_CLASS);
  if (client == NULL)
    return 0;
  if (client->busy) {
    /* The secrets go at once: it may be os.exit that ends the state, and nobody comes back. */
    mde_credential_free(&client->credential);
    source_forget(&client->source);
    client->close_asked = true;
    return 0;
  }
  client_close(client);
  return 0;
}

static int client_close_method(lua_State *L)
{
  luaL_checkudata(L, 1, CLIENT_CLASS);
  return client_gc(L);
}

/* --- helpers for those who drive --- */

int64_t client_now_ms(const Client *client)
{
  return mde_clock_now_ms(client->clock);
}

Client *client_check_idle(lua_State *L)
{
  Client *client = luaL_checkudata(L, 1, CLIENT_CLASS);
  if (client->busy)
    luaL_error(L, "a client cannot be used from inside its own token function, on_event or quota");
  return client;
}

int client_push_closed(lua_State *L, const char *operation)
{
  lua_pushnil(L);
  error_push_plain(L, MDE_ERROR_CLOSED, operation, "the client is closed");
  return 2;
}

/* --- methods; those that call operations are in operations.c --- */

static void set_count(lua_State *L, const char *name, uint64_t value)
{
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static int client_stats_method(lua_State *L)
{
  const Client *client = luaL_checkudata(L, 1, CLIENT_CLASS);
  const client_stats *stats = &client->stats;
  if (!client->open)
    return client_push_closed(L, "stats");
  lua_createtable(L, 0, 11);
  set_count(L, "calls", stats->calls);
  set_count(L, "attempts", stats->attempts);
  set_count(L, "retries", stats->retries);
  set_count(L, "throttled", stats->throttled);
  set_count(L, "errors", stats->errors);
  set_count(L, "tokens", stats->tokens);
  set_count(L, "pages", stats->pages);
  set_count(L, "bytes_received", stats->bytes);
  set_count(L, "connections", client->scripted ? 0 : mde_transport_connections(client->transport));
  set_count(L, "in_flight", client->in_flight);
  lua_pushnumber(L, (lua_Number)stats->waited_ms / 1000);
  lua_setfield(L, -2, "waited_seconds");
  return 1;
}

static int client_tostring(lua_State *L)
{
  const Client *client = luaL_checkudata(L, 1, CLIENT_CLASS);
  lua_pushlstring(L, client->base.origin.data, client->base.origin.length);
  lua_pushfstring(L, "%s (%s, %s)", CLIENT_CLASS, lua_tostring(L, -1),
                  client->open ? "open" : "closed");
  return 1;
}

/* --- the class --- */

void client_register(lua_State *L)
{
  static const luaL_Reg methods[] = {
      {"stats", client_stats_method}, {"close", client_close_method}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {
      {"__gc", client_gc}, {"__close", client_gc}, {"__tostring", client_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, CLIENT_CLASS);
  compat_setfuncs(L, metamethods);
  lua_newtable(L);
  compat_setfuncs(L, methods);
  operations_register(L);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

#include "bind/error.h"

#include "bind/json.h"

#include <string.h>

#define ERROR_CLASS "mde.error"

static const char *const kind_names[] = {
#define KIND_NAME(symbol, name, retryable) name,
    MDE_ERROR_KINDS(KIND_NAME)
#undef KIND_NAME
};

bool error_is_kind(const char *name)
{
  for (size_t i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++) {
    if (strcmp(kind_names[i], name) == 0)
      return true;
  }
  return false;
}

/* --- what the service said; its words are on the stack while they are used --- */

enum { SECRET_MIN = 8 }; /* shorter ones are a test's, and stand in every other word */

static int hex_digit(char byte)
{
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  const char *at = byte != '\0' ? strchr(digits, byte) : NULL;
  return at != NULL ? (int)(at - digits) % 16 : -1;
}

/* The character that JSON writes there: as it is, behind a backslash, or as \u0061. Returns how many
 * bytes it takes. */
static size_t read_character(mde_slice text, size_t at, int *character)
{
  const char *from = text.data + at;
  *character = (unsigned char)from[0];
  if (from[0] != '\\' || text.length - at < 2)
    return 1;
  if (from[1] != 'u' || text.length - at < 6) {
    *character = (unsigned char)from[1];
    return 2;
  }
  *character = 0;
  for (int i = 2; i < 6; i++)
    *character = *character * 16 + hex_digit(from[i]);
  return 6;
}

/* How many bytes the secret takes in the text from there on; 0: it does not stand there. */
static size_t match_secret(mde_slice text, size_t from, mde_slice secret)
{
  size_t at = from;
  for (size_t i = 0; i < secret.length; i++) {
    int character;
    if (at >= text.length)
      return 0;
    at += read_character(text, at, &character);
    if (character != (unsigned char)secret.data[i])
      return 0;
  }
  return at - from;
}

static bool holds(mde_slice text, mde_slice secret)
{
  for (size_t at = 0; secret.length >= SECRET_MIN && at < text.length; at++) {
    if (match_secret(text, at, secret) > 0)
      return true;
  }
  return false;
}

void error_hide(mde_buffer *body, mde_slice secret)
{
  mde_slice text = {body->data, body->length};
  for (size_t at = 0; secret.length >= SECRET_MIN && at < text.length; at++)
    memset(body->data + at, '*', match_secret(text, at, secret));
}

/* Pushes table[name] of the table at `index`, or nil, if it is a string; borrows from it. A proxy
 * that echoes the request must not bring the token into a message. */
static mde_slice push_words(lua_State *L, int index, const char *name, mde_slice token)
{
  mde_slice words = {"", 0};
  lua_pushnil(L);
  if (!lua_istable(L, index))
    return words;
  lua_pushstring(L, name);
  lua_rawget(L, index);
  lua_replace(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING)
    words.data = lua_tolstring(L, -1, &words.length);
  if (words.length > 0 && !holds(words, token))
    return words;
  lua_pop(L, 1);
  lua_pushnil(L);
  return (mde_slice){"", 0};
}

/* Pushes the `error` object of the answer's body, or nil. */
static void push_service_error(lua_State *L, const Call *call)
{
  char reason[JSON_REASON_MAX + 1];
  const mde_buffer *body = &call->core.response.body;
  bool answered = call->core.failure.status != 0 && call->core.failure.reason != MDE_FAILURE_BODY;
  if (answered && body->length > 0) {
    lua_pushlstring(L, body->data, body->length);
    if (json_decode(L, reason)) {
      if (lua_istable(L, -1)) {
        lua_pushliteral(L, "error");
        lua_rawget(L, -2);
        lua_remove(L, -2);
      }
      return;
    }
  }
  lua_pushnil(L);
}

/* --- the table --- */

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_words(lua_State *L, const char *name, mde_slice words)
{
  char text[MDE_FAILURE_TEXT_MAX];
  if (words.length == 0)
    return;
  lua_pushlstring(L, text, mde_failure_quote(text, sizeof text, words));
  lua_setfield(L, -2, name);
}

static void set_message(lua_State *L, const Call *call, const mde_failure_context *context)
{
  /* On the C stack: nothing to free if Lua has no memory for the string. */
  char text[MDE_FAILURE_TEXT_MAX];
  size_t length = mde_failure_text(text, sizeof text, &call->core.failure, context);
  lua_pushlstring(L, text, length);
  lua_setfield(L, -2, "message");
}

static void push_table(lua_State *L, const char *kind, const char *operation)
{
  lua_createtable(L, 0, 9);
  luaL_getmetatable(L, ERROR_CLASS);
  lua_setmetatable(L, -2);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, operation);
  lua_setfield(L, -2, "operation");
}

static void set_facts(lua_State *L, const mde_failure *failure)
{
  if (failure->status != 0)
    set_integer(L, "status", failure->status);
  if (failure->retry_after_ms >= 0) {
    lua_pushnumber(L, (lua_Number)failure->retry_after_ms / 1000);
    lua_setfield(L, -2, "retry_after");
  }
  set_integer(L, "attempts", (lua_Integer)failure->attempts);
  lua_pushboolean(L, failure->retryable);
  lua_setfield(L, -2, "retryable");
}

/* What the token lacks, as far as it says so itself. */
static mde_slice find_hint(const Call *call, const Client *client, char *text, size_t size)
{
  const mde_failure *failure = &call->core.failure;
  if (failure->status != 401 && failure->status != 403)
    return (mde_slice){"", 0};
  mde_claims_wanted wanted = {.audience = source_text(&client->source, SOURCE_AUDIENCE),
                              .tenant = source_text(&client->source, SOURCE_TENANT_ID),
                              .permission = call->core.operation->permission,
                              .now_s = mde_clock_unix_s(client->clock)};
  mde_memory array = mde_memory_block(text);
  mde_buffer hint;
  mde_buffer_init(&hint, &array, size - 1);
  mde_claims_hint(&hint, &client->source.claims, &wanted, failure->status);
  return (mde_slice){mde_buffer_text(&hint), hint.length};
}

void error_push(lua_State *L, const Call *call, const Client *client)
{
  char hint[MDE_FAILURE_TEXT_MAX];
  const mde_failure *failure = &call->core.failure;
  if (failure->kind == MDE_ERROR_MEMORY)
    luaL_error(L, "not enough memory");
  luaL_checkstack(L, 12, "error");
  mde_slice token = mde_credential_token(&client->credential);
  mde_failure_context context = {.operation = call->core.operation,
                                 .origin = client->base.origin,
                                 .audience = source_text(&client->source, SOURCE_AUDIENCE),
                                 .hint = find_hint(call, client, hint, sizeof hint)};
  push_service_error(L, call);
  int service = lua_gettop(L);
  context.service_code = push_words(L, service, "code", token);
  context.service_message = push_words(L, service, "message", token);
  context.service_target = push_words(L, service, "target", token);
  push_table(L, kind_names[failure->kind], call->core.operation->name);
  set_facts(L, failure);
  set_words(L, "code", context.service_code);
  set_words(L, "target", context.service_target);
  set_message(L, call, &context);
  lua_replace(L, service);
  lua_settop(L, service);
}

void error_push_plain(lua_State *L, mde_error_kind kind, const char *operation, const char *what)
{
  push_table(L, kind_names[kind], operation);
  set_integer(L, "attempts", 0);
  lua_pushboolean(L, kind != MDE_ERROR_CLOSED);
  lua_setfield(L, -2, "retryable");
  lua_pushfstring(L, "%s: %s", operation, what);
  lua_setfield(L, -2, "message");
}

static int error_tostring(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  if (lua_type(L, -1) != LUA_TSTRING)
    lua_pushliteral(L, "mde: an error without a message");
  return 1;
}

void error_register(lua_State *L)
{
  static const luaL_Reg metamethods[] = {{"__tostring", error_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, ERROR_CLASS);
  compat_setfuncs(L, metamethods);
  lua_pushliteral(L, ERROR_CLASS);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

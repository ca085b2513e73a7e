#include "bind/source.h"

#include "core/credential.h"
#include "core/uri.h"
#include "io/assertion.h"
#include "io/environment.h"

#include <string.h>

enum { TEXT_MAX = 65536 };

#define IMDS_HOST "http://169.254.169.254"

/* --- `credential` --- */

static void check_new(lua_State *L, int argument, int table)
{
  lua_pushvalue(L, -2);
  lua_rawget(L, table);
  if (!lua_isnil(L, -1))
    luaL_argerror(
        L, argument,
        lua_pushfstring(L, "option '%s': given twice, once in 'credential'", lua_tostring(L, -3)));
  lua_pop(L, 1);
}

/* Appends the table at `from` to the one at `to`. */
static void copy_fields(lua_State *L, int argument, int from, int to)
{
  for (lua_pushnil(L); lua_next(L, from) != 0; lua_pop(L, 1)) {
    check_new(L, argument, to);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, to);
  }
}

void source_flatten(lua_State *L, int argument)
{
  luaL_checktype(L, argument, LUA_TTABLE);
  luaL_checkstack(L, 10, "credential");
  options_push(L, argument, "credential");
  if (lua_istable(L, -1)) {
    int credential = lua_gettop(L);
    lua_newtable(L);
    copy_fields(L, argument, argument, credential + 1);
    lua_pushnil(L);
    lua_setfield(L, credential + 1, "credential");
    copy_fields(L, argument, credential, credential + 1);
    lua_replace(L, argument);
  }
  lua_pop(L, 1);
}

/* --- which one --- */

typedef struct credential_name {
  const char *option;
  source_kind kind;
} credential_name;

static const credential_name credentials[] = {
    {"token", SOURCE_TOKEN},
    {"token_file", SOURCE_TOKEN_FILE},
    {"client_secret", SOURCE_SECRET},
    {"certificate", SOURCE_CERTIFICATE},
    {"federated_token_file", SOURCE_FEDERATED},
    {"managed_identity", SOURCE_IMDS},
    {"credential", SOURCE_IMDS},
};

static const char *find_one(lua_State *L, int argument, source_options *options)
{
  const char *found = NULL;
  for (size_t i = 0; i < sizeof credentials / sizeof credentials[0]; i++) {
    const char *name = credentials[i].option;
    if (!options_has(L, argument, name))
      continue;
    if (found != NULL)
      luaL_argerror(
          L, argument,
          lua_pushfstring(L, "exactly one credential expected, got '%s' and '%s'", found, name));
    found = name;
    options->kind = credentials[i].kind;
  }
  if (found == NULL)
    luaL_argerror(L, argument,
                  "no credential: give 'token' (a string or a function), 'client_secret',"
                  " 'certificate', 'federated_token_file', 'managed_identity', 'token_file' or"
                  " 'credential' (is the environment variable that it comes from set?)");
  return found;
}

/* --- the environment --- */

static void read_variable(mde_slice *text, const char *name)
{
  const char *value = mde_environment_azure(name);
  if (value != NULL)
    *text = (mde_slice){value, strlen(value)};
}

static bool has(const source_options *options, int which)
{
  return options->text[which].length > 0;
}

/* The login host, with or without "https://". What it borrows from may be left on the stack. */
static void read_authority(lua_State *L, source_options *options)
{
  options->authority = mde_environment_azure("AZURE_AUTHORITY_HOST");
  if (options->authority != NULL && strstr(options->authority, "://") == NULL)
    options->authority = lua_pushfstring(L, "https://%s", options->authority);
}

/* In the order of Azure's SDKs. */
static void read_environment(lua_State *L, int argument, source_options *options)
{
  options_push(L, argument, "credential");
  if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "environment") != 0)
    luaL_argerror(L, argument, "option 'credential': a table or 'environment' expected");
  lua_pop(L, 1);
  mde_slice *text = options->text;
  read_variable(&text[SOURCE_TENANT_ID], "AZURE_TENANT_ID");
  read_variable(&text[SOURCE_CLIENT_ID], "AZURE_CLIENT_ID");
  read_variable(&text[SOURCE_PROOF], "AZURE_CLIENT_SECRET");
  read_variable(&text[SOURCE_CERTIFICATE_FILE], "AZURE_CLIENT_CERTIFICATE_PATH");
  read_variable(&text[SOURCE_PASSPHRASE], "AZURE_CLIENT_CERTIFICATE_PASSWORD");
  read_variable(&text[SOURCE_FILE], "AZURE_FEDERATED_TOKEN_FILE");
  read_authority(L, options);
  if (has(options, SOURCE_PROOF))
    options->kind = SOURCE_SECRET;
  else if (has(options, SOURCE_CERTIFICATE_FILE))
    options->kind = SOURCE_CERTIFICATE;
  else if (has(options, SOURCE_FILE))
    options->kind = SOURCE_FEDERATED;
}

/* --- each by itself --- */

static void need(lua_State *L, int argument, const source_options *options, int which,
                 const char *option, const char *credential)
{
  if (has(options, which))
    return;
  luaL_argerror(L, argument,
                lua_pushfstring(L, "%s needs %s, too",
                                strcmp(credential, "credential") == 0
                                    ? "the environment's credential"
                                    : credential,
                                option));
}

static void check_account(lua_State *L, int argument, const source_options *options,
                          const char *credential)
{
  bool environment = strcmp(credential, "credential") == 0;
  need(L, argument, options, SOURCE_TENANT_ID, environment ? "AZURE_TENANT_ID" : "'tenant_id'",
       credential);
  need(L, argument, options, SOURCE_CLIENT_ID, environment ? "AZURE_CLIENT_ID" : "'client_id'",
       credential);
  if (!mde_uri_segment_valid(options->text[SOURCE_TENANT_ID]))
    luaL_argerror(L, argument, "option 'tenant_id': an id or a domain name expected");
}

/* Never shows the token. */
static void check_token(lua_State *L, int argument, source_options *options)
{
  size_t length;
  options_push(L, argument, "token");
  if (lua_isfunction(L, -1)) {
    options->kind = SOURCE_FUNCTION;
  } else if (lua_type(L, -1) != LUA_TSTRING) {
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "option 'token': string or function expected, got %s",
                                  luaL_typename(L, -1)));
  } else {
    const char *token = lua_tolstring(L, -1, &length);
    if (!mde_token_valid(token, length))
      luaL_argerror(L, argument,
                    "option 'token': empty, too long, or with characters that no token"
                    " holds (a line end, perhaps)");
  }
  lua_pop(L, 1);
}

/* Plain http must not leave this machine, but for the addresses that Azure itself serves. */
static void check_endpoint(lua_State *L, int argument, const char *variable, const char *text,
                           bool azures_own)
{
  mde_base_url url;
  if (!mde_base_url_parse(&url, text, strlen(text)) ||
      (!url.https && !url.loopback && !azures_own) || strlen(text) > TEXT_MAX)
    luaL_argerror(L, argument,
                  lua_pushfstring(L,
                                  "%s: an https address expected; plain http is for loopback"
                                  " and for Azure's own link-local addresses",
                                  variable));
}

static bool is_link_local(const char *text)
{
  mde_base_url url;
  return mde_base_url_parse(&url, text, strlen(text)) && url.link_local;
}

static bool find_app_service(lua_State *L, int argument, source_options *options)
{
  const char *endpoint = mde_environment_azure("IDENTITY_ENDPOINT");
  if (endpoint == NULL || mde_environment_azure("IDENTITY_HEADER") == NULL)
    return false;
  check_endpoint(L, argument, "IDENTITY_ENDPOINT", endpoint, is_link_local(endpoint));
  options->kind = SOURCE_APP_SERVICE;
  read_variable(&options->text[SOURCE_ENDPOINT], "IDENTITY_ENDPOINT");
  read_variable(&options->text[SOURCE_PROOF], "IDENTITY_HEADER");
  mde_slice header = options->text[SOURCE_PROOF];
  if (!mde_token_valid(header.data, header.length))
    luaL_argerror(L, argument, "IDENTITY_HEADER: characters that cannot stand in a header");
  return true;
}

static void find_local_service(lua_State *L, int argument, source_options *options)
{
  static const char variable[] = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
  mde_slice *endpoint = &options->text[SOURCE_ENDPOINT];
  if (find_app_service(L, argument, options))
    return;
  *endpoint = (mde_slice){IMDS_HOST, strlen(IMDS_HOST)};
  read_variable(endpoint, variable);
  while (endpoint->length > 0 && endpoint->data[endpoint->length - 1] == '/')
    endpoint->length--;
  bool imds = endpoint->length == strlen(IMDS_HOST) &&
              memcmp(endpoint->data, IMDS_HOST, endpoint->length) == 0;
  check_endpoint(L, argument, variable, endpoint->data, imds);
}

static void check_managed_identity(lua_State *L, int argument, source_options *options)
{
  options_push(L, argument, "managed_identity");
  mde_slice *client_id = &options->text[SOURCE_CLIENT_ID];
  if (client_id->length > 0 && !lua_isnil(L, -1))
    luaL_argerror(L, argument, "option 'client_id': give it as 'managed_identity' = CLIENT_ID");
  if (lua_type(L, -1) == LUA_TSTRING)
    client_id->data = lua_tolstring(L, -1, &client_id->length);
  else if (!lua_isnil(L, -1) && !(lua_isboolean(L, -1) && lua_toboolean(L, -1)))
    luaL_argerror(L, argument, "option 'managed_identity': true or a client id expected");
  lua_pop(L, 1);
  if (client_id->length > TEXT_MAX)
    luaL_argerror(L, argument, "option 'managed_identity': more than 65536 bytes");
  find_local_service(L, argument, options);
}

static void check_certificate(lua_State *L, int argument)
{
  char words[MDE_TROUBLE_SIZE];
  mde_buffer none;
  if (mde_assertion_available())
    return;
  mde_trouble trouble = {.text = words, .size = sizeof words};
  mde_buffer_init(&none, &mde_memory_system, 1);
  mde_assertion_make(&none, NULL, (mde_slice){"", 0}, (mde_slice){"", 0}, 0, &trouble);
  luaL_argerror(L, argument, lua_pushfstring(L, "option 'certificate': %s", words));
}

static void check_lengths(lua_State *L, int argument, const source_options *options)
{
  for (int i = 0; i < SOURCE_TEXTS; i++) {
    if (options->text[i].length > TEXT_MAX)
      luaL_argerror(L, argument, "a credential's text of more than 65536 bytes");
  }
}

static void check_algorithm(lua_State *L, int argument, mde_slice name)
{
  if (name.data != NULL && strcmp(name.data, "PS256") != 0 && strcmp(name.data, "RS256") != 0)
    luaL_argerror(L, argument, "option 'signature_algorithm': 'PS256' or 'RS256' expected");
}

static void check_stray(lua_State *L, int argument, const char *option, const char *belongs)
{
  if (options_has(L, argument, option))
    luaL_argerror(L, argument, lua_pushfstring(L, "option '%s': only with %s", option, belongs));
}

/* What would be ignored is a mistake. A tenant is known to any token. */
static void check_strays(lua_State *L, int argument, const source_options *options)
{
  if (options->kind < SOURCE_SECRET)
    check_stray(L, argument, "client_id",
                "'client_secret', 'certificate' or 'federated_token_file'");
  if (options->kind == SOURCE_CERTIFICATE)
    return;
  check_stray(L, argument, "private_key", "'certificate'");
  check_stray(L, argument, "passphrase", "'certificate'");
  check_stray(L, argument, "signature_algorithm", "'certificate'");
}

static void check_filled(lua_State *L, int argument, const source_options *options,
                         const char *option)
{
  static const int texts[] = {[SOURCE_TOKEN_FILE] = SOURCE_FILE,
                              [SOURCE_SECRET] = SOURCE_PROOF,
                              [SOURCE_CERTIFICATE] = SOURCE_CERTIFICATE_FILE,
                              [SOURCE_FEDERATED] = SOURCE_FILE};
  if (!has(options, texts[options->kind]))
    luaL_argerror(L, argument, lua_pushfstring(L, "option '%s': it is empty", option));
}

void source_check(lua_State *L, int argument, source_options *options)
{
  const char *name = find_one(L, argument, options);
  if (strcmp(name, "credential") == 0)
    read_environment(L, argument, options);
  if (options->token_file.data != NULL || options->federated_token_file.data != NULL)
    options->text[SOURCE_FILE] =
        options->kind == SOURCE_TOKEN_FILE ? options->token_file : options->federated_token_file;
  if (options->kind == SOURCE_TOKEN)
    check_token(L, argument, options);
  else if (options->kind == SOURCE_IMDS)
    check_managed_identity(L, argument, options);
  else
    check_filled(L, argument, options, name);
  if (options->kind >= SOURCE_SECRET && options->kind <= SOURCE_FEDERATED)
    check_account(L, argument, options, name);
  if (options->kind == SOURCE_CERTIFICATE)
    check_certificate(L, argument);
  check_algorithm(L, argument, options->algorithm);
  check_lengths(L, argument, options);
  check_strays(L, argument, options);
}

/* --- what is kept --- */

static void set_text(TokenSource *source, int which, mde_slice text)
{
  mde_buffer_append(&source->text[which], text.data, text.length);
}

bool source_take(TokenSource *source, const source_options *options, const whereabouts *where)
{
  bool ok = true;
  source->kind = options->kind;
  source->rs256 = options->algorithm.data != NULL && options->algorithm.data[0] == 'R';
  mde_login_init(&source->login, &mde_memory_system);
  for (int i = 0; i < SOURCE_TEXTS; i++) {
    mde_buffer_init_secret(&source->text[i], &mde_memory_system, TEXT_MAX);
    set_text(source, i, options->text[i]);
  }
  set_text(source, SOURCE_AUTHORITY, where->authority);
  set_text(source, SOURCE_AUDIENCE, where->audience);
  for (int i = 0; i < SOURCE_TEXTS; i++)
    ok = source->text[i].status == MDE_OK && ok;
  return ok;
}

void source_forget(TokenSource *source)
{
  mde_login_reset(&source->login);
  for (int i = 0; i < SOURCE_TEXTS; i++)
    mde_buffer_reset(&source->text[i]);
}

void source_free(TokenSource *source)
{
  mde_login_free(&source->login);
  for (int i = 0; i < SOURCE_TEXTS; i++)
    mde_buffer_free(&source->text[i]);
}

bool source_is_remote(const TokenSource *source)
{
  return source->kind >= SOURCE_SECRET;
}

mde_slice source_text(const TokenSource *source, int which)
{
  const mde_buffer *text = &source->text[which];
  return (mde_slice){mde_buffer_text(text), text->length};
}

/* What the benchmark's Lua programs need of C.
 *
 *   local native = require "bench_native"
 *   local body = native.fetch(url, ca_file, { "Authorization: Bearer ...", ... })
 *   local milliseconds = native.now()
 *
 * `fetch` is as bare as can be, for bench/decode.lua: the body is collected as in floor.c, becomes a Lua string, and
 * is freed before anything is done with that. */
#include <curl/curl.h>

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct body {
  char *data;
  size_t length, capacity;
} body;

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
  body *at = context;
  (void)one;
  if (at->length + length > at->capacity) {
    size_t capacity = at->capacity > 0 ? at->capacity : 1024;
    while (at->length + length > capacity)
      capacity *= 2;
    char *data = realloc(at->data, capacity);
    if (data == NULL)
      return 0;
    at->data = data;
    at->capacity = capacity;
  }
  memcpy(at->data + at->length, bytes, length);
  at->length += length;
  return length;
}

static struct curl_slist *headers_of(lua_State *L, int index)
{
  struct curl_slist *headers = NULL;
  for (int i = 1; lua_rawgeti(L, index, i), lua_isstring(L, -1); i++) {
    headers = curl_slist_append(headers, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return headers;
}

static CURLcode get(const char *url, const char *ca_file, struct curl_slist *headers, body *to)
{
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, to);
  CURLcode result = curl_easy_perform(easy);
  curl_easy_cleanup(easy);
  return result;
}

static int fetch(lua_State *L)
{
  body to = {NULL, 0, 0};
  const char *url = luaL_checkstring(L, 1);
  const char *ca_file = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  struct curl_slist *headers = headers_of(L, 3);
  CURLcode result = get(url, ca_file, headers, &to);
  curl_slist_free_all(headers);
  lua_pushlstring(L, to.data != NULL ? to.data : "", to.length);
  free(to.data);
  return result == CURLE_OK ? 1 : luaL_error(L, "%s", curl_easy_strerror(result));
}

static int now(lua_State *L)
{
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  lua_pushnumber(L, (lua_Number)at.tv_sec * 1000 + (lua_Number)at.tv_nsec / 1e6);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_bench_native(lua_State *L);

int luaopen_bench_native(lua_State *L)
{
  curl_global_init(CURL_GLOBAL_DEFAULT);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, fetch);
  lua_setfield(L, -2, "fetch");
  lua_pushcfunction(L, now);
  lua_setfield(L, -2, "now");
  return 1;
}

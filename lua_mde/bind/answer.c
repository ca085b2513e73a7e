#include "bind/answer.h"

#include "bind/event.h"
#include "bind/json.h"

#include <string.h>

static void refuse(Call *call, const char *reason)
{
  mde_call_reject(&call->core, MDE_ERROR_JSON, MDE_FAILURE_BODY, reason);
}

/* Whether what is valid JSON is an object: in Lua an empty one looks like an empty array. */
static bool is_object(const mde_buffer *body)
{
  const char *text = mde_buffer_text(body);
  return text[strspn(text, " \t\r\n")] == '{';
}

/* The body as a Lua table on top, or false. A large C copy goes first. */
static bool push_body(lua_State *L, Call *call)
{
  char reason[JSON_REASON_MAX + 1];
  mde_buffer *body = &call->core.response.body;
  bool object = is_object(body);
  lua_pushlstring(L, mde_buffer_text(body), body->length);
  mde_buffer_trim(body, MDE_BODY_KEPT_MAX);
  if (!json_decode(L, reason)) {
    refuse(call, reason);
    return false;
  }
  if (!object)
    refuse(call, "it is no object");
  return object;
}

static void set_result(lua_State *L, int call_index, int result_index)
{
  lua_pushvalue(L, result_index);
  compat_getuservalue(L, call_index);
  lua_insert(L, -2);
  lua_rawseti(L, -2, CALL_RESULT);
  lua_pop(L, 1);
}

static void push_result(lua_State *L, int call_index)
{
  compat_getuservalue(L, call_index);
  lua_rawgeti(L, -1, CALL_RESULT);
  lua_remove(L, -2);
}

/* Appends the first `count` items of the array on top to the one below it. */
static void append(lua_State *L, int count)
{
  int length = (int)compat_rawlen(L, -2);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -3, length + i);
  }
}

static void cut(lua_State *L, int index, int length, int wanted)
{
  for (int i = length; i > wanted; i--) {
    lua_pushnil(L);
    lua_rawseti(L, index, i);
  }
}

/* The page's array is on top. The first one becomes the result itself. */
static int64_t add_items(lua_State *L, int call_index, const Call *call)
{
  int items = lua_gettop(L);
  int length = (int)compat_rawlen(L, items);
  int wanted = (int)mde_paging_wanted(&call->core.paging, length);
  if (call->core.paging.pages == 0) {
    cut(L, items, length, wanted);
    set_result(L, call_index, items);
  } else {
    push_result(L, call_index);
    lua_pushvalue(L, items);
    append(L, wanted);
    lua_pop(L, 2);
  }
  return length;
}

/* The page's next link, borrowed from the body at `body_index`, whose field is left on top. */
static bool push_next_link(lua_State *L, int body_index, mde_slice *link)
{
  *link = (mde_slice){"", 0};
  lua_pushliteral(L, "@odata.nextLink");
  lua_rawget(L, body_index);
  json_push_null(L);
  bool none = lua_isnil(L, -2) || lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  if (lua_type(L, -1) == LUA_TSTRING)
    link->data = lua_tolstring(L, -1, &link->length);
  return none || link->length > 0;
}

static bool is_array(lua_State *L, int index)
{
  if (!lua_istable(L, index))
    return false;
  if (compat_rawlen(L, index) > 0)
    return true;
  lua_pushnil(L);
  if (lua_next(L, index) == 0)
    return true;
  lua_pop(L, 2);
  return false;
}

static void take_collection(lua_State *L, int client_index, int call_index, int body_index)
{
  Call *call = lua_touserdata(L, call_index);
  mde_slice link;
  lua_pushliteral(L, "value");
  lua_rawget(L, body_index);
  if (!is_array(L, lua_gettop(L))) {
    refuse(call, "it has no array `value`");
    return;
  }
  int64_t items = add_items(L, call_index, call);
  if (!push_next_link(L, body_index, &link)) {
    mde_call_reject(&call->core, MDE_ERROR_JSON, MDE_FAILURE_LINK_MALFORMED, NULL);
    return;
  }
  mde_call_page(&call->core, items, link);
  call->client->stats.pages++;
  event_page(L, client_index, call, items);
}

static void take_entity(lua_State *L, int call_index, int body_index)
{
  Call *call = lua_touserdata(L, call_index);
  set_result(L, call_index, body_index);
  mde_call_page(&call->core, 1, (mde_slice){"", 0});
}

void answer_take(lua_State *L, int client_index, int call_index)
{
  Call *call = lua_touserdata(L, call_index);
  int top = lua_gettop(L);
  luaL_checkstack(L, 12, "answer");
  if (push_body(L, call)) {
    if (call->core.operation->shape == MDE_SHAPE_COLLECTION)
      take_collection(L, client_index, call_index, top + 1);
    else
      take_entity(L, call_index, top + 1);
  }
  lua_settop(L, top);
}

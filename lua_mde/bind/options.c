#include "bind/options.h"

#include "core/buffer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 32, TEXT_MAX = 65536 };

/* --- unknown names --- */

static size_t least(size_t a, size_t b, size_t c)
{
  size_t smaller = a < b ? a : b;
  return smaller < c ? smaller : c;
}

/* Levenshtein: how many characters to change, to add or to take away. What is longer than any name is
 * far enough. */
static size_t distance(const char *a, const char *b)
{
  size_t row[NAME_MAX_LENGTH + 1];
  size_t width = strlen(b);
  for (size_t j = 0; j <= width; j++)
    row[j] = j;
  for (size_t i = 0; a[i] != '\0' && i < 2 * NAME_MAX_LENGTH; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < width; j++) {
      size_t above = row[j + 1];
      row[j + 1] = least(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
      diagonal = above;
    }
  }
  return row[width];
}

static const char *nearest_name(const option_row *rows, const char *name)
{
  const char *nearest = rows->name;
  size_t best = SIZE_MAX;
  for (; rows->name != NULL; rows++) {
    size_t this_one = distance(name, rows->name);
    if (this_one < best) {
      best = this_one;
      nearest = rows->name;
    }
  }
  return nearest;
}

static const option_row *find_row(const option_row *rows, const char *name)
{
  while (rows->name != NULL && strcmp(rows->name, name) != 0)
    rows++;
  return rows->name != NULL ? rows : NULL;
}

/* --- values; each is on top of the stack --- */

static void bad_option(lua_State *L, int argument, const option_row *row, const char *expected)
{
  luaL_argerror(L, argument,
                lua_pushfstring(L, "option '%s': %s expected, got %s", row->name, expected,
                                luaL_typename(L, -1)));
}

static lua_Number read_number(lua_State *L, int argument, const option_row *row)
{
  if (lua_type(L, -1) != LUA_TNUMBER)
    bad_option(L, argument, row, row->type == OPTION_SECONDS ? "number of seconds" : "number");
  lua_Number number = lua_tonumber(L, -1);
  if (!(number >= row->min && number <= row->max)) {
    char range[64]; /* lua_pushfstring would write 1.0 */
    snprintf(range, sizeof range, "%.12g and %.12g", row->min, row->max);
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "option '%s': must be between %s", row->name, range));
  }
  return number;
}

static lua_Number read_whole(lua_State *L, int argument, const option_row *row)
{
  lua_Number number = read_number(L, argument, row);
  if (floor(number) != number)
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "option '%s': must be a whole number", row->name));
  return number;
}

static bool stands(char byte, option_type type)
{
  unsigned char code = (unsigned char)byte;
  return code >= 0x20 && code != 0x7f && (type == OPTION_BYTES || code < 0x7f);
}

static mde_slice read_text(lua_State *L, int argument, const option_row *row)
{
  mde_slice text;
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_option(L, argument, row, "string");
  text.data = lua_tolstring(L, -1, &text.length);
  if (text.length > TEXT_MAX)
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "option '%s': more than %d bytes", row->name, TEXT_MAX));
  for (size_t i = 0; i < text.length; i++) {
    if (!stands(text.data[i], row->type))
      luaL_argerror(
          L, argument,
          lua_pushfstring(L, "option '%s': a character that cannot stand there", row->name));
  }
  return text;
}

/* The key is below the value: { [seconds] = calls }. */
static mde_window read_window(lua_State *L, int argument, const option_row *row)
{
  static const char expected[] = "{ [seconds] = calls } with positive numbers";
  if (lua_type(L, -2) != LUA_TNUMBER || lua_type(L, -1) != LUA_TNUMBER)
    luaL_argerror(L, argument, lua_pushfstring(L, "option '%s': %s expected", row->name, expected));
  lua_Number seconds = lua_tonumber(L, -2);
  lua_Number calls = lua_tonumber(L, -1);
  bool ok = seconds >= 0.001 && seconds * 1000 <= MDE_WINDOW_LENGTH_MAX_MS && calls >= 1 &&
            calls <= MDE_WINDOW_CALLS_MAX && floor(calls) == calls;
  if (!ok)
    luaL_argerror(L, argument, lua_pushfstring(L, "option '%s': %s expected", row->name, expected));
  return (mde_window){(int64_t)ceil(seconds * 1000), (uint32_t)calls};
}

static mde_windows read_windows(lua_State *L, int argument, const option_row *row)
{
  mde_windows windows = {0};
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
    return windows;
  if (!lua_istable(L, -1))
    bad_option(L, argument, row, "{ [seconds] = calls } or false");
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (windows.count == MDE_WINDOWS_MAX)
      luaL_argerror(L, argument, lua_pushfstring(L, "option '%s': too many windows", row->name));
    windows.window[windows.count++] = read_window(L, argument, row);
  }
  if (windows.count == 0)
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "option '%s': no window; false means no limit", row->name));
  return windows;
}

static void read_value(lua_State *L, int argument, const option_row *row, void *target)
{
  void *place = (char *)target + row->offset;
  switch (row->type) {
  case OPTION_SECONDS:
    *(int64_t *)place = (int64_t)ceil(read_number(L, argument, row) * 1000);
    break;
  case OPTION_COUNT:
    *(uint32_t *)place = (uint32_t)read_whole(L, argument, row);
    break;
  case OPTION_NUMBER:
    *(int64_t *)place = (int64_t)read_whole(L, argument, row);
    break;
  case OPTION_SIZE:
    *(size_t *)place = (size_t)read_whole(L, argument, row);
    break;
  case OPTION_TEXT:
  case OPTION_BYTES:
    *(mde_slice *)place = read_text(L, argument, row);
    break;
  case OPTION_FUNCTION:
    if (!lua_isfunction(L, -1))
      bad_option(L, argument, row, "function");
    break;
  case OPTION_WINDOWS:
    *(mde_windows *)place = read_windows(L, argument, row);
    break;
  case OPTION_ANY:
  case OPTION_END:
    break;
  }
}

static const option_row *row_of_key(lua_State *L, int argument, const option_row *rows)
{
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_argerror(
        L, argument,
        lua_pushfstring(L, "options are named; got a key that is a %s", luaL_typename(L, -2)));
  size_t length;
  const char *name = lua_tolstring(L, -2, &length);
  const option_row *row = find_row(rows, name);
  if (row == NULL || length != strlen(row->name))
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "unknown option '%s'; did you mean '%s'?", name,
                                  nearest_name(rows, name)));
  return row;
}

void options_read(lua_State *L, int argument, const option_row *rows, void *target)
{
  luaL_checktype(L, argument, LUA_TTABLE);
  luaL_checkstack(L, 8, "options");
  for (lua_pushnil(L); lua_next(L, argument) != 0; lua_pop(L, 1))
    read_value(L, argument, row_of_key(L, argument, rows), target);
}

void options_push(lua_State *L, int argument, const char *name)
{
  lua_pushstring(L, name);
  lua_rawget(L, argument);
}

bool options_has(lua_State *L, int argument, const char *name)
{
  options_push(L, argument, name);
  bool has = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return has;
}

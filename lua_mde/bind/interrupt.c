#include "bind/interrupt.h"

#include <string.h>

static const char WORDS[] = "interrupted!";
enum { WORDS_LENGTH = sizeof WORDS - 1 };

/* Behind the words may be no more; before them stands the place, if Lua code was interrupted. */
static bool is_interruption(lua_State *L, int index)
{
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING)
    return false;
  const char *text = lua_tolstring(L, index, &length);
  return length >= WORDS_LENGTH && memcmp(text + length - WORDS_LENGTH, WORDS, WORDS_LENGTH) == 0;
}

bool interrupt_pcall(lua_State *L, int arguments, int results)
{
  if (lua_pcall(L, arguments, results, 0) == 0)
    return true;
  if (is_interruption(L, -1))
    lua_error(L);
  return false;
}

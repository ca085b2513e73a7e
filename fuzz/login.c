/* Answers of a token endpoint: see login.lua. */
#include "lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static lua_State *L;
  if (L == NULL)
    L = fuzz_lua("fuzz/login.lua");
  fuzz_call(L, bytes, size);
  return 0;
}

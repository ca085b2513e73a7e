/* The module: luaopen_mde and nothing else. */
#include "bind/client.h"
#include "bind/driver.h"
#include "bind/error.h"
#include "bind/hosted.h"
#include "bind/json.h"
#include "bind/script.h"
#include "core/version.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

EXPORT int luaopen_mde(lua_State *L);

int luaopen_mde(lua_State *L)
{
  static const luaL_Reg functions[] = {{"client", client_new},
                                       {"quota", quota_new},
                                       {"windows", quota_windows},
                                       {"_clock", quota_clock},
                                       {NULL, NULL}};
  json_open(L);
  quota_register(L);
  client_register(L);
  call_register(L);
  error_register(L);
  driver_register(L);
  lua_newtable(L);
  compat_setfuncs(L, functions);
  lua_pushliteral(L, MDE_VERSION);
  lua_setfield(L, -2, "_VERSION");
  json_push_null(L);
  lua_setfield(L, -2, "null");
  script_register(L);
  lua_setfield(L, -2, "_testing");
  hosted_register(L);
  lua_setfield(L, -2, "_hosted");
  return 1;
}

rockspec_format = "3.0"
package = "mde"
version = "scm-1"
source = {
  url = "git+https://example.org/mde.git", -- not published yet: use `luarocks make` in a checkout
}
description = {
  summary = "Client for the Microsoft Defender for Endpoint API",
  detailed = [[
    Which IP addresses belong to this alert? A C module over libcurl and lua-cjson that keeps to the
    service's rate limits, retries, renews tokens and follows pages.]],
  license = "MIT",
}
dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1.0",
}
-- No external_dependencies: LuaRocks would look for curl/curl.h itself and miss Debian's multiarch
-- folder. The Makefile asks pkg-config.
build = {
  type = "make",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
  },
}

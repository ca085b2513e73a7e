-- LuaRocks' settings for this folder. It takes a folder with .luarocks and lua_modules for a project,
-- and reads config-5.x.lua here, which are links to this file.

-- lua-cjson comes from the distribution (Debian: lua-cjson) or from where you like: LuaRocks need not
-- look for it on its servers.
rocks_provided = {
  ["lua-cjson"] = "2.1.0-1",
}

-- Root installs where LuaRocks would install without a project. Others get ./lua_modules, which needs
-- no rights. `--tree` is heeded in either case.
if home == "/root" then
  local_by_default = true
  home_tree = "/usr/local"
end

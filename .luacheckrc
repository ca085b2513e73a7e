std = "max"
max_line_length = 120
include_files = { "**/*.lua", "rockspec/*.rockspec", ".luacheckrc", ".busted" }
exclude_files = { "build", "lua_modules" }

files["spec"] = { std = "max+busted" }
files["spec/simulator"] = { std = "ngx_lua" }
files["types"] = { ignore = { "212", "241" } } -- declarations: nobody uses their arguments and tables
files[".luarocks"] = { ignore = { "111", "131" }, read_globals = { "home" } } -- settings: assigned for LuaRocks to read
files["examples/gateway"] = { std = "ngx_lua" }
files["lua_mde/openresty.lua"] = { std = "ngx_lua" }

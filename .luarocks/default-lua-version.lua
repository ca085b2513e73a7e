-- What LuaRocks builds for without --lua-version: 5.4, or where that is not installed the Lua that runs LuaRocks.
local found = os.execute "command -v lua5.4 >/dev/null 2>&1"
return (found == true or found == 0) and "5.4" or _VERSION:match "%d%.%d"

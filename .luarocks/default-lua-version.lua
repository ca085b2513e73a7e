-- LuaRocks builds for the Lua that runs it, as it does outside a project, unless --lua-version says otherwise.
return _VERSION:match "%d%.%d"

--- Lua's collector at its most eager: it works at each allocation, and begins again at once.
local LUAJIT_MOST = 400 -- with more its compiled code does not come to an end

return function()
  if _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 0, 1000, 20) -- each step a whole collection
  else
    collectgarbage("setstepmul", rawget(_G, "jit") and LUAJIT_MOST or 100000)
  end
  collectgarbage("setpause", 0)
end

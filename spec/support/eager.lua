--- Lua's collector at its most eager: it works at each allocation, and begins again at once. With `whole`, in 5.4, each
-- time it goes through the whole state, which makes all some fifteen times slower; else four times.
local LUAJIT_MOST = 400 -- with more its compiled code does not come to an end

return function(whole)
  if _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 0, 1000, whole and 20 or 1)
  else
    collectgarbage("setstepmul", rawget(_G, "jit") and LUAJIT_MOST or 100000)
  end
  collectgarbage("setpause", 0)
end

--- Measures parts of a second, in specs that wait for a real network.
local system = require "system" -- lua-system, which busted itself needs

local stopwatch = {}

local TRIES = 3

local function since(start, ...)
  return system.monotime() - start, ...
end

--- The seconds that `run` takes, then its results.
function stopwatch.time(run)
  return since(system.monotime(), run())
end

--- As `time`, of the quickest of a few runs: other work on the machine makes some last longer than they must.
-- The first one that takes at most `limit` seconds will do.
function stopwatch.best(limit, run)
  local best
  for _ = 1, TRIES do
    local result = { stopwatch.time(run) }
    if not best or result[1] < best[1] then best = result end
    if best[1] <= limit then break end
  end
  return best[1], best[2], best[3]
end

return stopwatch

--- Whether calls get dearer: microseconds of CPU for each.
--
--   lua5.4 bench/growth.lua calls CALLS     of clients at their first 100 calls, and of one that has made almost CALLS;
--                                           prints "calls microseconds"
--   lua5.4 bench/growth.lua flight CALLS    prints "in_flight microseconds" for 1, 4, ... 256 calls in flight
--
-- Connecting is left out: the first call of a client, or the first of each connection, is made before.
local subject = require "bench.subject"

local mode, count = arg[1], tonumber(arg[2])

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function tell(calls, spent) print(("%d %.2f"):format(calls, spent)) end

local function ask(client, calls)
  for n = 1, calls do assert(client:alert_ips(subject.id(n))) end
end

--- Microseconds of CPU, of which `calls` are made by `run`.
local function cost(calls, run)
  local start = os.clock()
  run()
  return (os.clock() - start) * 1e6 / calls
end

--- A client's 100 calls after its first.
local function young()
  local client = subject.client()
  ask(client, 1)
  collectgarbage()
  local spent = cost(100, function() ask(client, 100) end)
  client:close()
  return spent
end

local modes = {}

--- Ten times on its way the old client and new ones take turns, 100 calls each: what slows one slows the other.
--- The last five times count.
function modes.calls()
  local old, first, later = subject.client(), {}, {}
  for stop = 1, 10 do
    ask(old, count // 10 - 1000)
    for _ = 1, 10 do
      local of_young = young()
      local of_old = cost(100, function() ask(old, 100) end)
      if stop > 5 then
        first[#first + 1], later[#later + 1] = of_young, of_old
      end
    end
  end
  tell(100, median(first))
  tell(count, median(later))
end

function modes.flight()
  local ROUNDS, LEVELS = 5, { 1, 4, 16, 64, 256 }
  local clients, costs = {}, {}
  for _ = 1, ROUNDS do
    for _, level in ipairs(LEVELS) do
      if not clients[level] then
        clients[level], costs[level] = subject.client{ concurrency = level }, {}
        subject.each(clients[level], 2 * level, level)
      end
      table.insert(costs[level], cost(count, function() subject.each(clients[level], count, level) end))
    end
  end
  -- What else the machine does only adds to it, and not to all levels alike.
  for _, level in ipairs(LEVELS) do tell(level, math.min(table.unpack(costs[level]))) end
end

modes[mode]()

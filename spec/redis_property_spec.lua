-- The promise of mde.redis on a real Redis, with a clock moved by hand: see spec/support/schedules.lua.

-- What is tried is the script in Redis, so one interpreter is enough.
if _VERSION ~= "Lua 5.4" then return end

local mde_redis = require "mde.redis"
local redis = require "spec.support.redis"
local schedules = require "spec.support.schedules"

local clock_ms = 1e9

local function advance(seconds) clock_ms = clock_ms + math.floor(seconds * 1000 + 0.5) end

local function clock() return clock_ms / 1000 end

describe("a quota in Redis, by any schedule, #schedules", function()
  local server, client

  setup(function()
    server = redis.start()
    client = server:client()
  end)

  teardown(function() server:close() end)

  local function open(windows, budget, eval, evalsha)
    return mde_redis.quota{ eval = eval, evalsha = evalsha, key = budget, rate_limit = windows, clock = clock }
  end

  local function reliable(windows, budget) return open(windows, budget, client.eval, client.evalsha) end

  it("never exceeds a window, whatever the latencies, and whoever crashes", function()
    local seen = schedules.keep_promise({ quota = reliable, advance = advance }, 120)
    assert.is_true(seen.full > seen.schedules / 2, "the schedules fill their windows")
    assert.is_true(seen.schedules < 100 or seen.crashes > 0)
  end)

  it("uses at least 99 % of what an omniscient client could", function()
    assert.is_true(schedules.use_to_the_full({ quota = reliable, advance = advance }, 20).least >= 0.99)
  end)

  it("never exceeds a window when requests to Redis, or its answers, are lost, or the script is", function()
    local function breaking(windows, budget, dice)
      local percent = dice(20)
      local function broken(run, ...)
        local fault = dice(100) <= percent and dice(3)
        if fault == 1 then error "timeout" end
        if fault == 2 then client.run("script", "flush") end
        local answer = run(...)
        if fault == 3 then return nil, "closed" end
        return answer
      end
      return open(windows, budget, function(...) return broken(client.eval, ...) end,
        function(...) return broken(client.evalsha, ...) end)
    end
    schedules.keep_promise({ quota = breaking, advance = advance, unreliable = true }, 50)
  end)

  -- Somebody who remembers must ask before those who do not: here whoever has asked last.
  it("never exceeds a window when Redis loses its data", function()
    local losses, last = 0, {}
    local function losing(windows, budget, dice)
      local percent, own = dice(5), {}
      return open(windows, budget, function(script, numkeys, ...)
        if last[budget] == own and dice(100) <= percent then
          losses = losses + 1
          client.run("del", (select(dice(2), ...)))
        end
        last[budget] = own
        return client.eval(script, numkeys, ...)
      end)
    end
    local seen = schedules.keep_promise({ quota = losing, advance = advance, unreliable = true }, 50)
    assert.is_true(seen.schedules < 20 or losses > 0)
  end)
end)

-- The quota against a strict service, on real time: no call too many, and hardly any time lost.

-- It measures the core and the wire, so two interpreters are enough: the reference and the JIT.
if _VERSION ~= "Lua 5.4" and not rawget(_G, "jit") then return end

local connect = require "spec.support.connect"
local simulator = require "spec.support.simulator"
local stopwatch = require "spec.support.stopwatch"

local ALERT = "da637472900382838869_1364969609"

-- The service counts each request when it arrives, and refuses one that is the 21st within a second. So a request
-- arrives at least a second after the 20th before it: the 21st a second after the 1st, the 41st two seconds after it,
-- the 61st three, the 81st four; the other 19 may come together with the 81st. Whoever needs no time for the requests
-- themselves is through with all 100 at that moment: five bursts of 20, four seconds between the first and the last.
local CALLS, LIMIT, WINDOW = 100, 20, 1
local MINIMUM = (math.ceil(CALLS / LIMIT) - 1) * WINDOW
local LONGEST = MINIMUM * 1.02
local TRIES = 3 -- the shortest counts, because other work on the machine makes some longer

describe("quota over HTTP #timing", function()
  local space, client

  setup(simulator.start)

  before_each(function() space = simulator.namespace() end)
  after_each(function() client:close() end)

  -- The same limits on both sides.
  local function limit(windows, options)
    options = options or {}
    options.rate_limit = windows
    space:control { limits = windows }
    client = connect(space, options)
  end

  local function counted() return space:report().operations.alert_ips end

  local function call_times(count)
    for _ = 1, count do assert(client:alert_ips(ALERT)) end
  end

  it("lets 100 calls at 20 a second through without one 429, within 2 % of the shortest time", function()
    local best = math.huge
    for try = 1, TRIES do
      if try > 1 then
        client:close()
        space = simulator.namespace()
      end
      limit { [WINDOW] = LIMIT }
      best = math.min(best, (stopwatch.time(function() call_times(CALLS) end)))
      assert.equal(CALLS, counted().requests)
      assert.equal(0, counted().throttled)
      assert.is_true(counted().largest["1"] <= LIMIT)
      if best <= LONGEST then break end
    end
    assert.is_true(best >= MINIMUM, ("%.3f s: the service is not strict"):format(best))
    assert.is_true(best <= LONGEST, ("%.3f s instead of %.3f"):format(best, LONGEST))
  end)

  it("sends a burst at once instead of spreading it", function()
    limit { [60] = 20 }
    call_times(20)
    assert.equal(0, client:stats().waited_seconds)
    assert.equal(20, counted().largest["60"])
  end)

  it("lets none through too early when the answers take a part of the window", function()
    limit { [0.5] = 3 }
    space:fault { delay = 0.1, times = -1 }
    call_times(9)
    assert.equal(9, counted().requests)
    assert.equal(0, counted().throttled)
  end)

  it("keeps a narrow and a wide window at once", function()
    limit { [0.2] = 4, [1] = 10 }
    call_times(12)
    assert.equal(12, counted().requests)
    assert.equal(0, counted().throttled)
  end)

  it("is not shared by operations", function()
    limit { [60] = 5 }
    call_times(5)
    for _ = 1, 5 do assert(client:alert(ALERT)) end
    assert.equal(0, client:stats().waited_seconds)
    assert.equal(5, counted().requests)
    assert.equal(5, space:report().operations.alert.requests)
  end)

  it("tells of its waits, and what they add up to", function()
    local waited = 0
    limit({ [0.2] = 2 }, { on_event = function(event)
      if event.kind ~= "wait" then return end
      assert.equal("quota", event.reason)
      waited = waited + event.seconds
    end })
    local seconds = stopwatch.time(function() call_times(6) end)
    assert.is_true(waited > 0.3 and waited <= seconds + 0.01, ("%.3f of %.3f"):format(waited, seconds))
    assert.near(waited, client:stats().waited_seconds, 1e-6)
  end)
end)

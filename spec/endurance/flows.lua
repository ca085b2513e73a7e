-- Many calls of all kinds, of which one in a hundred meets a fault: nothing may be left of any, and everybody must have
-- counted alike. Run by `make endurance`, a million of them unless CALLS says otherwise; a short run is a part of `make
-- test`. It is no *_spec.lua, since once is enough.
local child = require "spec.support.child"
local compile = require "spec.support.compile"
local dice = require("spec.support.dice").new(1)
local simulator = require "spec.support.simulator"
local slope = require "spec.endurance.slope"

local CALLS = tonumber(os.getenv "CALLS") or 20000
local LEAKY_CALLS = 8000

local heap_directory

--- In a process of its own. The C library gives back at once what is free at the end of its heap.
local function run(calls, ...)
  local leaks = table.concat({ ... }, " ")
  return child.run([[
    local given = ...
    package.cpath = given.heap .. "/?.so;" .. package.cpath
    require("spec.support.simulator").start()
    local names = {}
    for name in given.leaks:gmatch "%S+" do names[#names + 1] = name end
    return require "spec.endurance.run"(given.calls, (table.unpack or unpack)(names))
  ]], { calls = calls, heap = heap_directory, leaks = leaks }, {
    MDE_SIMULATOR_DIR = simulator.directory,
    MALLOC_TRIM_THRESHOLD_ = "0", MALLOC_TOP_PAD_ = "0", MALLOC_ARENA_MAX = "1",
  })
end

-- What a heap or a pool may still settle by after the first half.
local SETTLING = { resident = 512 * 1024, used = 64 * 1024, lua = 16 * 1024, descriptors = 1 }

--- Whether it grows with the calls, as far as can be told from noise.
local function grows(got, name) return got.growth[name].low * got.measured > SETTLING[name] end

local function tell(got)
  print(("%d calls, %d requests, %d faults in %.1f seconds"):format(got.calls, got.requests, got.faults, got.seconds))
  for name, line in pairs(got.growth) do
    print(("  %-12s %+.4f for each call, between %+.4f and %+.4f"):format(name, line.slope, line.low, line.high))
  end
end

setup(function()
  heap_directory = compile "heap"
  simulator.start()
end)

teardown(function() os.execute("rm -rf " .. heap_directory) end)

describe("many calls", function()
  local got

  setup(function()
    got = run(CALLS)
    tell(got)
  end)

  it("are counted alike by the script, the clients and the simulator", function()
    assert.same({}, got.differences)
  end)

  it("meet every fault", function()
    assert.same({}, got.unmet)
  end)

  for name in pairs(SETTLING) do
    it("leave nothing behind: " .. name, function()
      assert.is_false(grows(got, name), ("%g for each call"):format(got.growth[name].slope))
    end)
  end

  it("leave no descriptor open when their clients are closed", function()
    assert.equal(0, got.descriptors_left)
  end)
end)

describe("the line through points", function()
  --- A thousand times, of 50 points each: in how many the interval holds the slope of 3. A point is as far beside the
  -- line as `likeness` of what the one before it was, and the dice.
  local function held(likeness)
    local count = 0
    for _ = 1, 1000 do
      local xs, ys, beside = {}, {}, 0
      for i = 1, 50 do
        beside = likeness * beside + dice() - 0.5
        xs[i], ys[i] = i, 3 * i + beside
      end
      local line = slope.fit(xs, ys, 1, 50)
      if line.low <= 3 and 3 <= line.high then count = count + 1 end
    end
    return count
  end

  it("has its true slope in the interval, also when each point is like the one before", function()
    assert.is_true(held(0) >= 995)
    assert.is_true(held(0.7) >= 980)
  end)

  it("has a slope that stands out from small noise", function()
    local xs, ys = {}, {}
    for i = 1, 50 do xs[i], ys[i] = i, 0.2 * i + dice() end
    local line = slope.fit(xs, ys, 1, 50)
    assert.is_true(line.low > 0.15 and line.high < 0.25)
  end)
end)

describe("what goes wrong is found:", function()
  it("memory of C's, a call too many, a request too many", function()
    local got = run(LEAKY_CALLS, "memory", "call", "request")
    assert.is_true(grows(got, "used"))
    assert.is_true(grows(got, "resident"))
    assert.is_false(grows(got, "lua"))
    assert.is_false(grows(got, "descriptors"))
    local found = table.concat(got.differences, "\n")
    assert.truthy(found:find "calls of the script and of the clients")
    assert.truthy(found:find "requests of the clients and of the simulator")
  end)

  it("memory of Lua's, descriptors", function()
    local got = run(LEAKY_CALLS, "lua", "descriptor")
    assert.is_true(grows(got, "lua"))
    assert.is_true(grows(got, "descriptors"))
    assert.is_true(got.descriptors_left > 10)
    assert.same({}, got.differences)
  end)
end)

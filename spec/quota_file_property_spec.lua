-- The promise of a quota in a file, with a clock moved by hand: see spec/support/schedules.lua. Many holders in one
-- process are to the file what many processes are.

-- What is tried is the same C on every interpreter; these two differ most.
if _VERSION ~= "Lua 5.4" and not rawget(_G, "jit") then return end

local quota_files = require "spec.support.quota_files"
local schedules = require "spec.support.schedules"
local testing = require "mde.testing"

local KEYS_OF_A_FILE = 100

describe("a quota in a file, by any schedule, #schedules", function()
  local files, count, keepers

  before_each(function() files, count, keepers = {}, 0, {} end)

  after_each(function()
    for _, quota in ipairs(keepers) do quota:close() end
    quota_files.clear()
  end)

  teardown(quota_files.remove)

  --- One more has the file open: with the last one the limits that the service named would be forgotten.
  local function new_file()
    local path = quota_files.path()
    keepers[#keepers + 1] = testing.quota{ path = path }
    return path
  end

  --- Budgets are keys of one file, until it is full of them.
  local function open(windows, budget)
    if not files[budget] then
      files[budget] = count % KEYS_OF_A_FILE == 0 and new_file() or files.last
      files.last, count = files[budget], count + 1
    end
    return testing.quota{ path = files[budget], key = budget, rate_limit = windows }
  end

  -- What a closed one had in flight stays so, as after a crash.
  local world = { quota = open, advance = testing.advance, crashed = function(quota) quota:close() end }

  it("never exceeds a window, whatever the latencies, and whoever crashes", function()
    local seen = schedules.keep_promise(world, 200)
    assert.is_true(seen.full > seen.schedules / 2, "the schedules fill their windows")
    assert.is_true(seen.schedules < 100 or seen.crashes > 0)
  end)

  it("uses at least 99 % of what an omniscient client could", function()
    assert.is_true(schedules.use_to_the_full(world, 40).least >= 0.99)
  end)

  it("never exceeds a window when all close it and open it, again and again", function()
    local function reopening(windows, budget, dice)
      local quota, percent, in_flight, self = open(windows, budget), dice(50), 0, {}
      for _, name in ipairs{ "remaining", "penalize", "close" } do
        self[name] = function(_, ...) return quota[name](quota, ...) end
      end
      function self.reserve(_, ...)
        local slot, seconds, message, closed = quota:reserve(...)
        if slot then in_flight = in_flight + 1 end
        return slot, seconds, message, closed
      end
      function self.settle(_, ...)
        quota:settle(...)
        in_flight = in_flight - 1
        if in_flight > 0 or dice(100) > percent then return end
        quota:close()
        quota = open(windows, budget)
      end
      return self
    end
    schedules.keep_promise({ quota = reopening, advance = testing.advance, crashed = world.crashed }, 60)
  end)
end)

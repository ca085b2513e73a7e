--- So many calls, and what came of them.
--
--     local got = run(20000)
--     got.calls, got.seconds            of the mix
--     got.differences                   in words, between what the script, the clients and the simulator counted
--     got.growth.resident.slope         bytes for each call; .low and .high: see slope.lua. Likewise lua, descriptors
--     got.descriptors_left              that were not open before
--
-- `leak`, one of leaks.lua, is what goes wrong on purpose.
local accounts = require "spec.endurance.accounts"
local gauge = require "spec.endurance.gauge"
local mix = require "spec.endurance.mix"
local party = require "spec.endurance.party"
local process = require "spec.support.process"
local simulator = require "spec.support.simulator"
local slope = require "spec.endurance.slope"
local system = require "system"

local MOST_READINGS = 200

local function descriptors()
  collectgarbage()
  collectgarbage()
  return select(2, process.descriptors():gsub("\n", ""))
end

--- The first half warms up.
local function growth_of(readings)
  local growth = {}
  local first = math.floor(readings.count / 2) + 1
  for name, values in pairs(readings.series) do
    growth[name] = slope.fit(readings.calls, values, first, readings.count)
  end
  return growth
end

--- Reads at the ends of laps, as often as there is room for.
local function endure(all, calls, leak)
  local readings = gauge.new(MOST_READINGS)
  local between, next_reading = calls / MOST_READINGS, 0
  while all:calls() < calls do
    all:lap()
    if leak then leak(all) end
    if all:calls() >= next_reading then
      readings:read(all:calls())
      next_reading = all:calls() + between
    end
  end
  return readings
end

-- Those that the clients gave up are still being answered.
local function settled_report(space)
  local report
  for _ = 1, 100 do
    report = space:report()
    if report.in_flight == 0 then break end
    system.sleep(0.1)
  end
  return report
end

local function differences_of(main, loose)
  local differences = accounts.of_finished(main.seen, settled_report(main.space))
  for _, difference in ipairs(accounts.of_abandoned(loose.seen, settled_report(loose.space))) do
    differences[#differences + 1] = "given up: " .. difference
  end
  return differences
end

return function(calls, leak)
  simulator.start()
  local main, loose = party.new(), party.new()
  local before = descriptors()
  local start = system.monotime()
  local all = mix.new(main, loose)
  local readings = endure(all, calls, leak)
  local seconds = system.monotime() - start
  local made = all:calls()
  all:close()
  return {
    calls = made, seconds = seconds, growth = growth_of(readings), readings = readings,
    differences = differences_of(main, loose), descriptors_left = descriptors() - before,
    seen = main.seen,
  }
end

--- So many calls, and what came of them.
--
--     local got = run(20000)
--     got.calls, got.seconds, got.requests, got.faults    of the mix
--     got.differences                   in words, between what the script, the clients and the simulator counted
--     got.unmet                         faults that did not happen
--     got.growth.resident.slope         bytes for each call; .low and .high: see slope.lua. Likewise the other series
--     got.measured                      calls from the first reading that counts to the last
--     got.descriptors_left              that were not open before
--
-- The names of leaks.lua that follow go wrong on purpose.
local accounts = require "spec.endurance.accounts"
local faults = require "spec.endurance.faults"
local gauge = require "spec.endurance.gauge"
local leaks = require "spec.endurance.leaks"
local mix = require "spec.endurance.mix"
local party = require "spec.endurance.party"
local slope = require "spec.endurance.slope"
local system = require "system"

local MOST_READINGS = 200

local function lap(all, names)
  local before = all:calls()
  all:lap()
  local calls = all:calls() - before
  for _, name in ipairs(names) do leaks[name](all, calls) end
end

--- Reads at the ends of laps, as often as there is room for.
local function endure(all, calls, names)
  local readings, next_reading = gauge.new(MOST_READINGS), 0
  while all:calls() < calls do
    lap(all, names)
    if all:calls() >= next_reading then
      readings:read(all:calls())
      next_reading = next_reading + calls / MOST_READINGS
    end
  end
  return readings
end

--- The first half warms up.
local function growth_of(readings)
  local growth, first = {}, math.floor(readings.count / 2) + 1
  for name, values in pairs(readings.series) do
    growth[name] = slope.fit(readings.calls, values, first, readings.count)
  end
  return growth, readings.calls[readings.count] - readings.calls[first]
end

--- Once those that the clients gave up are answered.
local function settled_report(space)
  local report
  for _ = 1, 100 do
    report = space:report()
    if report.in_flight == 0 then break end
    system.sleep(0.1)
  end
  return report
end

local function differences_of(main, loose, main_report)
  local differences = accounts.of_finished(main.seen, main_report)
  for _, difference in ipairs(accounts.of_abandoned(loose.seen, settled_report(loose.space))) do
    differences[#differences + 1] = "given up: " .. difference
  end
  return differences
end

--- How many there were, and those that there were none of.
local function met(report)
  local count, unmet = 0, {}
  for _, fault in ipairs(faults()) do
    local times = (report.operations[fault.operation] or { faults = {} }).faults[fault.name] or 0
    count = count + times
    if times == 0 then unmet[#unmet + 1] = fault.operation .. ": " .. fault.name end
  end
  return count, unmet
end

return function(calls, ...)
  local before = gauge.descriptors()
  local main, loose = party.new(), party.new()
  local start = system.monotime()
  local all = mix.new(main, loose)
  local readings = endure(all, calls, { ... })
  local got = { calls = all:calls(), seconds = system.monotime() - start }
  all:close()
  gauge.collect()
  got.descriptors_left = gauge.descriptors() - before
  local report = settled_report(main.space)
  got.requests, got.statistics = main.seen.stats.attempts, main.seen.stats
  got.growth, got.measured = growth_of(readings)
  got.differences = differences_of(main, loose, report)
  got.faults, got.unmet = met(report)
  return got
end

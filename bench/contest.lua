--- Runs programs by turns, and says what each took.
--
--   local contest = require "bench.contest"
--   local results = contest.run(launcher, contenders, rounds)
--   results[1].cpu, .wall, .peak             medians: milliseconds, milliseconds, MiB
--   results[1].work                          milliseconds of the work alone, as the program says itself, or nil
--   results[1].ratio, .wall_ratio, .peak_ratio     times what the floor takes
--
-- A contender is { name =, command =, environment = { NAME = value }, items = what it must print first, base = true for
-- those that the others are compared with, rounds = at most so many }. The cheapest of several bases is the floor.
-- A busy machine slows all of a round, so a ratio is taken within each round, and the median of these counts.
local contest = {}

function contest.quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

function contest.output_of(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read "a"
  return pipe:close() and output or nil, output
end

function contest.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) // 2
  return #sorted % 2 == 1 and sorted[middle] or (sorted[middle] + sorted[middle + 1]) / 2
end

--- One run: { cpu, wall, peak }, or nil and what was said instead.
local function run_once(launcher, contender)
  local words = { "env" }
  for name, value in pairs(contender.environment) do words[#words + 1] = contest.quote(name .. "=" .. value) end
  words[#words + 1] = launcher .. " " .. contender.command .. " 2>&1"
  local _, output = contest.output_of(table.concat(words, " "))
  local before, user, system, wall, peak, status = output:match "^(.-)(%d+) (%d+) (%d+) (%d+) (%d+)\n$"
  local items, work = (before or ""):match "^(%d+)%s?([%d.]*)"
  if status ~= "0" or (contender.items and tonumber(items) ~= contender.items) then
    return nil, ("%s: %s"):format(contender.name, output)
  end
  return { cpu = (user + system) / 1000, wall = wall / 1000, peak = peak / 1024, work = tonumber(work) }
end

local function medians(contender)
  local result = { name = contender.name, base = contender.base, runs = #contender.runs, trouble = contender.trouble }
  for _, field in ipairs{ "cpu", "wall", "peak", "work" } do
    local values = {}
    for i, run in ipairs(contender.runs) do values[i] = run[field] end
    result[field] = #values > 0 and contest.median(values) or nil
  end
  return result
end

--- The median of contender's runs over the base's of the same round.
local function ratio(contender, base, field)
  local values = {}
  for i, run in ipairs(contender.runs) do values[i] = run[field] / base.runs[i][field] end
  return #values > 0 and contest.median(values) or nil
end

function contest.run(launcher, contenders, rounds)
  for _, contender in ipairs(contenders) do contender.runs = {} end
  for round = 1, rounds do
    for _, contender in ipairs(contenders) do
      if not contender.trouble and round <= (contender.rounds or rounds) then
        contender.runs[round], contender.trouble = run_once(launcher, contender)
      end
    end
  end
  local results, floor = {}, nil
  for i, contender in ipairs(contenders) do
    if contender.trouble then contender.runs = {} end
    results[i] = medians(contender)
    if contender.base and results[i].cpu and (not floor or results[i].cpu < results[floor].cpu) then floor = i end
  end
  for i, contender in ipairs(contenders) do
    results[i].ratio = floor and ratio(contender, contenders[floor], "cpu")
    results[i].wall_ratio = floor and ratio(contender, contenders[floor], "wall")
    results[i].peak_ratio = floor and ratio(contender, contenders[floor], "peak")
    results[i].is_floor = i == floor
  end
  return results
end

return contest

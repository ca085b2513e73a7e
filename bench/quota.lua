--- What a decision of the quota costs: `make bench-quota`.
--
-- Rounds alternate between all that is measured, so that a busy machine slows all of it; the least of the rounds is
-- what the work itself takes, the median what it took here. Ends with 1 if a decision costs more than it may.
local mde = require "mde"
local measure = require "quota_bench"

local ROUNDS = tonumber(os.getenv "MDE_ROUNDS") or 15
local CALLS = tonumber(os.getenv "MDE_CALLS") or 20000

local path = os.tmpname()
os.remove(path)

-- From Lua a refusal costs more than a grant, so each slot is given back.
local function in_lua(quota, calls)
  local start = os.clock()
  for _ = 1, calls do quota:settle("alert_ips", quota:reserve "alert_ips", "unsent") end
  return (os.clock() - start) * 1e9 / calls
end

local function with(quota, run)
  local cost = run(quota)
  quota:close()
  os.remove(path)
  return cost
end

local rows = {
  { "a bare clock_gettime", function() return measure.clock(CALLS) end },
  { "a bare lock and unlock of a robust mutex", function() return measure.mutex(CALLS) end },
  { "a bare lock and unlock of a file (flock)", function() return measure.flock(path, CALLS) end },
  { "a decision in the process, settling included", function() return measure.own(CALLS) end, most = 100 },
  { "a decision through the file", function() return (measure.file(path, CALLS)) end, most = 2000 },
  { "settling through the file", function() return (select(2, measure.file(path, CALLS))) end },
  { "from Lua, in the process: reserve and settle", function()
    return with(mde.quota(), function(quota) return in_lua(quota, CALLS) end)
  end },
  { "from Lua, through the file: reserve and settle", function()
    return with(mde.quota{ path = path }, function(quota) return in_lua(quota, CALLS) end)
  end },
}

for _ = 1, ROUNDS do
  for _, row in ipairs(rows) do
    row.costs = row.costs or {}
    table.insert(row.costs, row[2]())
  end
end

local within = true
print(("%-48s %9s %9s %9s"):format("nanoseconds", "least", "median", "at most"))
for _, row in ipairs(rows) do
  table.sort(row.costs)
  local least, median = row.costs[1], row.costs[math.ceil(ROUNDS / 2)]
  within = within and least <= (row.most or math.huge)
  print(("%-48s %9.0f %9.0f %9s"):format(row[1], least, median, row.most or ""))
end
os.exit(within and 0 or 1)

--- Lets each allocation and each system call of each scenario fail, one after the other: once, and from then on.
--
--     build/lua5.4-gcc/torture/torture spec/torture/run.lua
--
-- After each: the failure must have been told as one (a Lua error about memory, or `nil, err`), the same client must
-- work again, and nothing may be left of it. Prints TAP: a test is a scenario with one allocator or system call.
-- TORTURE_EVERY=20 tries one point of twenty, from a random one on; MDE_SEED repeats that. TORTURE_ONLY=pages runs one
-- scenario, TORTURE_WHAT=curl one allocator or call.
--
-- Left out: lua-cjson's own buffers are malloc's, and it ends the process if it gets none. OpenSSL's allocator, too:
-- what it does without memory is not ours to mend.
local dice = require "spec.support.dice"
local shell = require "spec.support.shell"
local errors = require "spec.torture.errors"
local key_pair = require "spec.support.key_pair"
local simulator = require "spec.support.simulator"
local variables = require "spec.support.variables"

local SCENARIOS = "spec/torture/scenarios.lua"
local STAGES = { "make", "use", "finish" }

local function setting(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local every = tonumber(setting "TORTURE_EVERY") or 1
local only, what = setting "TORTURE_ONLY", setting "TORTURE_WHAT"
local seed = dice.seed()
local roll = dice.new(seed)

local torture = torture -- luacheck: ignore 113
local NAMES = torture.names -- of what fails
local passed, failed, tried = 0, 0, 0
local tried_of = {}
for _, name in ipairs(NAMES) do tried_of[name] = 0 end

-- --- one run ---

--- Everything that is the matter is an error of the test, with the point it happened at.
local function complain(words, ...) error(words:format(...), 0) end

local function must_run(stage, argument, when)
  local ok, words = torture.run(stage, argument)
  if not ok then complain("%s, %s: %s", stage, when, words) end
end

--- All stages before that one.
local function prepare(stage)
  for _, name in ipairs(STAGES) do
    if name == stage then return end
    must_run(name, nil, "before")
  end
end

local function check_words(fault, words)
  if words:find "^WRONG" or not errors.is_clean(fault, words) then complain("it says: %s", words) end
end

local function find_rest(base)
  local live = torture.live()
  for name, count in pairs(base) do
    if live[name] ~= count then return ("%s: %+d are left"):format(name, live[name] - count) end
  end
end

--- What is there after the scenario is what was there before it. libcurl's resolver may be a little later.
local function check_rest(base)
  local rest, tries = find_rest(base), 0
  while rest and tries < 100 do
    os.execute "sleep 0.01"
    rest, tries = find_rest(base), tries + 1
  end
  if rest then complain("%s", rest) end
end

local function finish(base)
  must_run("finish", nil, "at the end")
  must_run("drop")
  check_rest(base)
end

--- The same client, or another if there is none; and it is closed, even for the second time.
local function work_again(stage, ok)
  if stage == "make" and not ok then must_run("make", nil, "again") end
  if stage ~= "finish" then must_run("use", nil, "again") end
end

--- Returns whether it has come to that point at all.
local function try(stage, fault, n, base)
  prepare(stage)
  local point = ("%s %d (%s) in %s"):format(fault.name, n, fault.how, stage)
  torture.arm(fault.name, n, fault.for_good, fault.code, point)
  local ok, words = torture.run(stage)
  local met = torture.count(fault.name) >= n
  if not ok then check_words(fault, words) end
  if not ok and not met then complain("without a failure it says: %s", words) end
  work_again(stage, ok)
  finish(base)
  return met
end

-- --- all points ---

local function report(scenario, name, ok, result)
  local count = passed + failed + 1
  if not ok then
    failed = failed + 1
    print(("not ok %d - %s: %s: %s"):format(count, scenario, name, result))
  elseif result > 0 then
    passed, tried = passed + 1, tried + result
    print(("ok %d - %s: %s: %d points"):format(count, scenario, name, result))
  end
  return ok and result or 0
end

local function points_of(stage, fault, most, base)
  local points = 0
  local n = every > 1 and roll(math.max(1, math.min(every, most))) or 1
  while true do
    local ok, met = pcall(try, stage, fault, n, base)
    if not ok then complain("%s %d (%s) in %s: %s", fault.name, n, fault.how, stage, met) end
    if not met then return points end
    points = points + 1
    n = n + every
  end
end

--- counts[stage][name]: how often each stage asks for it; nothing fails.
local function count_all()
  local counts = {}
  prepare()
  must_run "drop"
  for _, stage in ipairs(STAGES) do
    must_run(stage, nil, "counting")
    counts[stage] = {}
    for _, name in ipairs(NAMES) do counts[stage][name] = torture.count(name) end
  end
  must_run "drop"
  return counts
end

local function open(scenario)
  local ok, words = torture.open(SCENARIOS)
  if not ok then error(words, 0) end
  must_run("choose", scenario)
  for _ = 1, 3 do -- what is made once and kept
    prepare()
    must_run "drop"
  end
end

local function test(name, counts, base)
  local points = 0
  for _, fault in ipairs(errors.of(name)) do
    for _, stage in ipairs(STAGES) do
      local most = counts[stage][name]
      if most > 0 then points = points + points_of(stage, fault, most, base) end
    end
  end
  return points
end

local function tries(name) return not what or what == name end

--- A new victim, what its stages ask for, and what is there before them.
local function prepare_scenario(scenario)
  open(scenario)
  return { counts = count_all(), base = torture.live() }
end

local function torment(scenario)
  local ok, prepared = pcall(prepare_scenario, scenario)
  if not ok then return report(scenario, "nothing", false, prepared) end
  for _, name in ipairs(NAMES) do
    if tries(name) then
      local points
      ok, points = pcall(test, name, prepared.counts, prepared.base)
      if ok and points == 0 and name == "lua" then ok, points = false, "no points" end
      tried_of[name] = tried_of[name] + report(scenario, name, ok, points)
      if not ok then prepared = prepare_scenario(scenario) end
    end
  end
end

local function check_all_tried()
  for _, name in ipairs(NAMES) do
    if tried_of[name] == 0 then report("all scenarios", name, false, "no points") end
  end
end

-- --- what the scenarios need ---

local function list_of_scenarios()
  assert(torture.open(SCENARIOS))
  local _, names = torture.run "names"
  return names
end

local function run()
  for name in list_of_scenarios():gmatch "%S+" do
    if not only or only == name then torment(name) end
  end
  if not (only or what) then check_all_tried() end
  torture.close()
end

print(("MDE_SEED=%d TORTURE_EVERY=%d"):format(seed, every))
local pair = key_pair.new()
shell.write(pair.directory .. "/token", "the-token-of-the-file\n")
local within = variables.open()
within({ TORTURE_FOLDER = pair.directory, MDE_SIMULATOR_DIR = simulator.start().directory }, run)
variables.close()
pair:remove()
simulator.stop()
print(("# %d points; libcurl itself gave %d blocks back twice"):format(tried, torture.twice()))
print(("# pass %d\n# fail %d"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

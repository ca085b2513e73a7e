--- The quota's promise, tried out on any quota of the Lua protocol: random schedules of many holders that share one
-- budget, against a model of the service that counts exactly. spec/core/quota_schedules_test.c in Lua.
--
--     local seen = schedules.keep_promise(world, 200)      200 schedules; seen.requests, seen.crashes, seen.full
--     local seen = schedules.use_to_the_full(world, 40)    saturated, without crashes; seen.least, of 1
--
-- Both raise what is wrong, with the seed that shows it again: MDE_SEED=n MDE_SCHEDULES=1. MDE_SCHEDULES=n tries more.
--
-- A world has
--   quota(windows, budget, dice)    another holder of that budget, on the clock below
--   advance(seconds)                moves that clock
--   crashed(quota)                  optional: this holder is no more, and must not settle anything
--   unreliable                      optional: true if a quota may refuse with a message, or not hear what the service
--                                   said
--
-- A schedule has windows, holders with lanes (requests in flight at once), a pattern of demand, latencies and faults.
-- Real time goes in microseconds; the quota sees whole milliseconds, and the service's clock runs at a slightly other
-- speed. A request reaches the service at a random moment between its reservation and its end (an abandoned one: up to
-- 5 s after that; one whose holder crashed: up to the end of its lease), and the extremes are drawn more often than
-- the middle.
--
-- The promise: in no closed interval of w does the service count more than n.
--
-- Utilisation: the theoretical maximum is what an omniscient client reaches, one that has the same lanes and latencies,
-- but knows how long each request will travel, and sends it so that it arrives at the very moment when the service
-- admits it. Compared are the times which both need for the same number of requests.
local dice_of = require "spec.support.dice"

local schedules = {}

local MS, NEVER, LINGER_US = 1000, math.huge, 5000000
local CALLS_MAX, STEPS_MAX = 60, 200000
local OPERATION = "alert_ips"

-- --- dice -----------------------------------------------------------------------------------------------

local function between(dice, low, high) return low + dice(high - low + 1) - 1 end

local function chance(dice, percent) return dice() * 100 < percent end

local function perhaps(dice, percent, most) return chance(dice, percent) and dice(most) or 0 end

local function edge_or_between(dice, low, high)
  local draw = dice(4)
  if draw == 1 then return low elseif draw == 2 then return high end
  return between(dice, low, high)
end

--- The first rolls of neighbouring seeds are neighbours, too.
local function dice_for(seed)
  local dice = dice_of.new(seed * 48271)
  for _ = 1, 5 do dice() end
  return dice
end

-- --- plans ----------------------------------------------------------------------------------------------

--- An array of { ms =, calls = }, the shortest first.
local function random_windows(dice)
  local windows = {}
  local ms, calls = 1000 * dice(chance(dice, 50) and 10 or 600), dice(chance(dice, 50) and 8 or 30)
  for i = 1, dice(3) do
    windows[i] = { ms = ms, calls = calls }
    local times = between(dice, 2, 8)
    ms, calls = ms * times, math.min(calls + between(dice, 0, calls * times), CALLS_MAX)
  end
  return windows
end

local function random_limit(dice, windows)
  local window = dice.pick(windows)
  local ms = window.ms * (chance(dice, 30) and dice(5) / 2 or 1)
  return { ms = ms, calls = dice(window.calls * (chance(dice, 20) and 2 or 1)) }
end

--- The longest that a request is under way, against the shortest window.
local latencies = { none = 0, short = 1 / 500, middle = 1, long = 3 }

local function random_holders(dice)
  local lanes = {}
  for i = 1, dice(6) do lanes[i] = dice(6) end
  return lanes
end

local function finish_plan(dice, plan)
  plan.latency_us = math.floor(plan.windows[1].ms * MS * plan.latency)
  plan.lease_ms = math.ceil(plan.latency_us / MS) + dice(5000)
  return plan
end

local function random_plan(dice, world)
  local plan = {
    windows = random_windows(dice), lanes = random_holders(dice),
    demand = dice.pick{ "saturated", "bursts", "sparse" },
    latency = latencies[dice.pick{ "none", "short", "middle", "long" }],
    unsent = perhaps(dice, 40, 50), abandoned = perhaps(dice, 40, 50), crashes = perhaps(dice, 50, 10), -- per cent
    drift = between(dice, -950, 950), -- ppm: the service's clock against ours
    requests = between(dice, 15, 150),
  }
  if not world.unreliable then
    plan.lower_at = chance(dice, 40) and dice(plan.requests) or nil
    plan.close_at = chance(dice, 20) and dice(plan.requests) or nil
  end
  plan.lower_to = random_limit(dice, plan.windows)
  return finish_plan(dice, plan)
end

--- Enough requests to fill the largest window three times.
local function saturated_plan(dice)
  local plan = {
    windows = random_windows(dice), lanes = random_holders(dice), demand = "saturated",
    latency = chance(dice, 30) and latencies.none or latencies.short,
    unsent = 0, abandoned = 0, crashes = 0, drift = 0,
  }
  plan.requests = plan.windows[#plan.windows].calls * 3 + 30
  return finish_plan(dice, plan)
end

-- --- a run ----------------------------------------------------------------------------------------------

local function rate_limit(windows)
  local limit = {}
  for _, window in ipairs(windows) do limit[window.ms / 1000] = window.calls end
  return limit
end

local function open_holder(run, lanes)
  return { quota = run.world.quota(rate_limit(run.plan.windows), run.budget, run.dice), lanes = lanes, trips = {},
           asks_us = 0 }
end

local function new_run(world, plan, dice, seed)
  schedules.count = (schedules.count or 0) + 1 -- a budget that nobody has used before
  local run = {
    world = world, plan = plan, dice = dice, budget = ("%d-%d"):format(seed, schedules.count), holders = {},
    now_us = 0, next_demand_us = 0, opens_ms = 0, waiting = 0, sent = 0, crashes = 0,
    trips = {}, -- all, in order of their reservation
    checks = {}, -- what the service must never see
  }
  for i, lanes in ipairs(plan.lanes) do run.holders[i] = open_holder(run, lanes) end
  for i, window in ipairs(plan.windows) do run.checks[i] = { window = window, first = 1, strict = true } end
  return run
end

local function now_ms(run) return math.floor(run.now_us / MS) end

local function move_to(run, now_us)
  local before = now_ms(run)
  run.now_us = math.max(now_us, run.now_us)
  run.world.advance((now_ms(run) - before) / 1000)
end

-- --- trips ----------------------------------------------------------------------------------------------

local function random_end(run)
  if chance(run.dice, run.plan.unsent) then return "unsent" end
  return chance(run.dice, run.plan.abandoned) and "abandoned" or "answered"
end

local function new_trip(run, slot)
  local settled_us = run.now_us + between(run.dice, 0, run.plan.latency_us)
  local trip = { number = run.sent, slot = slot, reserved_us = run.now_us, settled_us = settled_us,
                 lease_us = (now_ms(run) + run.plan.lease_ms) * MS, how = random_end(run) }
  if trip.how ~= "unsent" then
    local latest_us = settled_us + (trip.how == "abandoned" and LINGER_US or 0)
    trip.arrived_us = edge_or_between(run.dice, run.now_us, latest_us)
  end
  return trip
end

local function settle_due(run, holder)
  local flying = {}
  for _, trip in ipairs(holder.trips) do
    if trip.settled_us > run.now_us then
      flying[#flying + 1] = trip
    else
      holder.quota:settle(OPERATION, trip.slot, trip.how)
    end
  end
  holder.trips = flying
end

--- What its holder has sent arrives or not, until its lease ends; and somebody else takes the holder's place.
local function crash(run, at)
  local holder = run.holders[at]
  for _, trip in ipairs(holder.trips) do
    local arrives = not chance(run.dice, 20)
    trip.arrived_us = arrives and edge_or_between(run.dice, trip.reserved_us, trip.lease_us) or nil
  end
  if run.world.crashed then run.world.crashed(holder.quota) end
  run.holders[at] = open_holder(run, holder.lanes)
  run.crashes = run.crashes + 1
end

-- --- what happens in the middle -------------------------------------------------------------------------

local function want_more(run)
  local plan, window_us = run.plan, run.plan.windows[1].ms * MS
  if plan.demand == "saturated" then
    run.waiting, run.next_demand_us = plan.requests, NEVER
  elseif plan.demand == "bursts" then
    run.waiting = run.waiting + run.dice(60)
    run.next_demand_us = run.next_demand_us + between(run.dice, 0, window_us * 2)
  else
    run.waiting = run.waiting + 1
    run.next_demand_us = run.next_demand_us + between(run.dice, 0, math.floor(window_us * 3 / plan.windows[1].calls))
  end
end

--- Has the quota kept the past that a limit of this kind looks at? Of a longer window, or of more calls, it need not.
local function is_known(windows, limit)
  local longest, most = 0, 0
  for _, window in ipairs(windows) do
    if window.ms == limit.ms then return true end
    longest, most = math.max(longest, window.ms), math.max(most, window.calls)
  end
  return limit.ms <= longest and limit.calls <= most
end

local function lower(run, quota)
  local limit = run.plan.lower_to
  table.insert(run.checks, { window = limit, first = run.sent + 1, strict = is_known(run.plan.windows, limit) })
  quota:penalize(OPERATION, nil, { limit.ms / 1000, limit.calls })
  run.plan.lower_at = nil
end

local function close_for_a_while(run, quota)
  local seconds = between(run.dice, 0, 20)
  quota:penalize(OPERATION, seconds)
  run.opens_ms = now_ms(run) + seconds * 1000
  run.plan.close_at = nil
end

local function perhaps_something_happens(run, quota)
  if run.plan.lower_at and run.plan.lower_at <= run.sent + 1 then lower(run, quota) end
  if run.plan.close_at and run.plan.close_at <= run.sent + 1 then close_for_a_while(run, quota) end
end

-- --- asking ---------------------------------------------------------------------------------------------

--- `remaining` says of a reservation what comes of it.
local function expected_wait(run, quota)
  if run.world.unreliable or not chance(run.dice, 3) then return nil end
  local left, seconds = quota:remaining(OPERATION)
  for _, window in ipairs(run.plan.windows) do
    local calls = left[window.ms / 1000]
    assert(calls >= 0 and calls <= window.calls, "remaining tells a number of calls that cannot be")
    assert(calls > 0 or seconds > 0, "remaining promises a call that is not there")
  end
  return seconds
end

local function check_answer(run, slot, seconds, message)
  if slot then
    assert(now_ms(run) >= run.opens_ms, "granted while closed")
  else
    assert(seconds > 0, "refused without a time")
    assert(message == nil or run.world.unreliable, message)
  end
end

--- Returns whether a request was sent.
local function ask(run, holder)
  local expected = expected_wait(run, holder.quota)
  local slot, seconds, message = holder.quota:reserve(OPERATION, run.plan.lease_ms / 1000)
  check_answer(run, slot, seconds, message)
  assert(not expected or (expected == 0) == (slot ~= nil), "remaining and reserve disagree")
  if not slot then
    holder.asks_us = (now_ms(run) + math.ceil(seconds * 1000 - 1e-3)) * MS
    return false
  end
  run.sent, run.waiting = run.sent + 1, run.waiting - 1
  run.trips[run.sent] = new_trip(run, slot)
  table.insert(holder.trips, run.trips[run.sent])
  return true
end

local function may_ask(run, holder)
  return run.waiting > 0 and run.sent < run.plan.requests and #holder.trips < holder.lanes
    and holder.asks_us <= run.now_us
end

local function send_all(run)
  local first = run.dice(#run.holders)
  for i = 1, #run.holders do
    local at = (first + i) % #run.holders + 1
    while may_ask(run, run.holders[at]) do
      perhaps_something_happens(run, run.holders[at].quota)
      if not ask(run, run.holders[at]) then break end
      if chance(run.dice, run.plan.crashes) then crash(run, at) end
    end
  end
end

local function next_moment_us(run)
  local next_us = run.next_demand_us
  for _, holder in ipairs(run.holders) do
    if run.waiting > 0 and #holder.trips < holder.lanes then next_us = math.min(next_us, holder.asks_us) end
    for _, trip in ipairs(holder.trips) do next_us = math.min(next_us, trip.settled_us) end
  end
  return next_us
end

local function step(run)
  if run.now_us >= run.next_demand_us then want_more(run) end
  for _, holder in ipairs(run.holders) do settle_due(run, holder) end
  send_all(run)
end

local function run_through(run)
  for steps = 1, STEPS_MAX + 1 do
    step(run)
    if run.sent == run.plan.requests then break end
    local next_us = next_moment_us(run)
    assert(next_us < NEVER and steps <= STEPS_MAX, "requests are left, and no more are sent")
    move_to(run, next_us)
  end
  for _, holder in ipairs(run.holders) do holder.quota:close() end
  return run
end

-- --- the service that counts ----------------------------------------------------------------------------

--- In order of arrival.
local function arrivals_of(run, first)
  local arrivals = {}
  for i = first, run.sent do
    if run.trips[i].arrived_us then arrivals[#arrivals + 1] = run.trips[i] end
  end
  table.sort(arrivals, function(a, b)
    return a.arrived_us < b.arrived_us or a.arrived_us == b.arrived_us and a.number < b.number
  end)
  return arrivals
end

--- A request sent before a limit was lowered is not bound by it, but counts when one that was sent after it arrives.
local function any_bound(check, arrivals, low, high)
  for i = low, high do
    if arrivals[i].number >= check.first then return true end
  end
  return false
end

--- Raises if there were too many; returns whether there were as many as may be.
local function check_window(run, check)
  local arrivals, window, full = arrivals_of(run, check.strict and 1 or check.first), check.window, false
  local length_us = window.ms * MS / (1 + run.plan.drift / 1e6) -- by our clock
  for i = window.calls, #arrivals do
    local low = i - window.calls
    full = full or arrivals[i].arrived_us - arrivals[low + 1].arrived_us <= length_us
    assert(low == 0 or arrivals[i].arrived_us - arrivals[low].arrived_us > length_us
      or not any_bound(check, arrivals, low, i), ("more than %d calls in %d ms"):format(window.calls, window.ms))
  end
  return full
end

local function check_promise(run)
  local full = false
  for _, check in ipairs(run.checks) do full = check_window(run, check) or full end
  return full
end

-- --- the omniscient client ------------------------------------------------------------------------------

--- When the windows admit the request, after those that arrived before it.
local function admitted_us(windows, arrived_us, request)
  local admitted = 0
  for _, window in ipairs(windows) do
    local before = arrived_us[request - window.calls]
    if before then admitted = math.max(admitted, before + window.ms * MS) end
  end
  return admitted
end

local function earliest_lane(free_us)
  local earliest = 1
  for i = 2, #free_us do
    if free_us[i] < free_us[earliest] then earliest = i end
  end
  return earliest
end

local function idle_lanes(run)
  local free_us = {}
  for _, lanes in ipairs(run.plan.lanes) do
    for _ = 1, lanes do free_us[#free_us + 1] = 0 end
  end
  return free_us
end

--- How long the omniscient client takes from its first reservation to its last arrival.
local function shortest_time_us(run)
  local free_us, arrived_us, last_us = idle_lanes(run), {}, 0
  for i, trip in ipairs(run.trips) do
    local lane = earliest_lane(free_us)
    local arrival_us = free_us[lane] + trip.arrived_us - trip.reserved_us
    last_us = math.max(last_us, arrival_us, admitted_us(run.plan.windows, arrived_us, i))
    arrived_us[i] = last_us
    free_us[lane] = last_us + trip.settled_us - trip.arrived_us
  end
  return last_us
end

local function utilisation(run)
  local last_us = 0
  for _, trip in ipairs(run.trips) do last_us = math.max(last_us, trip.arrived_us) end
  local taken_us = last_us - run.trips[1].reserved_us
  return taken_us > 0 and shortest_time_us(run) / taken_us or 1
end

-- --- many of them ---------------------------------------------------------------------------------------

--- Calls `try(seed)` for each; what it raises is raised with the seed.
local function each_schedule(count, try)
  local first = dice_of.seed()
  count = tonumber(os.getenv "MDE_SCHEDULES") or count
  for seed = first, first + count - 1 do
    local ok, message = pcall(try, seed)
    if not ok then error(("MDE_SEED=%d MDE_SCHEDULES=1: %s"):format(seed, tostring(message)), 0) end
  end
  return count
end

function schedules.keep_promise(world, count)
  local seen = { requests = 0, crashes = 0, full = 0 }
  seen.schedules = each_schedule(count, function(seed)
    local dice = dice_for(seed)
    local run = run_through(new_run(world, random_plan(dice, world), dice, seed))
    if check_promise(run) then seen.full = seen.full + 1 end
    seen.requests, seen.crashes = seen.requests + run.sent, seen.crashes + run.crashes
  end)
  return seen
end

function schedules.use_to_the_full(world, count)
  local seen = { requests = 0, least = 1 }
  seen.schedules = each_schedule(count, function(seed)
    local dice = dice_for(seed)
    local run = run_through(new_run(world, saturated_plan(dice), dice, seed))
    check_promise(run)
    local used = utilisation(run)
    assert(used >= 0.99, ("%.2f %% used"):format(100 * used))
    seen.requests, seen.least = seen.requests + run.sent, math.min(seen.least, used)
  end)
  return seen
end

return schedules

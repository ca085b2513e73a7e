--- Equal requests that come at once make one fetch, in this worker.
--
--     local outcome, is_first = flights.join(key, seconds, function() return outcome end)
--
-- The fetch runs in a timer: a caller that goes away takes nothing from the others. Whoever waits for longer than
-- `seconds` gets nil.
local semaphore = require "ngx.semaphore"

local flights = {}

local under_way = {} -- key -> { waiting =, ended = a semaphore, outcome = }

local function run(_, key, flight, fetch)
  local fine, outcome = pcall(fetch)
  if not fine then
    ngx.log(ngx.ERR, tostring(outcome))
    outcome = { failure = { kind = "internal" } }
  end
  flight.outcome = outcome
  under_way[key] = nil
  flight.ended:post(flight.waiting)
end

--- The fetch goes on in a timer; without one, in the request itself.
local function begin(key, fetch)
  local flight = { waiting = 1, ended = semaphore.new() }
  under_way[key] = flight
  if not ngx.timer.at(0, run, key, flight, fetch) then run(nil, key, flight, fetch) end
  return flight
end

function flights.join(key, seconds, fetch)
  local flight = under_way[key]
  local is_first = not flight
  if is_first then
    flight = begin(key, fetch)
  else
    flight.waiting = flight.waiting + 1
  end
  flight.ended:wait(seconds)
  return flight.outcome, is_first
end

return flights

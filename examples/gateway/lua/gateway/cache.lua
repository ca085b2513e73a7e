--- Answers that all workers keep for a while; what is not there is fetched once, however many ask for it.
--
--     local outcome, state = cache.get(key, wait, function() return outcome end)
--
-- An outcome is { value = TEXT, seconds = how long to keep it } or { failure = { kind =, message =, retry_after = } }.
-- A failure is not kept, but all who wait for this fetch get it: they would else try one after the other. `state` is
-- "hit", "miss" (this request made the fetch) or "coalesced" (it waited for another's). No outcome: it took longer
-- than `wait` seconds.
local cjson = require "cjson"
local counts = require "gateway.counts"
local flights = require "gateway.flights"
local lease = require "gateway.lease"

local FAILURE_SECONDS = 2 -- for the other workers to see
local PAUSE_FIRST, PAUSE_MAX = 0.002, 0.05

local kept, failures = ngx.shared.gateway_cache, ngx.shared.gateway_failures

local cache = {}

local function keep(key, outcome)
  if outcome.value then
    kept:set(key, outcome.value, outcome.seconds)
  else
    failures:set(key, cjson.encode(outcome.failure), FAILURE_SECONDS)
  end
end

local function look(key)
  local value = kept:get(key)
  return value and { value = value }
end

local function fetch_and_keep(key, fetch)
  -- Another worker may have been through between our look and the lease.
  local found = look(key)
  if found then return found end
  failures:delete(key)
  return lease.hold(key, function()
    local outcome = fetch()
    outcome.fetched = true
    keep(key, outcome)
    return outcome
  end)
end

--- What came of another worker's fetch; nil: nothing, it has ended without.
local function await(key, deadline)
  local pause = PAUSE_FIRST
  while lease.is_taken(key) and ngx.now() < deadline do
    ngx.sleep(pause)
    pause = math.min(2 * pause, PAUSE_MAX)
  end
  local failure = failures:get(key)
  return look(key) or failure and { failure = cjson.decode(failure) }
end

--- Once for each worker and key at a time.
local function fly(key, wait, fetch)
  local deadline, outcome = ngx.now() + wait, nil
  while not outcome and ngx.now() < deadline do
    if lease.take(key) then
      outcome = fetch_and_keep(key, fetch)
    else
      outcome = await(key, deadline)
    end
  end
  return outcome
end

local function lookup(key, wait, fetch)
  local found = look(key)
  if found then return found, "hit" end
  local outcome, is_first = flights.join(key, wait, function() return fly(key, wait, fetch) end)
  return outcome, is_first and outcome and outcome.fetched and "miss" or "coalesced"
end

function cache.get(key, wait, fetch)
  local outcome, state = lookup(key, wait, fetch)
  counts.add("cache " .. state)
  return outcome, state
end

return cache

--- Answers that are kept for a while, for all workers, and fetched by one request at a time.
--
--     local value, state = cache.get(key, function() return value, seconds end)
--
-- `state` is "hit", "miss" (this request has fetched it) or "coalesced" (another one has, meanwhile). What must not be
-- kept, an error, comes back to the one who fetched it as `nil, state, err`; the others then try in their turn.
local counts = require "gateway.counts"
local semaphore = require "ngx.semaphore"

local LOCK_SECONDS = 30  -- longer than a fetch may take: a worker that died holds nobody up for longer
local PAUSE_FIRST, PAUSE_MAX = 0.002, 0.05

local kept, locks = ngx.shared.gateway_cache, ngx.shared.gateway_locks

local cache = {}

--- Until the one who has the lock is through, or has been for too long.
local function await(key)
  local pause, deadline = PAUSE_FIRST, ngx.now() + LOCK_SECONDS
  while locks:get(key) and ngx.now() < deadline do
    ngx.sleep(pause)
    pause = math.min(2 * pause, PAUSE_MAX)
  end
  return kept:get(key)
end

--- In a timer: a caller that goes away must not leave the others waiting for what he has begun.
local function fetch_locked(key, fetch, outcome)
  local fine, value, seconds, err = pcall(fetch)
  if fine and value then kept:set(key, value, seconds) end
  locks:delete(key)
  if not fine then ngx.log(ngx.ERR, "a fetch failed: ", value) end
  outcome.value, outcome.err = fine and value, not fine and { kind = "internal" } or err
  outcome.done:post()
end

local function fetch_apart(key, fetch)
  local outcome = { done = semaphore.new(), err = { kind = "internal" } }
  local ok, message = ngx.timer.at(0, function() fetch_locked(key, fetch, outcome) end)
  if not ok then
    locks:delete(key)
    ngx.log(ngx.ERR, "no timer to fetch in: ", message)
  else
    outcome.done:wait(LOCK_SECONDS)
  end
  return outcome.value, outcome.err
end

local function lookup(key, fetch)
  local value = kept:get(key)
  if value then return value, "hit" end
  while not locks:add(key, true, LOCK_SECONDS) do
    value = await(key)
    if value then return value, "coalesced" end
  end
  value = kept:get(key) -- another one may have been through in between
  if value then return value, "coalesced" end
  local err
  value, err = fetch_apart(key, fetch)
  return value, "miss", err
end

function cache.get(key, fetch)
  local value, state, err = lookup(key, fetch)
  counts.add("cache " .. state)
  return value, state, err
end

return cache

--- What the workers' clients count, added up for all workers. Each adds what is new since it last did so: what a worker
--- has counted stays when it ends.
local counts = require "gateway.counts"
local mde = require "gateway.client"

local EVERY_SECONDS = 1
local KEPT_SECONDS = 5 -- a worker that has ended has nothing in flight

local totals = {}

local counted = { -- of client:stats()
  "calls", "attempts", "retries", "throttled", "errors", "tokens", "pages", "waited_seconds", "bytes_received",
  "connections",
}
local last = {}

function totals.publish()
  local stats = mde.client:stats()
  if not stats then return end
  for _, name in ipairs(counted) do
    counts.add("client " .. name, stats[name] - (last[name] or 0))
    last[name] = stats[name]
  end
  counts.set("in flight " .. ngx.worker.pid(), stats.in_flight, KEPT_SECONDS)
end

--- Also of what nobody has asked for since.
function totals.start() ngx.timer.every(EVERY_SECONDS, totals.publish) end

function totals.get(name) return counts.get("client " .. name) end

function totals.in_flight()
  local sum = 0
  for _, worker in ipairs(counts.beginning "in flight ") do sum = sum + worker[2] end
  return sum
end

return totals

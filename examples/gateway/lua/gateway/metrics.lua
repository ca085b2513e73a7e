--- GET /metrics: Prometheus' text format, for all workers.
local counts = require "gateway.counts"
local health = require "gateway.health"
local quota = require "gateway.quota"
local totals = require "gateway.totals"

local metrics = {}

-- The client's figures that are shown: name, help.
local of_client = {
  { "calls", "Calls of the API." },
  { "attempts", "Requests that were sent for them." },
  { "retries", "Attempts that were repeated." },
  { "throttled", "Answers with status 429." },
  { "errors", "Calls that failed." },
  { "tokens", "Tokens that were fetched." },
  { "waited_seconds", "Seconds that calls waited for quota, pauses and tokens." },
  { "bytes_received", "Bytes of answers." },
  { "connections", "Connections that were made." },
}

local CACHE_STATES = { "hit", "miss", "coalesced" }

local function add(lines, ...) lines[#lines + 1] = string.format(...) end

local function add_head(lines, name, kind, help)
  add(lines, "# HELP %s %s", name, help)
  add(lines, "# TYPE %s %s", name, kind)
end

local function add_one(lines, name, kind, help, value)
  add_head(lines, name, kind, help)
  add(lines, "%s %.14g", name, value)
end

local function add_gateway(lines)
  add_head(lines, "gateway_requests_total", "counter", "Answers to callers by status.")
  for _, found in ipairs(counts.beginning "requests ") do
    add(lines, 'gateway_requests_total{status="%s"} %.14g', found[1], found[2])
  end
  add_head(lines, "gateway_cache_total", "counter", "Requests by what the cache had for them.")
  for _, state in ipairs(CACHE_STATES) do
    add(lines, 'gateway_cache_total{state="%s"} %.14g', state, counts.get("cache " .. state))
  end
end

local function add_client(lines)
  for _, figure in ipairs(of_client) do
    add_one(lines, ("mde_%s_total"):format(figure[1]), "counter", figure[2], totals.get(figure[1]))
  end
  add_one(lines, "mde_in_flight", "gauge", "Requests that are on the wire.", totals.in_flight())
  add_one(lines, "mde_failing", "gauge", "1 if the last calls have failed.", health.is_failing() and 1 or 0)
end

local function add_quota(lines)
  local windows, seconds = quota.left()
  if not windows then return end
  add_head(lines, "mde_quota_remaining_calls", "gauge", "Calls that are left in the window of so many seconds.")
  for window, calls in pairs(windows) do
    add(lines, 'mde_quota_remaining_calls{window="%s"} %.14g', window, calls)
  end
  add_one(lines, "mde_quota_next_call_seconds", "gauge", "Seconds until the next call is allowed.", seconds)
end

function metrics.answer()
  local lines = {}
  totals.publish()
  add_gateway(lines)
  add_client(lines)
  add_quota(lines)
  ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(table.concat(lines, "\n"), "\n")
end

return metrics

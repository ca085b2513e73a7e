--- GET /metrics: Prometheus' text format. Each worker leaves its client's figures in the shared dictionary, and answers
--- with the sums.
local client = require("gateway.client").client
local counts = require "gateway.counts"
local quota = require "gateway.quota"

local KEPT_SECONDS = 60 -- a worker that has ended stops counting
local EVERY_SECONDS = 2

local metrics = {}

--- Figures of the client: the name here, type, help.
local of_client = {
  { "calls", "counter", "Calls of the API." },
  { "attempts", "counter", "Requests that were sent for them." },
  { "retries", "counter", "Attempts that were repeated." },
  { "throttled", "counter", "Answers with 429." },
  { "errors", "counter", "Calls that failed." },
  { "tokens", "counter", "Tokens that were fetched." },
  { "waited_seconds", "counter", "Seconds that calls waited for quota, pauses and tokens." },
  { "bytes_received", "counter", "Bytes of answers." },
  { "connections", "counter", "Connections that were made." },
  { "in_flight", "gauge", "Requests that are on the wire." },
}

local function publish()
  local stats = client:stats()
  for _, figure in ipairs(of_client) do
    counts.set(("worker %d %s"):format(ngx.worker.id(), figure[1]), stats[figure[1]], KEPT_SECONDS)
  end
end

--- Every few seconds, so that the other workers' figures are not old.
function metrics.start() ngx.timer.every(EVERY_SECONDS, publish) end

local function sum_of(name)
  local sum = 0
  for key, value in pairs(counts.beginning "worker ") do
    if key:match "^%d+ (.*)$" == name then sum = sum + value end
  end
  return sum
end

local function add_head(lines, name, kind, help)
  lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
  lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
end

local function add_client(lines)
  for _, figure in ipairs(of_client) do
    local name = "mde_" .. figure[1] .. (figure[2] == "counter" and "_total" or "")
    add_head(lines, name, figure[2], figure[3])
    lines[#lines + 1] = ("%s %.14g"):format(name, sum_of(figure[1]))
  end
end

local function add_counts(lines, name, help, label, start)
  add_head(lines, name, "counter", help)
  for value, count in pairs(counts.beginning(start)) do
    lines[#lines + 1] = ('%s{%s="%s"} %d'):format(name, label, value, count)
  end
end

local function add_quota(lines)
  local windows, seconds = quota.left()
  add_head(lines, "mde_quota_remaining_calls", "gauge", "Calls that are left in the window of so many seconds.")
  for window, calls in pairs(windows) do
    lines[#lines + 1] = ('mde_quota_remaining_calls{window="%s"} %d'):format(window, calls)
  end
  add_head(lines, "mde_quota_next_call_seconds", "gauge", "Seconds until the next call is allowed.")
  lines[#lines + 1] = ("mde_quota_next_call_seconds %.14g"):format(seconds)
end

function metrics.answer()
  local lines = {}
  publish()
  add_counts(lines, "gateway_requests_total", "Answers to callers.", "status", "requests ")
  add_counts(lines, "gateway_cache_total", "Requests by what the cache had for them.", "state", "cache ")
  add_client(lines)
  add_quota(lines)
  ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
  ngx.print(table.concat(lines, "\n"), "\n")
end

return metrics

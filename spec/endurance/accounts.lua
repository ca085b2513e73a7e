--- Compares what the script saw, what the clients count, and what the simulator says that it was asked and answered.
--
--     accounts.of_finished(seen, report)      every number, of a party that gave nothing up
--     accounts.of_abandoned(seen, report)     what can be compared if answers may have been on their way
--
-- Both return a list of the differences, in words.
local merged = require "spec.support.merged"

local accounts = {}

local COLLECTIONS = { "alerts", "alert_ips", "alert_domains" }

local function sum(report, pick)
  local total = 0
  for name, operation in pairs(report.operations) do
    if name ~= "token" then total = total + (pick(operation) or 0) end
  end
  return total
end

local function requests(operation) return operation.requests end

local function status_429(operation) return operation.statuses["429"] end

--- Pages are answers with status 200 to those who list, but for those that are no JSON.
local function good_pages(report)
  local pages = 0
  for _, name in ipairs(COLLECTIONS) do
    local operation = report.operations[name] or { statuses = {}, faults = {} }
    pages = pages + (operation.statuses["200"] or 0) - (operation.faults.malformed or 0)
  end
  return pages
end

local function malformed(operation) return operation.faults.malformed end

local function comparison()
  local differences = {}
  return differences, function(what, one, other)
    if one ~= other then differences[#differences + 1] = ("%s: %s and %s"):format(what, one, other) end
  end
end

local function compare_calls(compare, seen, report)
  local stats = seen.stats
  compare("calls of the script and of the clients", seen.calls, stats.calls)
  compare("calls, and those answered, failed or dropped", seen.calls, seen.answered + seen.errors + seen.dropped)
  compare("errors of the script and of the clients", seen.errors, stats.errors)
  compare("requests of the clients and of the simulator", stats.attempts, sum(report, requests))
  compare("connections of the clients and of the simulator", stats.connections, report.connections)
  compare("clients' requests in flight at the end", stats.in_flight, 0)
  compare("simulator's requests in flight at the end", report.in_flight, 0)
end

local function compare_answers(compare, seen, report)
  for name in pairs(merged(seen.statuses, report.operations)) do
    local heard, given = seen.statuses[name] or {}, (report.operations[name] or {}).statuses or {}
    for status in pairs(merged(heard, given)) do
      compare(("status %s of %s: heard and given"):format(status, name), heard[status] or 0, given[status] or 0)
    end
  end
end

local function compare_statistics(compare, seen, report)
  local stats = seen.stats
  compare("answers 429 of the clients and of the simulator", stats.throttled, sum(report, status_429))
  compare("retries of the clients and of their events", stats.retries, seen.repeated)
  compare("tokens of the clients and of their events", stats.tokens, seen.tokens)
  compare("pages of the clients and of their events", stats.pages, seen.pages)
  compare("pages of the clients and of the simulator", stats.pages, good_pages(report))
  compare("bytes of the clients and of their events", stats.bytes_received, seen.bytes.whole + seen.bytes.broken)
  compare("bytes of whole answers and of the simulator", seen.bytes.whole, report.bytes)
  compare("milliseconds waited, of the clients and of their events",
    math.floor(stats.waited_seconds * 1000 + 0.5), math.floor(seen.waited_seconds * 1000 + 0.5))
  compare("errors 'json' of the script and malformed answers of the simulator", seen.kinds.json or 0,
    sum(report, malformed))
end

function accounts.of_abandoned(seen, report)
  local differences, compare = comparison()
  compare_calls(compare, seen, report)
  return differences
end

function accounts.of_finished(seen, report)
  local differences, compare = comparison()
  compare_calls(compare, seen, report)
  compare_answers(compare, seen, report)
  compare_statistics(compare, seen, report)
  return differences
end

return accounts

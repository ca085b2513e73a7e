--- GET /health: this worker is alive; and did the last calls work? Nothing is asked for it.
--
-- A service that fails is no reason to restart the gateway, or to take it out of a balancer: the status is 200 all the
-- same. `calls` is "working", "failing" or "none", if there were none for some minutes.
local cjson = require "cjson"
local counts = require "gateway.counts"

local FAILING_CALLS = 3 -- in a row: one that fails says little
local REMEMBERED_SECONDS = 300
local NAME = "failed in a row"

local health = {}

-- These say nothing about whether calls work.
local is_silent = { rate_limited = true, closed = true, cancelled = true }

--- What came of a call; nil: it went well.
function health.note(err)
  if err and is_silent[err.kind] then return end
  local failed = err and err.kind ~= "not_found"
  counts.set(NAME, failed and counts.get(NAME) + 1 or 0, REMEMBERED_SECONDS)
end

function health.is_failing() return counts.get(NAME) >= FAILING_CALLS end

local function calls()
  if health.is_failing() then return "failing" end
  return counts.has(NAME) and "working" or "none"
end

function health.answer()
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(cjson.encode{ status = "ok", calls = calls() })
end

return health

--- GET /health: is this worker alive, and did the last calls work? Nothing is asked for it.
local cjson = require "cjson"
local counts = require "gateway.counts"

local FAILING_CALLS = 5 -- in a row: one that fails says little
local REMEMBERED_SECONDS = 300

local health = {}

-- What says nothing about the service's or our own health.
local is_answer = { not_found = true, rate_limited = true, closed = true, cancelled = true }

--- What came of a call; nil: it went well.
function health.note(err)
  if err == nil or is_answer[err.kind] then
    counts.set("failing", 0)
  else
    counts.set("failing", counts.get "failing" + 1, REMEMBERED_SECONDS)
    counts.set("failing kind", err.kind, REMEMBERED_SECONDS)
  end
end

function health.answer()
  local failing = counts.get "failing" >= FAILING_CALLS
  local body = { status = failing and "failing" or "ok" }
  if failing then body.kind = counts.get "failing kind" end
  ngx.status = failing and 503 or 200
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(cjson.encode(body))
end

return health

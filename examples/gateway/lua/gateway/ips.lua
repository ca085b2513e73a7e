--- GET /v1/alerts/{id}/ips
local cjson = require "cjson"
local cache = require "gateway.cache"
local counts = require "gateway.counts"
local health = require "gateway.health"
local mde = require "gateway.client"
local problem = require "gateway.problem"
local totals = require "gateway.totals"

local FRESH_SECONDS = 300    -- addresses of an alert may still be added
local MISSING_SECONDS = 30   -- an id that is not there yet may be soon
local MARGIN_SECONDS = 2     -- for the wait of a caller, beyond the budget of the call
local ID_BYTES_MAX = 200
local MISSING = "missing"

local ips = {}

--- lua-cjson cannot tell an empty array from an empty object.
local function encode(found)
  local list = {}
  for _, ip in ipairs(found) do
    if type(ip.id) == "string" then list[#list + 1] = ip.id end
  end
  return #list > 0 and cjson.encode(list) or "[]"
end

local function fetch(id)
  local found, err = mde.client:alert_ips(id)
  health.note(err)
  totals.publish()
  if found then return { value = encode(found), seconds = FRESH_SECONDS } end
  if err.kind == "not_found" then return { value = MISSING, seconds = MISSING_SECONDS } end
  ngx.log(ngx.WARN, "mde: ", err.kind, ": ", tostring(err))
  return { failure = { kind = err.kind, message = tostring(err), retry_after = err.retry_after } }
end

--- Any UTF-8 without blanks and control characters. nginx has unescaped it.
local function is_valid(id)
  return #id <= ID_BYTES_MAX and ngx.re.find(id, [[^[^\x00-\x20\x7f]+$]], "jou") ~= nil
end

local function say(id, addresses, cached)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(200)
  ngx.print(('{"id":%s,"ips":%s,"cached":%s}'):format(cjson.encode(id), addresses, tostring(cached)))
end

function ips.answer()
  local id = ngx.var.alert_id or ""
  if not is_valid(id) then return problem.answer(400, "That is not the id of an alert.") end
  local outcome, state = cache.get("ips " .. id, mde.BUDGET_SECONDS + MARGIN_SECONDS, function() return fetch(id) end)
  if not outcome then return problem.of_error{ kind = "timeout" } end
  if outcome.failure then return problem.of_error(outcome.failure) end
  if outcome.value == MISSING then return problem.of_error{ kind = "not_found" } end
  say(id, outcome.value, state == "hit")
end

return ips

--- GET /v1/alerts/{id}/ips
local cjson = require "cjson"
local cache = require "gateway.cache"
local client = require("gateway.client").client
local counts = require "gateway.counts"
local health = require "gateway.health"
local problem = require "gateway.problem"

local FRESH_SECONDS = 300    -- addresses of an alert may still be added
local MISSING_SECONDS = 30   -- an id that is not there yet may be soon
local ID_BYTES_MAX = 200
local MISSING = "missing"

local ips = {}

--- lua-cjson cannot tell an empty array from an empty object.
local function encode(id, addresses, cached)
  local list = #addresses > 0 and cjson.encode(addresses) or "[]"
  return ('{"id":%s,"ips":%s,"cached":%s}'):format(cjson.encode(id), list, tostring(cached))
end

--- For the cache: the addresses, one in a line.
local function fetch(id)
  local found, err = client:alert_ips(id)
  health.note(err)
  if err and err.kind == "not_found" then return MISSING, MISSING_SECONDS end
  if err then return nil, nil, err end
  local list = {}
  for i, ip in ipairs(found) do list[i] = ip.id end
  return "\n" .. table.concat(list, "\n"), FRESH_SECONDS
end

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local function say(id, value, state)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(200)
  ngx.print(encode(id, lines(value), state ~= "miss"))
end

local function is_valid(id)
  return id ~= "" and #id <= ID_BYTES_MAX and id ~= "." and id ~= ".." and not id:find "%c"
end

function ips.answer()
  local id = ngx.var.alert_id -- nginx has unescaped it
  if ngx.req.get_method() ~= "GET" then
    ngx.header["Allow"] = "GET"
    return problem.answer(405, "Ask with GET.")
  end
  if not is_valid(id) then return problem.answer(400, "That is not the id of an alert.") end
  local value, state, err = cache.get("ips " .. id, function() return fetch(id) end)
  if err then return problem.of_error(err) end
  if value == MISSING then return problem.of_error{ kind = "not_found" } end
  say(id, value, state)
end

return ips

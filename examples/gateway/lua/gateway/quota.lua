--- GET /v1/quota: what is left of the service's limits, for all workers together.
local cjson = require "cjson"
local counts = require "gateway.counts"
local mde = require "gateway.client"
local problem = require "gateway.problem"

local OPERATION = "alert_ips"

local quota = {}

--- { ["60"] = 97, ... }, seconds until the next call is allowed; or nil, err. Keys of JSON are strings.
function quota.left()
  local left, seconds = mde.quota:remaining(OPERATION)
  if not left then return nil, seconds end
  local windows = {}
  for window, calls in pairs(left) do windows[("%d"):format(window)] = calls end
  return windows, seconds
end

function quota.answer()
  local windows, seconds = quota.left()
  if not windows then
    ngx.log(ngx.ERR, "quota: ", tostring(seconds))
    return problem.answer(500, "The quota cannot be read.")
  end
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(200)
  ngx.print(cjson.encode{ windows = windows, seconds = seconds })
end

return quota

--- GET /v1/quota: what is left of the service's limits, for all workers together.
local cjson = require "cjson"
local counts = require "gateway.counts"
local quota = require("gateway.client").quota

local OPERATION = "alert_ips"

local answers = {}

--- { ["60"] = 97, ... }, seconds until the next call is allowed. Keys of JSON are strings.
function answers.left()
  local left, seconds = quota:remaining(OPERATION)
  local windows = {}
  for window, calls in pairs(left) do windows[("%d"):format(window)] = calls end
  return windows, seconds
end

function answers.answer()
  local windows, seconds = answers.left()
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(200)
  ngx.print(cjson.encode{ windows = windows, seconds = seconds })
end

return answers

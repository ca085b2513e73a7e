--- Errors as `application/problem+json` (RFC 9457).
local cjson = require "cjson"
local counts = require "gateway.counts"

local problem = {}

local titles = {
  [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found", [405] = "Method Not Allowed",
  [429] = "Too Many Requests", [500] = "Internal Server Error", [502] = "Bad Gateway", [504] = "Gateway Timeout",
}

-- What callers are told of a failed call. Anything else is a bad gateway: what is wrong with our credential, say, is
-- for our log, and not for them.
local of_kind = {
  not_found = { 404, "There is no such alert, or it is past its retention." },
  rate_limited = { 429, "The quota of the service is used up." },
  timeout = { 504, "The service has not answered in time." },
  closed = { 502, "The gateway is being stopped." },
}

--- Answers with a problem; `members` are added to it.
function problem.answer(status, detail, members)
  local body = { type = "about:blank", title = titles[status], status = status, detail = detail }
  for name, value in pairs(members or {}) do body[name] = value end
  ngx.status = status
  ngx.header["Content-Type"] = "application/problem+json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(status)
  ngx.print(cjson.encode(body))
end

--- Answers with the problem that an error of mde's is.
function problem.of_error(err)
  local known = of_kind[err.kind] or { 502, "The service could not be asked." }
  local seconds = err.retry_after and math.ceil(err.retry_after)
  if known[1] >= 500 then ngx.log(ngx.ERR, tostring(err)) end
  if known[1] == 429 then ngx.header["Retry-After"] = seconds or 1 end
  problem.answer(known[1], known[2], { kind = err.kind, retry_after = seconds, correlation_id = err.target })
end

return problem

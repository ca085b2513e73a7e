--- Errors as `application/problem+json` (RFC 9457).
local cjson = require "cjson"
local counts = require "gateway.counts"

local problem = {}

local titles = {
  [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found", [405] = "Method Not Allowed",
  [413] = "Content Too Large", [414] = "URI Too Long", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [504] = "Gateway Timeout",
}

local GENERAL = "The service could not be asked."

-- What callers are told of a failed call. What the service says against their request is theirs; what is wrong with
-- our credential, host or certificates is for our log, and not for them.
local of_kind = {
  not_found = { 404, "There is no such alert, or it is past its retention." },
  rate_limited = { 429, "The quota of the service is used up." },
  timeout = { 504, "The service has not answered in time." },
  closed = { 502, "The gateway is being stopped." },
  http = { 502 },
  internal = { 500, "The request could not be handled." },
}

--- Answers with a problem; `members` are added to it.
function problem.answer(status, detail, members)
  local body = { type = "about:blank", title = titles[status] or "Error", status = status, detail = detail }
  for name, value in pairs(members or {}) do body[name] = value end
  ngx.status = status
  ngx.header["Content-Type"] = "application/problem+json"
  ngx.header["Cache-Control"] = "no-store"
  counts.request(status)
  ngx.print(cjson.encode(body))
end

--- Answers with the problem that a failed call is: { kind =, message =, retry_after = }.
function problem.of_error(err)
  local known = of_kind[err.kind] or { 502, GENERAL }
  local seconds = err.retry_after and math.ceil(err.retry_after)
  if known[1] == 429 then seconds = seconds or 1 end
  if seconds then ngx.header["Retry-After"] = seconds end
  problem.answer(known[1], known[2] or err.message or GENERAL, { kind = err.kind, retry_after = seconds })
end

return problem

--- Who may ask: callers with an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
local keys = require "gateway.keys"
local problem = require "gateway.problem"

local KEY_BYTES_MAX = 512

local access = {}

local function key_of_request()
  local headers = ngx.req.get_headers()
  local given = headers["X-API-Key"]
  local authorization = headers["Authorization"]
  if type(authorization) == "string" then given = authorization:match "^[Bb]earer +(%S+)$" or given end
  return type(given) == "string" and #given <= KEY_BYTES_MAX and given or nil
end

local function check_method()
  local method = ngx.req.get_method()
  if method == "GET" or method == "HEAD" then return end
  ngx.header["Allow"] = "GET, HEAD"
  problem.answer(405, "Ask with GET.")
  return ngx.exit(ngx.HTTP_OK)
end

--- Ends the request unless it is a GET with a key that is known. The caller's name is then in the log.
function access.check()
  local key = key_of_request()
  local caller = key and keys.find(key)
  if caller then
    ngx.var.caller = caller
    return check_method()
  end
  ngx.header["WWW-Authenticate"] = 'Bearer realm="mde"'
  problem.answer(401, key and "The API key is not known." or "An API key is needed: Authorization: Bearer KEY.")
  return ngx.exit(ngx.HTTP_OK)
end

return access

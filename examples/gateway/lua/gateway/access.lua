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

--- Ends the request with 401 unless its key is known. The caller's name is then in ngx.ctx.caller.
function access.check()
  local key = key_of_request()
  ngx.ctx.caller = key and keys.find(key)
  if ngx.ctx.caller then return end
  ngx.header["WWW-Authenticate"] = 'Bearer realm="mde"'
  problem.answer(401, key and "The API key is not known." or "An API key is needed: Authorization: Bearer KEY.")
  return ngx.exit(ngx.HTTP_OK)
end

return access

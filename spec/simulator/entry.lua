-- What the request log shows of a request. No token is in it, only what comes after its namespace's name.

local entry = {}

-- `suffix` tells the tokens of one namespace apart.
function entry.new(seconds, operation, id, suffix)
  return {
    seconds = seconds,
    operation = operation,
    id = id,
    token_suffix = suffix,
    method = ngx.req.get_method(),
    raw_uri = ngx.var.request_uri,
    http_version = ngx.var.server_protocol,
    scheme = ngx.var.scheme,
    user_agent = ngx.var.http_user_agent,
    accept = ngx.var.http_accept,
    accept_encoding = ngx.var.http_accept_encoding,
    connection = tonumber(ngx.var.connection),
    opens = ngx.var.connection_requests == "1",
  }
end

return entry

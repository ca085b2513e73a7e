-- One request's way: what is asked for, whether it may be, what goes wrong on purpose, the answer.

local answer = require "spec.simulator.answer"
local clock = require "spec.simulator.clock"
local control = require "spec.simulator.control"
local errors = require "spec.simulator.errors"
local faults = require "spec.simulator.faults"
local handlers = require "spec.simulator.handlers"
local namespace = require "spec.simulator.namespace"
local routes = require "spec.simulator.routes"
local throttle = require "spec.simulator.throttle"
local uri = require "spec.simulator.uri"

local service = {}

local function bearer_token()
  return (ngx.var.http_authorization or ""):match "^[Bb]earer (.+)$"
end

-- What the request log shows. The token is not in it, only what comes after the namespace's name.
local function log_entry(seconds, operation, id, token_suffix)
  return {
    seconds = seconds,
    operation = operation,
    id = id,
    token_suffix = token_suffix,
    method = ngx.req.get_method(),
    raw_uri = ngx.var.request_uri,
    http_version = ngx.var.server_protocol,
    scheme = ngx.var.scheme,
    user_agent = ngx.var.http_user_agent,
    accept = ngx.var.http_accept,
    accept_encoding = ngx.var.http_accept_encoding,
    connection = tonumber(ngx.var.connection),
  }
end

local function unauthorized(request)
  if not request.issued or request.space.settings.revoked[request.token] then return errors.unauthorized() end
end

local function throttled(request)
  local window, wait = request.space:exceeded_window(request.entry)
  local settings = request.space.settings
  if window then
    return throttle.answer(window, wait, { code = settings.throttle_code, retry_after = settings.retry_after })
  end
end

local function misdirected(request)
  if request.row == nil then return errors.answer(404, "NotFound", "No such resource.") end
  if request.row == false then return errors.answer(405) end
end

local function denied(request)
  if request.space.settings.denied[request.operation] then return errors.forbidden(request.row.permissions) end
end

-- The answer to a request that is not let in.
local function refusal(request)
  return unauthorized(request) or throttled(request) or misdirected(request) or denied(request)
end

local function respond(request)
  local refused = refusal(request)
  if refused then return refused, {} end
  local fault = faults.take(request.space.faults, request)
  local response = faults.answer(fault)
  return response or handlers[request.operation](request, request.space.settings, fault), fault
end

local function read_request(seconds, path, query)
  local row, id = routes.find(ngx.req.get_method(), path)
  local token = bearer_token()
  local name, suffix = namespace.of_token(token or "")
  local operation = row and row.operation or "unknown"
  return {
    operation = operation, id = id, row = row, path = path, parameters = uri.parameters(query),
    origin = ngx.var.scheme .. "://" .. (ngx.var.http_host or ""),
    token = token, issued = name ~= nil, space = namespace.get(name or ""),
    entry = log_entry(seconds, operation, id, suffix),
  }
end

function service.serve()
  local seconds = clock.now() -- before anything else, so that no work of ours moves the arrival
  local path, query = uri.split(ngx.var.request_uri)
  if path:find("/_simulator/", 1, true) == 1 then return control.serve(path, query) end
  local request = read_request(seconds, path, query)
  ngx.ctx.request = request
  request.space:arrive(request.entry)
  local response, fault = respond(request)
  request.entry.status = fault.reset == "before" and 0 or response.status
  return answer.send(response, fault)
end

-- Called by nginx when the request has ended, also when the client went away.
function service.finish()
  local request = ngx.ctx.request
  if not request then return end
  request.space:leave()
  request.entry.duration = clock.now() - request.entry.seconds
  request.entry.content_encoding = ngx.header["Content-Encoding"]
end

return service

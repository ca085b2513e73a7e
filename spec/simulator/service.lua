-- One request's way: what is asked for, whether it may be, what goes wrong on purpose, the answer.

local access = require "spec.simulator.access"
local answer = require "spec.simulator.answer"
local clock = require "spec.simulator.clock"
local control = require "spec.simulator.control"
local entry = require "spec.simulator.entry"
local errors = require "spec.simulator.errors"
local faults = require "spec.simulator.faults"
local handlers = require "spec.simulator.handlers"
local routes = require "spec.simulator.routes"
local throttle = require "spec.simulator.throttle"
local token_requests = require "spec.simulator.token_requests"
local uri = require "spec.simulator.uri"

local service = {}

local function bearer_token()
  return (ngx.var.http_authorization or ""):match "^[Bb]earer (.+)$"
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

-- The answer to a request that is not let in.
local function refusal(request)
  return access.unauthorized(request.caller) or throttled(request) or misdirected(request)
    or access.denied(request.caller, request.operation, request.row.permissions)
end

local function respond(request)
  local refused = refusal(request)
  if refused then return refused, {} end
  local fault = faults.take(request.space.faults, request)
  local response = faults.answer(fault, errors.answer)
  return response or handlers[request.operation](request, request.space.settings, fault), fault
end

local function read_request(seconds, path, query)
  local row, id = routes.find(ngx.req.get_method(), path)
  local caller = access.of(bearer_token())
  local operation = row and row.operation or "unknown"
  return {
    operation = operation, id = id, row = row, path = path, parameters = uri.parameters(query),
    origin = ngx.var.scheme .. "://" .. (ngx.var.http_host or ""),
    caller = caller, space = caller.space, respond = respond,
    entry = entry.new(seconds, operation, id, caller.suffix),
  }
end

function service.serve()
  local seconds = clock.now() -- before anything else, so that no work of ours moves the arrival
  local path, query = uri.split(ngx.var.request_uri)
  if path:find("/_simulator/", 1, true) == 1 then return control.serve(path, query) end
  local request = token_requests.read(seconds, path, query) or read_request(seconds, path, query)
  ngx.ctx.request = request
  request.space:arrive(request.entry)
  if not request.space.settings.access_log then ngx.var.is_logged = 0 end
  local response, fault = request:respond()
  request.entry.status = fault.reset == "before" and 0 or response.status
  local status, bytes = answer.given(response, fault)
  request.space:count_answer(request.entry, status, bytes, fault)
  return answer.send(response, fault)
end

-- Called by nginx when the request has ended, also when the client went away.
function service.finish()
  local request = ngx.ctx.request
  if not request then return end
  request.space:leave(request.entry)
  request.entry.duration = clock.now() - request.entry.seconds
  request.entry.content_encoding = ngx.header["Content-Encoding"]
end

return service

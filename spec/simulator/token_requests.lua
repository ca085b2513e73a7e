-- A token request's way: whose endpoint, whether too many, what goes wrong on purpose, a token or a refusal.
--
-- An endpoint is a table of refusal(request) -> answer or nil; audience(request); success(request, token) -> body;
-- failure(status, code, message) -> answer; throttled() -> answer.

local entry = require "spec.simulator.entry"
local faults = require "spec.simulator.faults"
local identity = require "spec.simulator.identity"
local json = require "spec.simulator.json"
local namespace = require "spec.simulator.namespace"
local throttle = require "spec.simulator.throttle"
local token_routes = require "spec.simulator.token_routes"
local uri = require "spec.simulator.uri"

local token_requests = {}

local endpoints = {
  entra = require "spec.simulator.entra",
  imds = require "spec.simulator.imds",
  app_service = require "spec.simulator.app_service",
}

-- Nil when the path is none of a token endpoint.
function token_requests.read(seconds, path, query)
  local place = token_routes.find(path)
  if not place then return nil end
  return {
    operation = "token", id = place.id, space = namespace.get(place.namespace), tenant = place.tenant,
    endpoint = endpoints[place.id], method = ngx.req.get_method(), fields = uri.parameters(query),
    url = ngx.var.scheme .. "://" .. (ngx.var.http_host or "") .. path,
    entry = entry.new(seconds, "token", place.id), respond = token_requests.respond,
  }
end

local FORM = "^application/x%-www%-form%-urlencoded"

local function form_fields()
  ngx.req.read_body()
  if not (ngx.var.content_type or ""):lower():find(FORM) then return {} end
  return uri.parameters(ngx.req.get_body_data() or "")
end

local function sorted_names(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return json.array(names)
end

local function read_fields(request)
  if request.method == "POST" then request.fields = form_fields() end
  request.entry.fields = sorted_names(request.fields)
  request.space.tokens.fields = request.entry.fields
end

local function throttled(request)
  local window, wait = request.space:exceeded_window(request.entry)
  if not window then return nil end
  local answer = request.endpoint.throttled()
  throttle.add_retry_after(answer, wait, request.space.settings.retry_after)
  return answer
end

local function refuse(request, answer)
  request.space.tokens.refused = request.space.tokens.refused + 1
  return answer
end

local function grant(request)
  local refused = request.endpoint.refusal(request)
  if refused then return refuse(request, refused) end
  local token = request.space.tokens:issue {
    audience = request.endpoint.audience(request), client_id = identity.client_id, tenant_id = identity.tenant_id,
    roles = request.space.credentials.roles, lifetime = request.space.settings.token.lifetime,
  }
  return { status = 200, headers = {}, body = request.endpoint.success(request, token) }
end

local function answer_to(request)
  local too_many = throttled(request)
  if too_many then return refuse(request, too_many), {} end
  local fault = faults.take(request.space.faults, request)
  return faults.answer(fault, request.endpoint.failure) or grant(request), fault
end

function token_requests.respond(request)
  read_fields(request)
  local delay = request.space.settings.token.delay
  if delay > 0 then ngx.sleep(delay) end
  local answer, fault = answer_to(request)
  answer.headers["Content-Type"] = "application/json; charset=utf-8"
  answer.headers["Cache-Control"] = "no-store, no-cache"
  return answer, fault
end

return token_requests

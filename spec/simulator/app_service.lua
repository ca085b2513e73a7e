-- App Service's endpoint of a managed identity: as a virtual machine's, but guarded by a secret header, and it tells
-- only when a token ends.

local identity = require "spec.simulator.identity"
local json = require "spec.simulator.json"

local app_service = {}

local NOT_FOUND = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."

local function fail(status, message)
  return { status = status, headers = {}, body = json.encode { statusCode = status, message = message } }
end

local function check_caller(request)
  if request.method ~= "GET" then return fail(405, "Method not allowed") end
  if ngx.var.http_x_identity_header ~= identity.header(request.space.name) then
    return fail(401, "The header X-IDENTITY-HEADER is missing or wrong.")
  end
end

local function check_fields(request)
  if request.fields["api-version"] ~= "2019-08-01" then return fail(400, "The api-version is missing or unknown.") end
  if (request.fields.resource or "") == "" then return fail(400, "The resource is missing.") end
  local client = request.fields.client_id
  if client and client ~= identity.client_id then return fail(400, NOT_FOUND) end
end

function app_service.refusal(request)
  return check_caller(request) or check_fields(request)
end

function app_service.audience(request)
  return request.fields.resource
end

function app_service.success(request, token)
  return json.encode {
    access_token = token.text, token_type = "Bearer", client_id = identity.client_id,
    resource = request.fields.resource, expires_on = ("%d"):format(token.expires_on),
  }
end

function app_service.failure(status, _, message)
  return fail(status, message or "An unexpected error occurred while fetching the token.")
end

function app_service.throttled()
  return fail(429, "Too many requests")
end

return app_service

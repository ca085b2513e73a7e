-- The Instance Metadata Service of a virtual machine: tokens for its managed identity, by GET.

local identity = require "spec.simulator.identity"
local json = require "spec.simulator.json"

local imds = {}

local VERSIONS = { ["2018-02-01"] = true, ["2019-08-01"] = true, ["2021-02-01"] = true }

local function fail(status, kind, description)
  return { status = status, headers = {}, body = json.encode { error = kind, error_description = description } }
end

local function check_method(request)
  if request.method ~= "GET" then return fail(405, "method_not_allowed", "Method not allowed") end
end

-- Neither a browser nor a proxy that is talked into it can send such a request.
local function check_headers()
  if (ngx.var.http_metadata or ""):lower() ~= "true" then
    return fail(400, "invalid_request", "Required metadata header not specified")
  end
  if ngx.var.http_x_forwarded_for then
    return fail(400, "invalid_request", "X-Forwarded-For header is not allowed")
  end
end

local function check_fields(request)
  local version = request.fields["api-version"]
  if not version then return fail(400, "invalid_request", "Required query variable 'api-version' is missing") end
  if not VERSIONS[version] then return fail(400, "invalid_request", "Unsupported api-version " .. version) end
  if (request.fields.resource or "") == "" then
    return fail(400, "invalid_request", "Required query variable 'resource' is missing")
  end
end

local function check_identity(request)
  local client = request.fields.client_id
  if client and client ~= identity.client_id then return fail(400, "invalid_request", "Identity not found") end
end

function imds.refusal(request)
  return check_method(request) or check_headers() or check_fields(request) or check_identity(request)
end

function imds.audience(request)
  return request.fields.resource
end

-- Numbers are text here.
function imds.success(request, token)
  return json.encode {
    access_token = token.text, token_type = "Bearer", client_id = identity.client_id,
    resource = request.fields.resource, expires_in = ("%d"):format(token.expires_in),
    expires_on = ("%d"):format(token.expires_on), not_before = ("%d"):format(token.not_before),
  }
end

function imds.failure(status, code, message)
  return fail(status, code or "unknown", message or "Failed to retrieve token from the Active directory.")
end

function imds.throttled()
  return fail(429, "invalid_request", "Too many requests")
end

return imds

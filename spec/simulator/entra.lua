-- Microsoft Entra ID's token endpoint, version 2.0, for applications: the client credentials grant.

local assertion = require "spec.simulator.assertion"
local entra_errors = require "spec.simulator.entra_errors"
local identity = require "spec.simulator.identity"
local json = require "spec.simulator.json"

local entra = {}

local fail = entra_errors.answer

local function check_method(request)
  if request.method ~= "POST" then return fail(900561, request.method) end
end

local function check_tenant(request)
  if request.tenant ~= identity.tenant_id then return fail(90002, request.tenant) end
end

local function check_fields(request)
  for _, name in ipairs { "grant_type", "client_id", "scope" } do
    if (request.fields[name] or "") == "" then return fail(900144, name) end
  end
end

local function check_grant(request)
  local grant = request.fields.grant_type
  if grant ~= "client_credentials" then return fail(70003, grant) end
end

local function check_client(request)
  local client = request.fields.client_id
  if client ~= identity.client_id then return fail(700016, client) end
end

local function resource_of(scope)
  return scope:match "^(%S+)/%.default$"
end

local function check_scope(request)
  local scope = request.fields.scope
  if not resource_of(scope) then return fail(70011, scope) end
end

local function check_secret(request)
  local known, secret = request.space.credentials, request.fields.client_secret
  if known.expired_secrets[secret] then return fail(7000222, request.fields.client_id) end
  if not known.secrets[secret] then return fail(7000215, request.fields.client_id) end
end

local function check_credential(request)
  if request.fields.client_secret then return check_secret(request) end
  if request.fields.client_assertion then return assertion.refusal(request) end
  return fail(7000218)
end

local checks = {
  check_method, check_tenant, check_fields, check_grant, check_client, check_scope, check_credential,
}

function entra.refusal(request)
  for _, check in ipairs(checks) do
    local refused = check(request)
    if refused then return refused end
  end
end

function entra.audience(request)
  return resource_of(request.fields.scope)
end

function entra.success(_, token)
  return json.encode {
    token_type = "Bearer", expires_in = token.expires_in, ext_expires_in = token.expires_in, access_token = token.text,
  }
end

-- What a failure that was asked for looks like, and the one of too many requests.
function entra.failure(status, code, message)
  local answer = fail(90033)
  answer.status = status
  if not (code or message) then return answer end
  answer.body = json.encode { error = code or "temporarily_unavailable", error_description = message or "" }
  return answer
end

function entra.throttled()
  return fail(90055)
end

return entra

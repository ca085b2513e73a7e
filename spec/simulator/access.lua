-- Whether a bearer token lets a request in. A static token lets in everywhere; an issued one has an end, an audience
-- and roles.

local clock = require "spec.simulator.clock"
local errors = require "spec.simulator.errors"
local identity = require "spec.simulator.identity"
local namespace = require "spec.simulator.namespace"
local tokens = require "spec.simulator.tokens"

local access = {}

-- { token =, space =, suffix =, valid = whether the API takes it, roles = list of an issued one }
function access.of(token)
  local name, suffix = namespace.of_token(token or "")
  if name then return { token = token, space = namespace.get(name), suffix = suffix, valid = true } end
  local space = namespace.get(tokens.owner(token or "") or "")
  local record = space.tokens:find(token or "")
  if not record then return { token = token, space = space, valid = false } end
  local right = record.audience:gsub("/$", "") == identity.resource
  return {
    token = token, space = space, suffix = tostring(record.number), roles = record.roles,
    valid = right and clock.now() < record.expires,
  }
end

function access.unauthorized(caller)
  if not caller.valid or caller.space.settings.revoked[caller.token] then return errors.unauthorized() end
end

local function has_one(roles, permissions)
  for _, role in ipairs(roles) do
    for _, permission in ipairs(permissions) do
      if role == permission then return true end
    end
  end
  return false
end

-- One of `permissions` is enough.
function access.denied(caller, operation, permissions)
  if caller.space.settings.denied[operation] then return errors.forbidden(permissions) end
  if caller.roles and not has_one(caller.roles, permissions) then
    return errors.forbidden(permissions, caller.roles)
  end
end

return access

-- By what the application of one namespace proves that it is itself, and which roles it has got.

local identity = require "spec.simulator.identity"
local jwt = require "spec.simulator.jwt"
local libcrypto = require "spec.simulator.libcrypto"
local routes = require "spec.simulator.routes"

local credentials = {}
credentials.__index = credentials

function credentials.new()
  return setmetatable({
    secrets = { [identity.client_secret] = true },
    expired_secrets = {},
    federated_assertions = {},
    certificates = {}, -- by the thumbprint in base64url, of either length
    used = {}, -- the jti of every assertion that was taken
    roles = routes.permissions(),
  }, credentials)
end

local function adder(name)
  return function(self, list)
    for _, item in ipairs(list) do self[name][item] = true end
  end
end

-- One function per kind; each may raise what is wrong.
local kinds = {
  secrets = adder "secrets",
  expired_secrets = adder "expired_secrets",
  federated_assertions = adder "federated_assertions",
  certificates = function(self, list)
    for _, pem in ipairs(list) do
      local certificate = libcrypto.certificate(pem)
      self.certificates[jwt.encode(certificate.sha1)] = certificate
      self.certificates[jwt.encode(certificate.sha256)] = certificate
    end
  end,
  roles = function(self, list) self.roles = list end,
}

-- The one that a JWT's header names, or nil. Where it names two they must be the same.
function credentials:certificate(header)
  local sha1, sha256 = header.x5t, header["x5t#S256"]
  local found = self.certificates[sha256 or sha1]
  if sha1 and self.certificates[sha1] ~= found then return nil end
  return found
end

-- Adds to what is there; roles replace it.
function credentials:register(lists)
  for kind, list in pairs(lists) do
    if not kinds[kind] then error("nothing called '" .. kind .. "' is registered", 0) end
    kinds[kind](self, list)
  end
end

return credentials

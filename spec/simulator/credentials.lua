-- By what the application of one namespace proves that it is itself, and which roles it has got.

local identity = require "spec.simulator.identity"
local routes = require "spec.simulator.routes"

local credentials = {}
credentials.__index = credentials

function credentials.new()
  return setmetatable({
    secrets = { [identity.client_secret] = true },
    expired_secrets = {},
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
  roles = function(self, list) self.roles = list end,
}

-- Adds to what is there; roles replace it.
function credentials:register(lists)
  for kind, list in pairs(lists) do
    if not kinds[kind] then error("nothing called '" .. kind .. "' is registered", 0) end
    kinds[kind](self, list)
  end
end

return credentials

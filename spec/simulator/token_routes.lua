-- Which token endpoint a path leads to. A namespace has endpoints of its own below "/entra/NAME", "/imds/NAME" and
-- "/app_service/NAME"; without these they are those of the namespace without a name.

local uri = require "spec.simulator.uri"

local token_routes = {}

local paths = {
  entra = "^/([^/]+)/oauth2/v2%.0/token$",
  imds = "^/metadata/identity/oauth2/token$",
  app_service = "^/msi/token$",
}

-- { id =, namespace =, tenant = of entra's }, or nil.
function token_routes.find(path)
  for id, pattern in pairs(paths) do
    local name, rest = path:match("^/" .. id .. "/([^/]+)(/.*)$")
    local found = (rest or path):match(pattern)
    if found then return { id = id, namespace = name or "", tenant = id == "entra" and uri.decode(found) or nil } end
  end
end

return token_routes

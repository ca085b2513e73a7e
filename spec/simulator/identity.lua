-- The application that the token endpoints know out of the box. Specs read it too: there is nothing of nginx in here.

local identity = {
  tenant_id = "00000000-0000-4000-8000-000000000001",
  client_id = "00000000-0000-4000-8000-000000000002",
  client_secret = "simulator~secret.1",
  resource = "https://api.securitycenter.microsoft.com",
}

identity.scope = identity.resource .. "/.default"

-- What App Service wants in X-IDENTITY-HEADER.
function identity.header(namespace)
  return "simulator-identity-header-" .. namespace
end

return identity

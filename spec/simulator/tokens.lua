-- The access tokens that the token endpoints have issued in one namespace: tokens.new(NAME).

local clock = require "spec.simulator.clock"
local errors = require "spec.simulator.errors"
local jwt = require "spec.simulator.jwt"

local tokens = {}
tokens.__index = tokens

local IN_THE_PAST = 300 -- the service dates its tokens back by so much, for clocks that are slow

local owners = {} -- token -> the name of its namespace

function tokens.new(name)
  return setmetatable({ name = name, records = {}, issued = 0, refused = 0, fields = {} }, tokens)
end

-- The name of the namespace that a token was issued in, or nil.
function tokens.owner(token)
  return owners[token]
end

local function unix_time()
  ngx.update_time()
  return ngx.time()
end

-- `grant` = { audience =, client_id =, tenant_id =, roles = list, lifetime = seconds }.
-- No roles are no claim, as in the service.
local function write(grant, now)
  return jwt.write({ typ = "JWT", alg = "RS256", kid = "simulator" }, {
    aud = grant.audience, appid = grant.client_id, tid = grant.tenant_id, uti = errors.id(),
    iat = now - IN_THE_PAST, nbf = now - IN_THE_PAST, exp = now + math.floor(grant.lifetime),
    roles = #grant.roles > 0 and grant.roles or nil, ver = "1.0",
  }, "signed by nobody")
end

-- { text =, not_before =, expires_on = unix seconds, expires_in = whole seconds }
function tokens:issue(grant)
  local now = unix_time()
  local text = write(grant, now)
  self.issued = self.issued + 1
  owners[text] = self.name
  self.records[text] = {
    number = self.issued, audience = grant.audience, roles = grant.roles, expires = clock.now() + grant.lifetime,
  }
  local lifetime = math.floor(grant.lifetime)
  return { text = text, not_before = now - IN_THE_PAST, expires_on = now + lifetime, expires_in = lifetime }
end

-- { number = 1 for the first that was issued, audience =, roles =, expires = by the simulator's clock }, or nil.
function tokens:find(token)
  return self.records[token]
end

-- From now on those that have been issued count as expired.
function tokens:expire()
  for _, record in pairs(self.records) do record.expires = 0 end
end

return tokens

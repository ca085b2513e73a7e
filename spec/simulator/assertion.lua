-- Client assertions: a JWT that a registered certificate has signed, or a registered one of another issuer.

local entra_errors = require "spec.simulator.entra_errors"
local jwt = require "spec.simulator.jwt"
local libcrypto = require "spec.simulator.libcrypto"

local assertion = {}

local TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
local LONGEST = 600 -- seconds that one may be valid for

local fail = entra_errors.answer

local function check_signature(token, request)
  local certificate = request.space.credentials:certificate(token.header)
  if not certificate then return fail(700027, "The key was not found.") end
  if not libcrypto.verify(token.header.alg, certificate.key, token.signed, token.signature) then
    return fail(700027, "The signature is not that of the key.")
  end
end

local function check_names(token, request)
  local claims, client = token.claims, request.fields.client_id
  if claims.iss ~= client or claims.sub ~= client then return fail(700021) end
  if claims.aud ~= request.url then return fail(700023) end
end

local function check_types(token)
  local claims = token.claims
  if type(claims.exp) ~= "number" or type(claims.nbf) ~= "number" then
    return fail(50027, "exp and nbf are numbers.")
  end
  if type(claims.jti) ~= "string" or claims.jti == "" then return fail(50027, "jti is missing.") end
end

local function check_time(token)
  local claims = token.claims
  ngx.update_time()
  local now = ngx.time()
  if claims.exp <= now or claims.nbf > now or claims.exp - claims.nbf > LONGEST then return fail(700024) end
end

local function check_first_use(token, request)
  local used = request.space.credentials.used
  if used[token.claims.jti] then return fail(50013, "It has been used before.") end
  used[token.claims.jti] = true
end

local checks = { check_signature, check_names, check_types, check_time, check_first_use }

local function check_signed(token, request)
  for _, check in ipairs(checks) do
    local refused = check(token, request)
    if refused then return refused end
  end
end

-- Nil when it is good. What names no certificate is taken for another issuer's.
function assertion.refusal(request)
  local text = request.fields.client_assertion
  if request.fields.client_assertion_type ~= TYPE then return fail(900144, "client_assertion_type") end
  if request.space.credentials.federated_assertions[text] then return nil end
  local token = jwt.read(text)
  if not token or not (token.header.x5t or token.header["x5t#S256"]) then return fail(70021) end
  return check_signed(token, request)
end

return assertion

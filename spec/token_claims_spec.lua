-- What a token says of itself makes the message of a 401 or 403 precise. It is looked at, not verified.
local testing = require "mde.testing"
local jwt = require "spec.support.jwt"
local scripted = require "spec.support.scripted"

local AUDIENCE = "https://api.securitycenter.microsoft.com"
local TENANT, OTHER_TENANT = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

--- Claims that nothing is wrong with, but for the given ones; false takes one away.
local function claims(changes)
  local all = { aud = AUDIENCE, tid = TENANT, roles = { "Ip.Read.All" }, exp = math.floor(testing.now()) + 3600 }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

local function message_of(token, status, options)
  local all = { token = token }
  for name, value in pairs(options or {}) do all[name] = value end
  local client = scripted.client(scripted.always{ status = status }, all)
  local _, err = client:alert_ips "da1"
  assert.equal("auth", err.kind)
  assert.equal(status, err.status)
  return err.message
end

local function says(words, token, status, options)
  local message = message_of(token, status, options)
  assert.truthy(message:find(words, 1, true), message)
end

local PLAIN_401 = "alert_ips: the service refused the token (401). Get a new token; its audience must be "
  .. AUDIENCE .. "."

describe("a 401", function()
  it("names the audience of a token that is for another API", function()
    for _, status in ipairs{ 401, 403 } do
      says("The token is for https://graph.microsoft.com; this API needs " .. AUDIENCE .. ".",
        jwt(claims{ aud = "https://graph.microsoft.com" }), status)
    end
  end)

  it("names the audience that this cloud needs", function()
    says("this API needs https://api-gov.securitycenter.microsoft.us.", jwt(claims()), 401, { cloud = "gcc-high" })
    says("its audience must be https://api-gov.securitycenter.microsoft.us.", "opaque", 401, { cloud = "gcc-high" })
    says("this API needs api://mine.", jwt(claims()), 401, { scope = "api://mine/.default" })
  end)

  it("names the tenant of a token that is of another", function()
    says(("The token is of the tenant %s, not of %s."):format(OTHER_TENANT, TENANT),
      jwt(claims{ tid = OTHER_TENANT }), 401, { tenant_id = TENANT })
  end)

  it("does not compare an id with a tenant's domain name", function()
    assert.equal(PLAIN_401, message_of(jwt(claims()), 401, { tenant_id = "contoso.onmicrosoft.com" }))
  end)

  it("to a token that is over by then says so", function()
    local token = jwt(claims{ exp = math.floor(testing.now()) - 5 })
    says("The token expired at 1970-01-", function() return token end, 401)
  end)

  it("keeps its usual words for a token with which nothing seems wrong", function()
    for _, aud in ipairs{ AUDIENCE, AUDIENCE .. "/", "fc780465-2017-40d4-a0c5-307022471b92" } do
      assert.equal(PLAIN_401, message_of(jwt(claims{ aud = aud }), 401, { tenant_id = TENANT }))
    end
    local nothing = claims{ aud = false, tid = false, exp = false }
    assert.equal(PLAIN_401, message_of(jwt(nothing), 401, { tenant_id = TENANT }))
  end)

  it("keeps its usual words for what is no JWT, or one that nobody can read", function()
    for _, token in ipairs{ "opaque", "a.b", "a.b.c", "..", jwt "[]", jwt "5", jwt "{", jwt "null", jwt "",
                            jwt { aud = { 1, 2 }, exp = "soon", tid = 5, roles = "all" }, "e30.!!!!.x",
                            ("."):rep(1000), jwt(("["):rep(100) .. ("]"):rep(100)) } do
      assert.equal(PLAIN_401, message_of(token, 401, { tenant_id = TENANT }))
    end
  end)

  it("shows nothing of a token's that would disturb a terminal", function()
    local message = message_of(jwt(claims{ aud = "x\27[31m\r\ny" }), 401)
    assert.is_nil(message:find "%c")
  end)

  it("is not swamped by long claims", function()
    local message = message_of(jwt(claims{ aud = ("x"):rep(5000) }), 401)
    assert.is_true(#message < 1000)
  end)
end)

describe("a 403", function()
  it("says which permissions the token has, and which one is needed", function()
    says("The token has only Alert.Read.All Machine.Read.All; this call needs the permission Ip.Read.All",
      jwt(claims{ roles = { "Alert.Read.All", "Machine.Read.All" } }), 403)
  end)

  it("says if it has none at all", function()
    says("The token has no permission at all; this call needs the permission Ip.Read.All",
      jwt(claims{ roles = false }), 403)
    says("The token has no permission at all", jwt(claims{ roles = {} }), 403)
  end)

  it("knows a user's permissions, which are named without .All", function()
    says("The token has only Alert.Read User.Read; this call needs",
      jwt(claims{ roles = false, scp = "Alert.Read User.Read" }), 403)
    says("The token needs the permission Ip.Read.All, granted",
      jwt(claims{ roles = false, scp = "User.Read Ip.Read" }), 403)
  end)

  it("takes one permission of several that would do", function()
    local token = jwt(claims{ roles = { "Alert.ReadWrite.All" } })
    local client = scripted.client(scripted.always{ status = 403 }, { token = token })
    local _, err = client:alert "da1"
    assert.truthy(err.message:find("The token needs the permission Alert.Read.All (or Alert.ReadWrite.All)", 1, true),
      err.message)
  end)

  it("does not take a part of a name for it", function()
    says("The token has only Ip.Read.Al;", jwt(claims{ roles = { "Ip.Read.Al" } }), 403)
    says("The token has only Read.All;", jwt(claims{ roles = { "Read.All" } }), 403)
  end)
end)

describe("missing permissions", function()
  it("are only a hint: the service decides", function()
    local client = scripted.client(nil, { token = jwt(claims{ roles = false }) })
    assert.same({}, client:alert_ips "da1")
  end)
end)

describe("a string token that has expired", function()
  it("fails at once, and nothing is sent", function()
    local client = scripted.client(nil, { token = jwt(claims{ exp = math.floor(testing.now()) - 1 }) })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.is_false(err.retryable)
    assert.equal(0, err.attempts)
    assert.truthy(err.message:find("alert_ips: no token: the token expired at 1970-01-", 1, true), err.message)
    assert.truthy(err.message:find("; get a new one.", 1, true), err.message)
    assert.equal(0, #testing.requests(client))
  end)

  it("is used until then", function()
    local client = scripted.client(nil, { token = jwt(claims{ exp = math.floor(testing.now()) + 60 }) })
    assert.same({}, client:alert_ips "da1")
    testing.advance(61)
    assert.equal("auth", select(2, client:alert_ips "da1").kind)
  end)

  it("is used if another token's claims are odd", function()
    for _, exp in ipairs{ 0, -5, 1e300, "1" } do
      local client = scripted.client(nil, { token = jwt(claims{ exp = exp }) })
      assert.same({}, client:alert_ips "da1")
    end
  end)
end)

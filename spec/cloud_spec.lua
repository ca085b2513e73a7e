-- Clouds: the API's host, the login host and the audience go together.
local mde = require "mde"
local scripted = require "spec.support.scripted"
local testing = require "mde.testing"

local LOGIN, LOGIN_US = "https://login.microsoftonline.com", "https://login.microsoftonline.us"
local AUDIENCE = "https://api.securitycenter.microsoft.com"

local function with(options)
  local all = { tenant_id = "tenant", client_id = "app", client_secret = "secret" }
  for name, value in pairs(options) do all[name] = value end
  return all
end

--- The API's host and the login host of a client's requests.
local function hosts_of(options)
  local all = with(options)
  all.answers = { scripted.EMPTY }
  local client = testing.client(all)
  assert.same({}, client:alert_ips "da1")
  local token, call = testing.requests(client)[1], testing.requests(client)[2]
  return call.url:match "^(https?://[^/]*)", token.url:match "^(.*)/tenant/oauth2/v2%.0/token$"
end

--- The resource that a managed identity is asked for.
local function resource_of(options)
  local all = { managed_identity = true, answers = { scripted.EMPTY } }
  for name, value in pairs(options) do all[name] = value end
  local client = testing.client(all)
  client:alert_ips "da1"
  return (testing.requests(client)[1].url:match "resource=([^&]*)":gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function says(words, options)
  local message = scripted.raised(mde.client, with(options))
  assert.truthy(message:find(words, 1, true), message)
end

describe("a cloud", function()
  local gcc, gov = "https://api-gcc.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"
  local rows = {
    global = { "https://api.security.microsoft.com", LOGIN, AUDIENCE },
    gcc = { gcc, LOGIN, gcc },
    ["gcc-high"] = { gov, LOGIN_US, gov },
    dod = { gov, LOGIN_US, gov },
  }
  for _, region in ipairs{ "us", "eu", "uk", "au", "swa", "ina", "aea" } do
    rows[region] = { ("https://%s.api.security.microsoft.com"):format(region), LOGIN, AUDIENCE }
  end

  for name, row in pairs(rows) do
    it(("%s brings its host, its login and its audience"):format(name), function()
      local api, login = hosts_of{ cloud = name }
      assert.equal(row[1], api)
      assert.equal(row[2], login)
      assert.equal(row[3], resource_of{ cloud = name })
    end)

    it(("%s is known by its host, too"):format(name), function()
      local api, login = hosts_of{ base_url = row[1] }
      assert.equal(row[1], api)
      assert.equal(row[2], login)
      assert.equal(row[3], resource_of{ base_url = row[1] })
    end)
  end

  it("is the global one by default", function()
    assert.same({ rows.global[1], LOGIN }, { hosts_of{} })
  end)

  it("must be one that there is", function()
    says("option 'cloud': one of global us eu uk au swa ina aea gcc gcc-high dod expected", { cloud = "moon" })
    says("option 'cloud'", { cloud = "GCC" })
    says("option 'cloud'", { cloud = "" })
  end)
end)

describe("base_url, authority and scope", function()
  it("override what the cloud brings", function()
    local api, login = hosts_of{ base_url = "https://gateway.example/mde", authority = "https://login.example" }
    assert.equal("https://gateway.example", api)
    assert.equal("https://login.example", login)
    assert.equal("api://mine", resource_of{ base_url = "https://gateway.example", scope = "api://mine/.default" })
  end)

  it("take an authority with a path, and a slash at its end", function()
    local _, login = hosts_of{ authority = "https://login.example/adfs/" }
    assert.equal("https://login.example/adfs", login)
  end)

  it("take the other names of the login host", function()
    for _, host in ipairs{ "https://login.windows.net", "https://LOGIN.microsoftonline.com", LOGIN .. ":443" } do
      local _, login = hosts_of{ authority = host }
      assert.equal(host, login)
    end
  end)

  it("take the API's host by its older name", function()
    local api, login = hosts_of{ base_url = AUDIENCE }
    assert.equal(AUDIENCE, api)
    assert.equal(LOGIN, login)
  end)

  it("are refused where two belong to different clouds, before anything is sent", function()
    says("https://login.microsoftonline.com gives no tokens for the cloud 'gcc-high'",
      { cloud = "gcc-high", authority = LOGIN })
    says("its login host is https://login.microsoftonline.us",
      { base_url = "https://api-gov.securitycenter.microsoft.us", authority = LOGIN })
    says("https://login.microsoftonline.us gives no tokens for the cloud 'gcc'",
      { cloud = "gcc", authority = LOGIN_US })
    says("https://login.microsoftonline.us gives no tokens for the cloud 'global'", { authority = LOGIN_US })
    says("https://login.chinacloudapi.cn gives no tokens for the cloud 'global'",
      { authority = "https://login.chinacloudapi.cn" })
    says("https://api-gov.securitycenter.microsoft.us belongs to the cloud 'gcc-high', not to 'global'",
      { cloud = "global", base_url = "https://api-gov.securitycenter.microsoft.us" })
    says("tokens for the cloud 'global' are of no use to 'dod'", { cloud = "dod", scope = AUDIENCE .. "/.default" })
  end)

  it("are taken where the regions of one cloud differ", function()
    hosts_of{ cloud = "eu", base_url = "https://api.security.microsoft.com" }
  end)

  it("must be addresses", function()
    says("option 'authority': https://HOST[:PORT][/PREFIX] expected", { authority = "login.example" })
    says("option 'authority': plain http would show the credential to the network",
      { authority = "http://login.example" })
    says("option 'base_url': plain http would show the token to the network", { base_url = "http://api.example" })
    says("option 'scope': RESOURCE/.default expected", { scope = AUDIENCE })
    says("option 'scope': RESOURCE/.default expected", { scope = "/.default" })
  end)
end)

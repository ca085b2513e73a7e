-- Which credential a client is given: exactly one, whole, and nothing beside it that would be ignored.
local mde = require "mde"
local with = require "spec.support.merged"
local scripted = require "spec.support.scripted"
local testing = require "mde.testing"
local variables = require "spec.support.variables"

local SECRET = "s3cr3t-that-nobody-may-see"

--- Every way to give one, as plain options.
local ways = {
  token = { token = "t" },
  ["a token function"] = { token = function() return "t" end },
  token_file = { token_file = "/nonexistent/token" },
  client_secret = { tenant_id = "tenant", client_id = "app", client_secret = SECRET },
  certificate = { tenant_id = "tenant", client_id = "app", certificate = "/nonexistent/app.pem" },
  ["a certificate with all that belongs to it"] = {
    tenant_id = "tenant", client_id = "app", certificate = "/nonexistent/app.pem",
    private_key = "/nonexistent/key.pem", passphrase = SECRET, signature_algorithm = "RS256",
  },
  federated_token_file = { tenant_id = "tenant", client_id = "app", federated_token_file = "/nonexistent/assertion" },
  ["the machine's managed identity"] = { managed_identity = true },
  ["a managed identity of one's own"] = { managed_identity = "11111111-2222-3333-4444-555555555555" },
  ["a token with its tenant"] = { token = "t", tenant_id = "tenant" },
}

local function complaint(options) return scripted.raised(mde.client, options) end

local function says(words, options)
  local message = complaint(options)
  assert.truthy(message:find(words, 1, true), message)
  assert.truthy(message:find("bad argument #1 to '", 1, true), message)
  assert.is_nil(message:find(SECRET, 1, true))
end

describe("a credential", function()
  for name, options in pairs(ways) do
    it("may be " .. name, function()
      mde.client(options):close()
    end)

    it("may stand in the table `credential`: " .. name, function()
      mde.client{ credential = options, timeout = 5 }:close()
    end)
  end

  it("may be split between the table and plain options", function()
    mde.client{ tenant_id = "tenant", credential = { client_id = "app", client_secret = SECRET } }:close()
  end)

  it("leaves the caller's table as it is", function()
    local options = { credential = with(ways.client_secret), timeout = 5 }
    mde.client(options):close()
    assert.same({ credential = ways.client_secret, timeout = 5 }, options)
  end)

  it("must be there", function()
    says("no credential: give 'token'", {})
    says("no credential", { credential = {} })
    says("no credential", { tenant_id = "tenant", client_id = "app" })
  end)

  it("must be the only one", function()
    says("exactly one credential expected, got 'token' and 'client_secret'", with(ways.client_secret, { token = "t" }))
    says("exactly one credential expected, got 'token' and 'managed_identity'",
      { token = "t", managed_identity = true })
    says("exactly one credential expected, got 'token' and 'credential'", { token = "t", credential = "environment" })
    says("exactly one credential expected, got 'token' and 'token_file'",
      { token = "t", credential = { token_file = "f" } })
  end)

  it("must be whole", function()
    for _, way in ipairs{ "client_secret", "certificate", "federated_token_file" } do
      says(way .. " needs 'tenant_id', too", with(ways[way], { tenant_id = "" }))
      says(way .. " needs 'client_id', too", with(ways[way], { client_id = "" }))
      says(("option '%s': it is empty"):format(way), with(ways[way], { [way] = "" }))
    end
    says("option 'token_file': it is empty", { token_file = "" })
  end)

  it("must not be given twice", function()
    says("option 'client_id': given twice, once in 'credential'",
      { client_id = "app", credential = with(ways.client_secret) })
  end)

  it("has no fields that nobody knows", function()
    says("unknown option 'client_secrets'; did you mean 'client_secret'?",
      { credential = { tenant_id = "tenant", client_id = "app", client_secrets = SECRET } })
  end)

  it("has no fields of another one", function()
    says("option 'client_id': only with", { token = "t", client_id = "app" })
    says("option 'client_id': only with", { token_file = "f", client_id = "app" })
    says("give it as 'managed_identity' = CLIENT_ID", { managed_identity = true, client_id = "app" })
    for _, name in ipairs{ "private_key", "passphrase", "signature_algorithm" } do
      says(("option '%s': only with 'certificate'"):format(name), with(ways.client_secret, { [name] = "RS256" }))
    end
  end)

  it("has the types that are expected", function()
    says("option 'token': string or function expected, got number", { token = 5 })
    says("option 'credential': a table or 'environment' expected", { credential = "environmental" })
    says("option 'credential': a table or 'environment' expected", { credential = 5 })
    says("option 'managed_identity': true or a client id expected", { managed_identity = false })
    says("option 'managed_identity': true or a client id expected", { managed_identity = 5 })
    says("option 'client_secret': string expected", with(ways.client_secret, { client_secret = 5 }))
    says("option 'tenant_id': an id or a domain name expected", with(ways.client_secret, { tenant_id = ".." }))
    says("'PS256' or 'RS256' expected", with(ways.certificate, { signature_algorithm = "HS256" }))
  end)

  it("is not shown by tostring", function()
    local client = mde.client(with(ways.client_secret))
    assert.is_nil(tostring(client):find(SECRET, 1, true))
    client:close()
  end)
end)

describe("the environment's credential", function()
  local within
  setup(function() within = variables.open() end)
  teardown(variables.close)

  local ACCOUNT = { AZURE_TENANT_ID = "tenant", AZURE_CLIENT_ID = "app" }

  --- The first request of a client that takes its credential from there.
  local function first_request(values, options)
    return within(values, function()
      local client = testing.client(with({ credential = "environment", answers = { scripted.EMPTY } }, options))
      assert.same({}, client:alert_ips "da1")
      return testing.requests(client)[1]
    end)
  end

  local function complains(words, values, options)
    within(values, function() says(words, with({ credential = "environment" }, options)) end)
  end

  it("is a secret, if there is one", function()
    local request = first_request(with(ACCOUNT, { AZURE_CLIENT_SECRET = SECRET, AZURE_FEDERATED_TOKEN_FILE = "/none" }))
    assert.equal("https://login.microsoftonline.com/tenant/oauth2/v2.0/token", request.url)
    assert.equal("POST", request.method)
  end)

  it("is else a certificate", function()
    within(with(ACCOUNT, { AZURE_CLIENT_CERTIFICATE_PATH = "/nonexistent/app.pem" }), function()
      local client = testing.client{ credential = "environment", answers = {} }
      local _, err = client:alert_ips "da1"
      assert.equal("auth", err.kind)
      assert.truthy(err.message:find("/nonexistent/app.pem", 1, true), err.message)
    end)
  end)

  it("is else a federated token", function()
    within(with(ACCOUNT, { AZURE_FEDERATED_TOKEN_FILE = "/nonexistent/assertion" }), function()
      local client = testing.client{ credential = "environment", answers = {} }
      local _, err = client:alert_ips "da1"
      assert.truthy(err.message:find("/nonexistent/assertion", 1, true), err.message)
    end)
  end)

  it("is else the managed identity, that of the app if one is named", function()
    assert.equal("http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
      .. "&resource=https%3A%2F%2Fapi.securitycenter.microsoft.com", first_request{}.url)
    assert.truthy(first_request{ AZURE_CLIENT_ID = "app" }.url:find("&client_id=app$"))
  end)

  it("takes the login host from there, with or without https://", function()
    local plain = "login.microsoftonline.us"
    for _, host in ipairs{ plain, "https://" .. plain, "https://" .. plain .. "/" } do
      local request = first_request(with(ACCOUNT, { AZURE_CLIENT_SECRET = SECRET, AZURE_AUTHORITY_HOST = host }),
        { cloud = "gcc-high" })
      assert.equal("https://login.microsoftonline.us/tenant/oauth2/v2.0/token", request.url)
    end
  end)

  it("must be whole", function()
    complains("the environment's credential needs AZURE_TENANT_ID, too",
      { AZURE_CLIENT_SECRET = SECRET, AZURE_CLIENT_ID = "app" })
    complains("the environment's credential needs AZURE_CLIENT_ID, too",
      { AZURE_CLIENT_SECRET = SECRET, AZURE_TENANT_ID = "tenant" })
  end)

  it("does not go to the login host of another cloud", function()
    complains("AZURE_AUTHORITY_HOST: https://login.microsoftonline.us gives no tokens for the cloud 'global'",
      with(ACCOUNT, { AZURE_CLIENT_SECRET = SECRET, AZURE_AUTHORITY_HOST = "https://login.microsoftonline.us" }))
  end)

  it("does not go anywhere in plain http", function()
    complains("AZURE_AUTHORITY_HOST: plain http would show the credential to the network",
      with(ACCOUNT, { AZURE_CLIENT_SECRET = SECRET, AZURE_AUTHORITY_HOST = "http://login.example" }))
  end)
end)

describe("the address of a managed identity's service", function()
  local within
  setup(function() within = variables.open() end)
  teardown(variables.close)

  local function url_of(values)
    return within(values, function()
      local client = testing.client{ managed_identity = true, answers = { scripted.EMPTY } }
      client:alert_ips "da1"
      return testing.requests(client)[1].url
    end)
  end

  local function is_refused(variable, values)
    within(values, function() says(variable .. ": an https address expected", { managed_identity = true }) end)
  end

  it("is Azure's own link-local one", function()
    assert.equal("http://169.254.169.254/metadata/", url_of{}:sub(1, 32))
    assert.equal("http://169.254.169.254/metadata/",
      url_of{ AZURE_POD_IDENTITY_AUTHORITY_HOST = "http://169.254.169.254/" }:sub(1, 32))
  end)

  it("moves with AZURE_POD_IDENTITY_AUTHORITY_HOST: to loopback, or to https", function()
    for _, host in ipairs{ "http://127.0.0.1:4567", "http://localhost:80/x", "https://identity.example" } do
      local url = url_of{ AZURE_POD_IDENTITY_AUTHORITY_HOST = host }
      assert.equal(host .. "/metadata/identity/oauth2/token", url:match "^[^?]*")
    end
  end)

  it("is no other one in plain http", function()
    for _, host in ipairs{ "http://identity.example", "http://169.254.169.253", "http://169.254.169.254.example",
                           "http://169.254.169.254:80", "http://10.0.0.1", "ftp://127.0.0.1", "127.0.0.1" } do
      is_refused("AZURE_POD_IDENTITY_AUTHORITY_HOST", { AZURE_POD_IDENTITY_AUTHORITY_HOST = host })
    end
  end)

  it("is App Service's where that is named", function()
    for _, endpoint in ipairs{ "http://127.0.0.1:41741/MSI/token/", "http://169.254.129.4:8081/msi/token",
                               "http://localhost:42356/msi/token", "https://identity.example/token" } do
      local url = url_of{ IDENTITY_ENDPOINT = endpoint, IDENTITY_HEADER = SECRET }
      assert.equal(endpoint, url:match "^[^?]*")
      assert.equal("api-version=2019-08-01&resource=https%3A%2F%2Fapi.securitycenter.microsoft.com",
        url:match "%?(.*)$")
    end
  end)

  it("is not App Service's in plain http to anywhere", function()
    is_refused("IDENTITY_ENDPOINT", { IDENTITY_ENDPOINT = "http://10.0.0.1/msi/token", IDENTITY_HEADER = SECRET })
  end)

  it("is not App Service's with a header that would be two", function()
    within({ IDENTITY_ENDPOINT = "http://127.0.0.1:1/token", IDENTITY_HEADER = SECRET .. "\r\nX: y" }, function()
      says("IDENTITY_HEADER: characters that cannot stand in a header", { managed_identity = true })
    end)
  end)

  it("is not App Service's without its header", function()
    assert.truthy(url_of{ IDENTITY_ENDPOINT = "http://127.0.0.1:1/token" }:find "169.254.169.254")
  end)
end)

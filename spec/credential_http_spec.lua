-- Every credential over real HTTP and TLS, against the simulator's token endpoints.
local mde = require "mde"
local key_pair = require "spec.support.key_pair"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local with = require "spec.support.merged"
local variables = require "spec.support.variables"

local ALERT = "da637472900382838869_1364969609"

local space

local function open(credential)
  return mde.client(with({ base_url = simulator.url, ca_file = simulator.ca_file, rate_limit = false }, credential))
end

local function by_secret(more) return open(space:account(with({ client_secret = space.client_secret }, more))) end

local function assert_works(client)
  local ips, err = client:alert_ips(ALERT)
  assert.is_nil(err)
  assert.equal(2, #ips)
  local report = space:report()
  assert.equal(1, report.tokens.issued)
  assert.equal(0, report.tokens.refused)
  client:close()
  return report
end

local function failure_of(client)
  local ips, err = client:alert_ips(ALERT)
  assert.is_nil(ips)
  assert.equal("auth", err.kind)
  client:close()
  return err
end

setup(simulator.start)
before_each(function() space = simulator.namespace() end)

describe("a client secret", function()
  it("brings tokens", function()
    local report = assert_works(by_secret())
    assert.same({ "client_id", "client_secret", "grant_type", "scope" }, report.tokens.fields)
  end)

  it("may hold any characters", function()
    local secret = "a+b &c=d%20/~?#é\"'"
    space:register { secrets = { secret } }
    assert_works(by_secret { client_secret = secret })
  end)

  it("that is wrong is told what to do, and sent once", function()
    local client = by_secret { client_secret = "not-the-secret" }
    for _ = 1, 5 do
      local _, err = client:alert_ips(ALERT)
      assert.equal("auth", err.kind)
      assert.truthy(err.message:find("AADSTS7000215", 1, true), err.message)
      assert.truthy(err.message:find("Trace id: %x+%-"), err.message)
      assert.truthy(err.message:find("Give the secret's value, not its id.", 1, true), err.message)
      assert.is_nil(err.message:find("not-the-secret", 1, true))
    end
    assert.equal(1, space:report().tokens.refused)
    client:close()
  end)

  it("that has expired is told so", function()
    space:register { expired_secrets = { "old-secret" } }
    local err = failure_of(by_secret { client_secret = "old-secret" })
    assert.truthy(err.message:find("AADSTS7000222", 1, true), err.message)
    assert.truthy(err.message:find("Make a new secret", 1, true), err.message)
  end)

  it("of another app, tenant or scope is told so", function()
    local cases = {
      AADSTS700016 = { client_id = "00000000-0000-0000-0000-000000000000" },
      AADSTS90002 = { tenant_id = "nowhere" },
    }
    for number, changes in pairs(cases) do
      local err = failure_of(by_secret(changes))
      assert.truthy(err.message:find(number, 1, true), err.message)
    end
  end)

  it("goes over HTTP/2, too", function()
    local client = mde.client(space:account { client_secret = space.client_secret, base_url = simulator.h2_url,
      ca_file = simulator.ca_file, http_version = "2",
      authority = space:authority():gsub("^" .. simulator.url:gsub("%p", "%%%0"), simulator.h2_url) })
    assert_works(client)
  end)

  it("is never sent to a login host whose certificate is not trusted", function()
    local client = mde.client(space:account { client_secret = space.client_secret, base_url = simulator.url,
      ca_file = simulator.ca_file, authority = simulator.unknown_ca_url .. "/entra/" .. space.name })
    local _, err = client:alert_ips(ALERT)
    assert.equal("auth", err.kind)
    assert.truthy(err.message:find("Check the clock and, behind an inspecting proxy, ca_file", 1, true), err.message)
    assert.equal(0, space:report().tokens.issued)
    client:close()
  end)
end)

describe("a certificate", function()
  local pair, locked, other
  setup(function()
    pair, locked, other = key_pair.new { combined = true }, key_pair.new { password = "open-sesame" }, key_pair.new()
  end)
  teardown(function()
    for _, one in ipairs{ pair, locked, other } do one:remove() end
  end)

  for _, algorithm in ipairs{ "PS256", "RS256" } do
    it(("brings tokens by assertions that are signed %s"):format(algorithm), function()
      space:register { certificates = { pair.certificate } }
      local client = open(space:account { certificate = pair.certificate_file, signature_algorithm = algorithm })
      assert.same({ "client_assertion", "client_assertion_type", "client_id", "grant_type", "scope" },
        assert_works(client).tokens.fields)
    end)
  end

  it("may have its key in another file, locked by a passphrase", function()
    space:register { certificates = { locked.certificate } }
    assert_works(open(space:account { certificate = locked.certificate_file, private_key = locked.key_file,
      passphrase = "open-sesame" }))
  end)

  it("is signed for anew for each token", function()
    space:register { certificates = { pair.certificate } }
    local client = open(space:account { certificate = pair.certificate_file })
    for _ = 1, 3 do
      assert.truthy(client:alert_ips(ALERT))
      space:control { expire_tokens = true }
    end
    client:close()
    assert.equal(3, space:report().tokens.issued) -- the simulator takes no assertion twice
    assert.equal(0, space:report().tokens.refused)
  end)

  it("that the app registration does not know is told so", function()
    space:register { certificates = { pair.certificate } }
    local err = failure_of(open(space:account { certificate = other.certificate_file, private_key = other.key_file }))
    assert.truthy(err.message:find("AADSTS700027", 1, true), err.message)
    assert.truthy(err.message:find("Upload the certificate", 1, true), err.message)
  end)

  it("with a wrong passphrase is told so, and nothing is sent", function()
    local err = failure_of(open(space:account { certificate = locked.certificate_file, private_key = locked.key_file,
      passphrase = "wrong-passphrase" }))
    assert.truthy(err.message:find("it cannot be decrypted: the passphrase is wrong", 1, true), err.message)
    assert.is_nil(err.message:find("wrong-passphrase", 1, true))
    assert.is_nil(space:report().operations.token)
  end)

  it("takes in a certificate that has been replaced", function()
    local directory = shell.temporary_directory()
    local path = directory .. "/app.pem"
    local function install(one)
      shell.must(("umask 077 && cat %s %s > %s"):format(one.certificate_file, one.key_file, path))
    end
    space:register { certificates = { pair.certificate, other.certificate } }
    install(pair)
    local client = open(space:account { certificate = path })
    assert.truthy(client:alert_ips(ALERT))
    install(other)
    space:control { expire_tokens = true }
    assert.truthy(client:alert_ips(ALERT))
    client:close()
    shell.must("rm -rf " .. directory)
    assert.equal(2, space:report().tokens.issued)
  end)
end)

describe("a federated token", function()
  local directory
  before_each(function() directory = shell.temporary_directory() end)
  after_each(function() shell.must("rm -rf " .. directory) end)

  local function write(text)
    local file = assert(io.open(directory .. "/assertion", "wb"))
    file:write(text)
    file:close()
    shell.must("chmod 600 " .. directory .. "/assertion")
    return directory .. "/assertion"
  end

  it("is handed on as it is", function()
    space:register { federated_assertions = { "eyJhbGciOi.federated.c2ln" } }
    assert_works(open(space:account { federated_token_file = write "eyJhbGciOi.federated.c2ln\n" }))
  end)

  it("that fits no federated credential is told so", function()
    local err = failure_of(open(space:account { federated_token_file = write "eyJhbGciOi.unknown.c2ln" }))
    assert.truthy(err.message:find("AADSTS70021", 1, true), err.message)
    assert.truthy(err.message:find("federated credential", 1, true), err.message)
    assert.is_nil(err.message:find("eyJhbGciOi.unknown", 1, true))
  end)
end)

describe("a managed identity", function()
  local within
  setup(function() within = variables.open() end)
  teardown(variables.close)

  it("brings tokens from the machine's metadata service", function()
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }, function()
      assert_works(open { managed_identity = true })
    end)
  end)

  it("may be one of several", function()
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }, function()
      assert_works(open { managed_identity = space.client_id })
      local err = failure_of(open { managed_identity = "00000000-0000-0000-0000-000000000000" })
      assert.truthy(err.message:find("Identity not found", 1, true), err.message)
      assert.truthy(err.message:find("Check that the identity is assigned to this machine", 1, true), err.message)
    end)
  end)

  it("waits while the metadata service starts", function()
    space:fault { operation = "token", id = "imds", status = 404, times = 2 }
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }, function()
      assert.truthy(open { managed_identity = true }:alert_ips(ALERT))
    end)
  end)

  it("brings tokens from App Service", function()
    local endpoint, header = space:identity_endpoint()
    within({ IDENTITY_ENDPOINT = endpoint, IDENTITY_HEADER = header }, function()
      assert_works(open { managed_identity = true })
    end)
  end)

  it("is refused by App Service without its secret, which is not shown", function()
    local endpoint = space:identity_endpoint()
    within({ IDENTITY_ENDPOINT = endpoint, IDENTITY_HEADER = "not-the-header" }, function()
      local err = failure_of(open { managed_identity = true })
      assert.is_nil(err.message:find("not-the-header", 1, true))
    end)
  end)

  it("is asked for past any proxy", function()
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }, function()
      local client = open { managed_identity = true, proxy = "http://127.0.0.1:1", no_proxy = "", max_attempts = 1 }
      local _, err = client:alert_ips(ALERT)
      assert.equal("network", err.kind) -- the API is asked by the proxy, which is not there
      assert.equal(1, space:report().tokens.issued)
      client:close()
    end)
  end)

  it("where there is no such service says so soon", function()
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = "http://127.0.0.1:1" }, function()
      local err = failure_of(open { managed_identity = true, max_attempts = 1 })
      assert.is_true(err.retryable)
      assert.truthy(err.message:find("Does this machine have a managed identity?", 1, true), err.message)
    end)
  end)

  it("is not what credential = 'environment' comes to where there is a certificate, locked by a passphrase", function()
    local pair = key_pair.new { combined = true, password = "open-sesame" }
    space:register { certificates = { pair.certificate } }
    within({
      AZURE_TENANT_ID = space.tenant_id, AZURE_CLIENT_ID = space.client_id, AZURE_AUTHORITY_HOST = space:authority(),
      AZURE_CLIENT_CERTIFICATE_PATH = pair.certificate_file, AZURE_CLIENT_CERTIFICATE_PASSWORD = "open-sesame",
    }, function()
      assert.same({ "client_assertion", "client_assertion_type", "client_id", "grant_type", "scope" },
        assert_works(open { credential = "environment" }).tokens.fields)
    end)
    pair:remove()
  end)

  it("is what credential = 'environment' comes to in the end", function()
    within({ AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }, function()
      assert_works(open { credential = "environment" })
    end)
  end)
end)

describe("renewal over HTTP", function()
  it("answers 200 calls across 20 expiries at concurrency 16, with one fetch for each", function()
    space:control { limits = false }
    local client = by_secret { concurrency = 16 }
    assert.truthy(client:alert_ips(ALERT))
    for _ = 1, 20 do
      local calls = {}
      for i = 1, 10 do calls[i] = client:start("alert_ips", ALERT) end
      space:control { expire_tokens = true }
      repeat until client:step(5) == 0
      for _, call in ipairs(calls) do assert.equal(2, #assert(call:result())) end
    end
    local report = space:report()
    assert.equal(21, report.tokens.issued)
    assert.equal(0, report.tokens.refused)
    assert.equal(1, report.operations.token.largest_in_flight)
    assert.equal(21, client:stats().tokens)
    assert.equal(0, client:stats().errors)
    client:close()
  end)

  it("has no call fail while the token endpoint does, as long as the old token lives", function()
    space:control { limits = false, token = { lifetime = 10 } }
    local client = by_secret { max_attempts = 1 }
    assert.truthy(client:alert_ips(ALERT))
    shell.must "sleep 1.2"
    space:fault { operation = "token", status = 503, times = 1000 }
    local deadline = os.time() + 6
    while os.time() < deadline do
      local ips, err = client:alert_ips(ALERT)
      assert.is_nil(err)
      assert.equal(2, #ips)
    end
    client:close()
  end)

  it("obeys the token endpoint's own limits", function()
    space:control { token = { limits = { [1] = 1 } } }
    local client = by_secret()
    assert.truthy(client:alert_ips(ALERT))
    space:control { expire_tokens = true }
    assert.truthy(client:alert_ips(ALERT))
    assert.equal(0, client:stats().throttled)
    assert.equal(2, space:report().tokens.issued)
    client:close()
  end)

  it("goes on by the steps of somebody else's loop", function()
    local client = by_secret()
    local call = client:start("alert_ips", ALERT)
    client:step()
    local descriptors, due = client:pollable()
    assert.is_true(#descriptors > 0 or due ~= nil)
    repeat until client:step(5) == 0
    assert.equal(2, #call:result())
    client:close()
  end)

  it("that is under way when the client is closed leaves nothing", function()
    space:control { token = { delay = 0.5 } }
    local client = by_secret()
    local call = client:start("alert_ips", ALERT)
    client:step(0.1)
    client:close()
    assert.equal("closed", select(2, call:result()).kind)
  end)
end)

describe("a token that the API does not take", function()
  it("has its 401 explained by the audience that was asked for", function()
    local client = by_secret { scope = "https://api.security.microsoft.com/.default" }
    local _, err = client:alert_ips(ALERT)
    assert.same({ "auth", 401 }, { err.kind, err.status })
    assert.truthy(err.message:find("its audience must be https://api.security.microsoft.com.", 1, true), err.message)
    assert.equal(2, space:report().tokens.issued) -- one more was tried
    client:close()
  end)

  it("has its 403 explained by the permissions that it lacks", function()
    space:register { roles = { "Alert.Read.All" } }
    local err = failure_of(by_secret())
    assert.equal(403, err.status)
    assert.truthy(err.message:find("The token has only Alert.Read.All; this call needs the permission Ip.Read.All",
      1, true), err.message)
  end)
end)

-- Who is trusted with the token: nobody whose certificate is not beyond doubt, and nothing is sent to others.

local background = require "spec.support.background"
local child = require "spec.support.child"
local connect = require "spec.support.connect"
local mde = require "mde"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"

describe("TLS", function()
  local space, client

  setup(simulator.start)

  before_each(function() space = simulator.namespace() end)

  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function attempt_events(list)
    return function(event)
      if event.kind == "attempt" then list[#list + 1] = event end
    end
  end

  -- The call must fail as TLS does: nothing sent, tried once.
  local function refuses(options)
    local attempts = {}
    options.on_event = attempt_events(attempts)
    client = connect(space, options)
    local result, err = client:alert_ips(ALERT)
    assert.is_nil(result)
    assert.same({ "tls", 0, false }, { err.kind, err.attempts, err.retryable })
    assert.is_nil(err.status)
    assert.equal(1, #attempts)
    assert.same({}, space:requests())
    assert.equal(0, client:stats().attempts)
    return err
  end

  describe("refuses", function()
    for name, words in pairs {
      unknown_ca_url = "certificate", wrong_host_url = "subject name", expired_url = "expired",
    } do
      it("a certificate that is wrong: " .. name:gsub("_url", ""):gsub("_", " "), function()
        local err = refuses { base_url = simulator[name] }
        assert.truthy(err.message:find(words, 1, true), err.message)
        assert.truthy(err.message:find("no trusted connection to " .. simulator[name], 1, true))
        assert.truthy(err.message:find "ca_file")
      end)
    end

    it("everybody when the ca_file is missing", function()
      local err = refuses { ca_file = simulator.ca_file .. ".missing" }
      assert.truthy(err.message:find("ca.pem.missing", 1, true), err.message)
    end)

    it("everybody when the ca_file holds no certificate", function()
      refuses { ca_file = simulator.directory .. "/env" }
    end)

    it("a service that is not of the ca_file's authority", function()
      refuses { ca_file = simulator.directory .. "/expired.pem" }
    end)

    it("a service that speaks no TLS", function()
      local err = refuses { base_url = (simulator.http_url:gsub("^http", "https")) }
      assert.truthy(err.message:find "no trusted connection")
    end)
  end)

  it("works again with the right service after a refusal", function()
    refuses { base_url = simulator.expired_url }
    client:close()
    client = connect(space)
    assert.equal(2, #client:alert_ips(ALERT))
  end)

  it("takes the certificate's other names", function()
    client = connect(space, { base_url = (simulator.url:gsub("127.0.0.1", "localhost")) })
    assert.equal(2, #client:alert_ips(ALERT))
  end)

  it("cannot be switched off", function()
    for _, name in ipairs { "verify", "insecure", "verify_peer", "ssl_verify" } do
      assert.has_error(function() mde.client { token = "token-of-spec", [name] = false } end)
    end
  end)

  describe("authorities", function()
    -- What a client without ca_file (or with it) makes of the simulator in a process with this environment.
    local function outcome(environment, ca_file)
      for _, name in ipairs { "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR" } do
        environment[name] = environment[name] or false
      end
      return child.run([[
        local given = ...
        local client = require("mde").client {
          base_url = given.url, token = given.token, ca_file = given.ca_file, proxy = "",
        }
        local ips, err = client:alert_ips(given.id)
        return ips and #ips or err.kind
      ]], { url = simulator.url, token = space.token, id = ALERT, ca_file = ca_file }, environment)
    end

    it("are those of CURL_CA_BUNDLE", function()
      assert.equal(2, outcome { CURL_CA_BUNDLE = simulator.ca_file })
    end)

    it("are those of SSL_CERT_FILE where there is no CURL_CA_BUNDLE", function()
      assert.equal(2, outcome { SSL_CERT_FILE = simulator.ca_file })
      assert.equal(2, outcome { SSL_CERT_FILE = simulator.ca_file, CURL_CA_BUNDLE = "" })
    end)

    it("are those of CURL_CA_BUNDLE where both are set", function()
      assert.equal(2, outcome { CURL_CA_BUNDLE = simulator.ca_file, SSL_CERT_FILE = "/nowhere" })
      assert.equal("tls", outcome { CURL_CA_BUNDLE = "/nowhere", SSL_CERT_FILE = simulator.ca_file })
    end)

    it("are the system's where neither is set, which does not know the simulator", function()
      assert.equal("tls", outcome {})
    end)

    it("are those of the ca_file whatever the environment says", function()
      assert.equal(2, outcome({ CURL_CA_BUNDLE = "/nowhere", SSL_CERT_FILE = "/nowhere" }, simulator.ca_file))
      assert.equal("tls", outcome({ CURL_CA_BUNDLE = simulator.ca_file }, simulator.directory .. "/expired.pem"))
    end)

    it("are read from the environment when the client is made, not later", function()
      local got = child.run([[
        local given = ...
        local options = { base_url = given.url, token = given.token, proxy = "" }
        local client = require("mde").client(options)
        assert(os.rename(given.file, given.file .. ".moved"))
        local _, err = client:alert_ips(given.id)
        assert(os.rename(given.file .. ".moved", given.file))
        return { kind = err and err.kind, after = #client:alert_ips(given.id) }
      ]], { url = simulator.url, token = space.token, id = ALERT, file = simulator.ca_file },
        { CURL_CA_BUNDLE = simulator.ca_file })
      assert.same({ kind = "tls", after = 2 }, got)
    end)
  end)

  describe("version", function()
    local server, url, configuration

    -- OpenSSL's own settings forbid old versions, too. Here they allow them, so that it is up to us.
    setup(function()
      configuration = os.tmpname()
      local file = assert(io.open(configuration, "w"))
      file:write [[
openssl_conf = initial
[initial]
ssl_conf = configured
[configured]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
]]
      file:close()
    end)

    teardown(function() os.remove(configuration) end)

    after_each(function()
      if server then server:stop() end
      server = nil
    end)

    local function serve(version)
      local line
      -- s_server does not mind the end of its input.
      server, line = background.start(("OPENSSL_CONF=%s openssl s_server -accept 127.0.0.1:0 -%s -www"
        .. " -cipher ALL:@SECLEVEL=0 -cert %s/server.pem -key %s/server.key & read line; kill $!")
        :format(configuration, version, simulator.directory, simulator.directory), "ACCEPT")
      url = "https://127.0.0.1:" .. line:match ":(%d+)"
    end

    -- What another client that does not mind is told.
    local function curl_connects()
      return (shell.run(("OPENSSL_CONF=%s curl --silent --noproxy '*' --tlsv1.0 --cacert %s --output /dev/null %s")
        :format(configuration, simulator.ca_file, url)))
    end

    local function kind_of_failure()
      return child.run([[
        local given = ...
        local client = require("mde").client {
          base_url = given.url, token = "token-of-spec", ca_file = given.ca_file, proxy = "", max_attempts = 1,
        }
        local result, err = client:alert_ips "da1"
        assert(not result)
        return err.kind .. " " .. err.attempts
      ]], { url = url, ca_file = simulator.ca_file }, { OPENSSL_CONF = configuration })
    end

    for version, name in pairs { tls1 = "1.0", tls1_1 = "1.1" } do
      it(name .. " is refused", function()
        serve(version)
        if not curl_connects() then
          pending("this OpenSSL no longer offers TLS " .. name)
          return
        end
        assert.equal("tls 0", kind_of_failure())
      end)
    end

    for version, name in pairs { tls1_2 = "1.2", tls1_3 = "1.3" } do
      it(name .. " is accepted", function()
        serve(version)
        assert.is_true(curl_connects())
        assert.equal("json 1", kind_of_failure()) -- it was asked, and answered with a page of its own
      end)
    end
  end)

  describe("plain http", function()
    it("is accepted for loopback addresses", function()
      for _, host in ipairs { "localhost", "127.0.0.1", "127.8.9.10", "[::1]" } do
        mde.client({ token = "token-of-spec", base_url = "http://" .. host .. ":1" }):close()
      end
    end)

    for _, host in ipairs {
      "api.security.microsoft.com", "192.0.2.1", "10.0.0.1", "0.0.0.0", "[::2]", "[::ffff:192.0.2.1]", "128.0.0.1",
      "127.0.0.1.example.com", "localhost.example.com", "127.1", "2130706433", "127.0.0.1@example.com",
      "example.com#127.0.0.1", "localhost\\@example.com", "", "127.0.0.256", "127.00.0.1",
      "0177.0.0.1", "localhost.", "LOCALHOST",
    } do
      it("is refused for '" .. host .. "'", function()
        local ok, message = pcall(function()
          mde.client { token = "token-of-spec", base_url = "http://" .. host }
        end)
        assert.is_false(ok)
        assert.truthy(message:find "bad argument #1 to 'client' %(option 'base_url': ")
        assert.falsy(message:find("token-of-spec", 1, true))
      end)
    end

    it("is refused in every other scheme", function()
      for _, url in ipairs { "ftp://127.0.0.1", "file:///etc/passwd", "127.0.0.1", "//127.0.0.1", "HTTP//127.0.0.1" } do
        assert.has_error(function() mde.client { token = "token-of-spec", base_url = url } end)
      end
    end)
  end)
end)

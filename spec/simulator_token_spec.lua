-- The simulator's token endpoints, with a client that is not ours: curl, and openssl for what is signed.
local cjson = require "cjson"
local curl = require "spec.support.curl"
local key_pair = require "spec.support.key_pair"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local IPS = "/api/alerts/da637472900382838869_1364969609/ips"

local RESOURCE = "https://api.securitycenter.microsoft.com"

local function overlaid(base, changes)
  for name, value in pairs(changes or {}) do base[name] = value end
  return base
end

-- As `overlaid`, and what is false is not there.
local function merged(base, changes)
  for name, value in pairs(overlaid(base, changes)) do base[name] = value or nil end
  return base
end

describe("the simulator's token endpoints #simulator", function()
  local space

  setup(simulator.start)

  before_each(function() space = simulator.namespace() end)

  local function token_url(tenant)
    return ("%s/%s/oauth2/v2.0/token"):format(space:authority(), tenant or space.tenant_id)
  end

  local function simulator_seconds() return space:report().seconds end

  -- `changes` of the fields; false takes one away.
  local function entra(changes, url)
    return curl.post(url or token_url(), { ca_file = simulator.ca_file, form = merged({
      grant_type = "client_credentials", client_id = space.client_id, client_secret = space.client_secret,
      scope = space.scope,
    }, changes) })
  end

  local function issued(changes) return entra(changes).json.access_token end

  local function claims_of(token)
    local text = token:match "^[^.]+%.([^.]+)%.":gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
    local command = "printf %s " .. shell.quote(text .. ("="):rep(-#text % 4)) .. " | openssl base64 -d -A"
    return cjson.decode(shell.must(command))
  end

  local function get_ips(token)
    return curl.get(simulator.url .. IPS, { ca_file = simulator.ca_file, token = token })
  end

  local function refused(status, kind, code, answer)
    assert.equal(status, answer.status)
    assert.equal(kind, answer.json.error)
    assert.same({ code }, answer.json.error_codes)
    assert.truthy(answer.json.error_description:find(
      ("^AADSTS%d: .+ Trace ID: %s Correlation ID: %s Timestamp: "):format(code, ("[%x-]+"), "[%x-]+")))
  end

  describe("Entra ID with a secret", function()
    it("issues a token that the API takes", function()
      local answer = entra()
      assert.equal(200, answer.status)
      assert.equal("Bearer", answer.json.token_type)
      assert.equal(3599, answer.json.expires_in)
      assert.equal(3599, answer.json.ext_expires_in)
      assert.equal(200, get_ips(answer.json.access_token).status)
    end)

    it("takes registered secrets, whatever is in them", function()
      space:register { secrets = { "a+b &c=d%20/~" } }
      assert.equal(200, entra { client_secret = "a+b &c=d%20/~" }.status)
      assert.equal(200, entra().status)
    end)

    it("puts into it what the service does", function()
      space:register { roles = { "Ip.Read.All" } }
      local claims = claims_of(issued())
      assert.equal(RESOURCE, claims.aud)
      assert.equal(space.tenant_id, claims.tid)
      assert.equal(space.client_id, claims.appid)
      assert.same({ "Ip.Read.All" }, claims.roles)
      assert.near(os.time() + 3599, claims.exp, 60)
      assert.is_true(claims.iat <= os.time() and claims.nbf <= os.time())
    end)

    it("is at the host's root for the namespace without a name, as it is shown in the foreground", function()
      local answer = entra({}, ("%s/%s/oauth2/v2.0/token"):format(simulator.url, space.tenant_id))
      assert.equal(200, answer.status)
      local text = shell.read "spec/simulator/foreground.txt" .. shell.read "spec/simulator/README.md"
      for _, name in ipairs { "tenant_id", "client_id", "client_secret", "scope" } do
        local _, count = text:gsub(space[name]:gsub("%p", "%%%0"), "")
        assert.is_true(count >= 2, name)
      end
    end)

    it("speaks HTTP/2", function()
      assert.equal(200, entra({}, token_url():gsub("^" .. simulator.url:gsub("%p", "%%%0"), simulator.h2_url)).status)
    end)

    it("takes POST and a form only", function()
      refused(400, "invalid_request", 900561, curl.get(token_url(), { ca_file = simulator.ca_file }))
      refused(400, "invalid_request", 900144, curl.post(token_url(), {
        ca_file = simulator.ca_file, headers = { ["Content-Type"] = "application/json" }, form = { client_id = "x" },
      }))
    end)

    it("refuses in the service's words", function()
      space:register { expired_secrets = { "old" } }
      refused(401, "invalid_client", 7000215, entra { client_secret = "wrong" })
      refused(401, "invalid_client", 7000222, entra { client_secret = "old" })
      refused(401, "invalid_client", 7000218, entra { client_secret = false })
      refused(400, "unauthorized_client", 700016, entra { client_id = "other" })
      refused(400, "invalid_request", 90002, entra({}, token_url "other"))
      refused(400, "invalid_scope", 70011, entra { scope = "https://api.securitycenter.microsoft.com/Alert.Read" })
      refused(400, "unsupported_grant_type", 70003, entra { grant_type = "password" })
    end)

    it("names the parameter that is missing", function()
      for _, name in ipairs { "grant_type", "client_id", "scope" } do
        local answer = entra { [name] = false }
        refused(400, "invalid_request", 900144, answer)
        assert.truthy(answer.json.error_description:find("'" .. name .. "'", 1, true))
      end
    end)
  end)

  describe("Entra ID with an assertion", function()
    local pair, other, number = nil, nil, 0

    setup(function() pair, other = key_pair.new(), key_pair.new{ password = "a b", combined = true } end)
    teardown(function()
      pair:remove()
      other:remove()
    end)

    local function send(assertion, changes)
      return entra(overlaid({
        client_secret = false, client_assertion = assertion,
        client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      }, changes))
    end

    local function claims_with(changes)
      number = number + 1
      return merged({
        aud = token_url(), iss = space.client_id, sub = space.client_id, jti = "jti-" .. number,
        nbf = os.time() - 10, exp = os.time() + 500,
      }, changes)
    end

    -- `header` changes the default one, as `claims` do.
    local function assertion(header, claims, signer)
      header = merged({ alg = "RS256", typ = "JWT", x5t = pair:thumbprint "sha1" }, header)
      local signed = key_pair.base64url(cjson.encode(header)) .. "."
        .. key_pair.base64url(cjson.encode(claims_with(claims)))
      return signed .. "." .. (signer or pair):sign(header.alg, signed)
    end

    before_each(function() space:register { certificates = { pair.certificate } } end)

    it("takes both signatures and both thumbprints", function()
      local sha256 = pair:thumbprint "sha256"
      for _, alg in ipairs { "RS256", "PS256" } do
        local answer = send(assertion { alg = alg })
        assert.equal(200, answer.status)
        assert.equal(200, get_ips(answer.json.access_token).status)
        assert.equal(200, send(assertion { alg = alg, x5t = false, ["x5t#S256"] = sha256 }).status)
      end
    end)

    it("takes certificate and encrypted key out of one file", function()
      space:register { certificates = { shell.read(other.certificate_file) } }
      assert.equal(200, send(assertion({ x5t = other:thumbprint "sha1" }, {}, other)).status)
    end)

    it("refuses what the certificate has not signed", function()
      refused(401, "invalid_client", 700027, send(assertion({}, {}, other)))
      refused(401, "invalid_client", 700027, send(assertion { x5t = other:thumbprint "sha1" }))
      refused(401, "invalid_client", 700027, send(assertion { ["x5t#S256"] = other:thumbprint "sha256" }))
      local good = assertion()
      local header, claims, signature = good:match "^(.-)%.(.-)%.(.-)$"
      local changed = key_pair.base64url(cjson.encode(claims_with()))
      refused(401, "invalid_client", 700027, send(header .. "." .. changed .. "." .. signature))
      local pss = key_pair.base64url(cjson.encode { alg = "PS256", x5t = pair:thumbprint "sha1" })
      refused(401, "invalid_client", 700027, send(pss .. "." .. claims .. "." .. signature))
      local none = key_pair.base64url(cjson.encode { alg = "none", x5t = pair:thumbprint "sha1" })
      refused(401, "invalid_client", 700027, send(none .. "." .. claims .. "." .. signature))
      assert.equal(200, send(good).status)
    end)

    it("refuses one outside its time", function()
      local now = os.time()
      refused(401, "invalid_client", 700024, send(assertion({}, { exp = now - 1, nbf = now - 300 })))
      refused(401, "invalid_client", 700024, send(assertion({}, { exp = now + 300, nbf = now + 60 })))
      refused(401, "invalid_client", 700024, send(assertion({}, { exp = now + 595, nbf = now - 10 })))
    end)

    it("refuses other names, and claims that are missing", function()
      refused(401, "invalid_client", 700021, send(assertion({}, { iss = "other" })))
      refused(401, "invalid_client", 700021, send(assertion({}, { sub = false })))
      refused(401, "invalid_client", 700023, send(assertion({}, { aud = simulator.url })))
      refused(400, "invalid_request", 50027, send(assertion({}, { jti = false })))
      refused(400, "invalid_request", 50027, send(assertion({}, { nbf = false })))
    end)

    it("takes each but once", function()
      local once = assertion()
      assert.equal(200, send(once).status)
      refused(401, "invalid_client", 50013, send(once))
    end)

    it("takes another issuer's where it is registered", function()
      refused(401, "invalid_client", 70021, send "of a cluster")
      space:register { federated_assertions = { "of a cluster" } }
      assert.equal(200, send("of a cluster").status)
      assert.equal(200, send("of a cluster").status)
      refused(401, "invalid_client", 70021, send(assertion { x5t = false }))
      refused(400, "invalid_request", 900144, send("of a cluster", { client_assertion_type = false }))
    end)

    it("registers nothing that is no certificate", function()
      assert.error_matches(function() space:register { certificates = { "none" } } end, "no certificate in PEM")
    end)

    it("leaves nothing behind that nginx would complain about", function()
      assert.is_nil(shell.read(simulator.directory .. "/error.log"):find("SSL error", 1, true))
    end)
  end)

  local function with_query(url, fields)
    local words = {}
    for name, value in pairs(fields) do words[#words + 1] = name .. "=" .. value end
    return url .. "?" .. table.concat(words, "&")
  end

  describe("a virtual machine's metadata service", function()
    local function imds(changes, headers)
      local url = space:imds_host() .. "/metadata/identity/oauth2/token"
      return curl.get(with_query(url, merged({ ["api-version"] = "2018-02-01", resource = RESOURCE }, changes)),
        { headers = headers or { Metadata = "true" } })
    end

    it("issues a token, with text for numbers", function()
      local answer = imds()
      assert.equal(200, answer.status)
      assert.equal("3599", answer.json.expires_in)
      assert.near(os.time() + 3599, tonumber(answer.json.expires_on), 5)
      assert.equal("string", type(answer.json.expires_on))
      assert.equal("string", type(answer.json.not_before))
      assert.equal(RESOURCE, answer.json.resource)
      assert.equal("Bearer", answer.json.token_type)
      assert.equal(space.client_id, answer.json.client_id)
      assert.equal(200, get_ips(answer.json.access_token).status)
      assert.equal(200, imds{ client_id = space.client_id }.status)
    end)

    it("refuses what no program on the machine sends", function()
      assert.equal(400, imds({}, {}).status)
      assert.equal(400, imds({}, { Metadata = "true", ["X-Forwarded-For"] = "192.0.2.1" }).status)
      assert.equal(400, imds{ ["api-version"] = false }.status)
      assert.equal(400, imds{ ["api-version"] = "2017-01-01" }.status)
      assert.equal(400, imds{ resource = false }.status)
    end)

    it("knows its own identity only", function()
      local answer = imds { client_id = "other" }
      assert.equal(400, answer.status)
      assert.same({ error = "invalid_request", error_description = "Identity not found" }, answer.json)
    end)
  end)

  describe("App Service", function()
    local function app_service(changes, header)
      local url, value = space:identity_endpoint()
      return curl.get(with_query(url, merged({ ["api-version"] = "2019-08-01", resource = RESOURCE }, changes)),
        { headers = { ["X-IDENTITY-HEADER"] = header or value } })
    end

    it("issues a token and tells when it ends", function()
      local answer = app_service()
      assert.equal(200, answer.status)
      assert.is_nil(answer.json.expires_in)
      assert.equal("string", type(answer.json.expires_on))
      assert.near(os.time() + 3599, tonumber(answer.json.expires_on), 5)
      assert.equal(200, get_ips(answer.json.access_token).status)
      assert.equal(200, app_service{ client_id = space.client_id }.status)
    end)

    it("refuses another header, version and identity", function()
      assert.equal(401, app_service({}, "wrong").status)
      assert.equal(400, app_service{ ["api-version"] = "2017-09-01" }.status)
      assert.equal(400, app_service{ resource = false }.status)
      assert.equal(400, app_service{ client_id = "other" }.status)
    end)
  end)

  describe("as it is steered", function()
    it("lets so many token requests through", function()
      space:control { token = { limits = { [1000] = 2 } } }
      assert.equal(200, entra().status)
      assert.equal(200, entra().status)
      local answer = entra()
      refused(429, "temporarily_unavailable", 90055, answer)
      assert.near(1000, tonumber(answer.headers["retry-after"]), 60)
      space:control { token = { limits = false } }
      assert.equal(200, entra().status)
    end)

    it("counts the API's calls apart", function()
      space:control { limits = { [60] = 1 } }
      local token = issued()
      assert.equal(200, entra().status)
      assert.equal(200, get_ips(token).status)
      assert.equal(429, get_ips(token).status)
    end)

    it("takes its time", function()
      space:control { token = { delay = 0.2 } }
      local before = simulator_seconds()
      entra()
      assert.is_true(simulator_seconds() - before >= 0.2)
    end)

    it("fails when asked to", function()
      space:fault { status = 500 }
      assert.equal(200, entra().status)
      space:fault { operation = "token", id = "imds", status = 500 }
      assert.equal(200, entra().status)
      space:fault { operation = "token", id = "entra", status = 503, headers = { ["Retry-After"] = "7" } }
      local answer = entra()
      refused(503, "temporarily_unavailable", 90033, answer)
      assert.equal("7", answer.headers["retry-after"])
      space:fault { operation = "token", body = "<html>", status = 502 }
      assert.equal("<html>", entra().body)
      space:fault { operation = "token", status = 400, code = "invalid_grant", message = "no" }
      assert.same({ error = "invalid_grant", error_description = "no" }, entra().json)
    end)

    it("reports what it was asked, without secrets", function()
      entra()
      entra { client_secret = "wrong" }
      local report = space:report()
      assert.equal(1, report.tokens.issued)
      assert.equal(1, report.tokens.refused)
      assert.same({ "client_id", "client_secret", "grant_type", "scope" }, report.tokens.fields)
      assert.equal(2, report.operations.token.requests)
      assert.equal(1, report.operations.token.largest_in_flight)
      assert.equal("entra", report.requests[1].id)
      assert.same(report.tokens.fields, report.requests[1].fields)
    end)

    it("reports how many ask at once", function()
      space:control { token = { delay = 0.5 } }
      local form = "client_id=" .. space.client_id
      shell.must(("curl --silent --noproxy '*' --cacert %s --parallel --parallel-immediate --data %s '%s?n=[1-3]'")
        :format(shell.quote(simulator.ca_file), shell.quote(form), token_url()))
      assert.equal(3, space:report().operations.token.largest_in_flight)
    end)

    it("tells an issued token by its number", function()
      issued()
      get_ips(issued())
      assert.equal("2", space:requests()[3].token_suffix)
    end)

    it("says what it does not understand", function()
      assert.error_matches(function() space:control { token = { life = 1 } } end, "no token setting 'life'")
      assert.error_matches(function() space:register { passwords = {} } end, "nothing called 'passwords'")
    end)
  end)

  describe("the API", function()
    it("wants a token for itself", function()
      assert.equal(401, get_ips(issued { scope = "https://graph.microsoft.com/.default" }).status)
      assert.equal(200, get_ips(issued { scope = "https://api.securitycenter.microsoft.com//.default" }).status)
    end)

    it("takes a token while it lives", function()
      space:control { token = { lifetime = 0 } }
      local answer = entra()
      assert.equal(0, answer.json.expires_in)
      assert.equal(401, get_ips(answer.json.access_token).status)
      space:control { token = { lifetime = 86400 } }
      answer = entra()
      assert.equal(86400, answer.json.expires_in)
      assert.equal(200, get_ips(answer.json.access_token).status)
    end)

    it("takes no more what was issued before an end was put to it", function()
      local token = issued()
      space:control { expire_tokens = true }
      assert.equal(401, get_ips(token).status)
      assert.equal(200, get_ips(issued()).status)
      assert.equal(200, get_ips(space.token).status)
    end)

    it("wants one of the operation's roles", function()
      space:register { roles = { "Alert.Read.All", "Ip.Read.All" } }
      local token = issued()
      space:register { roles = { "Alert.Read.All" } }
      assert.equal(200, get_ips(token).status)
      local answer = get_ips(issued())
      assert.equal(403, answer.status)
      assert.truthy(answer.json.error.message:find("application roles: Alert.Read.All.", 1, true))
      space:register { roles = {} }
      assert.equal(403, get_ips(issued()).status)
    end)
  end)
end)

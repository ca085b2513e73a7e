-- The simulator's token endpoints, with a client that is not ours: curl, and openssl for what is signed.
local curl = require "spec.support.curl"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local IPS = "/api/alerts/da637472900382838869_1364969609/ips"

local RESOURCE = "https://api.securitycenter.microsoft.com"

local function merged(...)
  local all = {}
  for _, each in ipairs { ... } do
    for name, value in pairs(each) do all[name] = value or nil end
  end
  return all
end

describe("the simulator's token endpoints", function()
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
    }, changes or {}) })
  end

  local function issued(changes) return entra(changes).json.access_token end

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

  local function with_query(url, fields)
    local words = {}
    for name, value in pairs(fields) do words[#words + 1] = name .. "=" .. value end
    return url .. "?" .. table.concat(words, "&")
  end

  describe("a virtual machine's metadata service", function()
    local function imds(changes, headers)
      local url = space:imds_host() .. "/metadata/identity/oauth2/token"
      return curl.get(with_query(url, merged({ ["api-version"] = "2018-02-01", resource = RESOURCE }, changes or {})),
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
      return curl.get(with_query(url, merged({ ["api-version"] = "2019-08-01", resource = RESOURCE }, changes or {})),
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
      space:control { token = { limits = { [10] = 2 } } }
      assert.equal(200, entra().status)
      assert.equal(200, entra().status)
      local answer = entra()
      refused(429, "temporarily_unavailable", 90055, answer)
      assert.near(10, tonumber(answer.headers["retry-after"]), 1)
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
      space:control { token = { delay = 0.5 } }
      local before = simulator_seconds()
      entra()
      assert.is_true(simulator_seconds() - before >= 0.5)
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
      space:control { token = { delay = 0.3 } }
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
      space:control { token = { lifetime = 1 } }
      local token = issued()
      assert.equal(200, get_ips(token).status)
      os.execute "sleep 1.1"
      assert.equal(401, get_ips(token).status)
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

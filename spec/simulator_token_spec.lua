-- The simulator's token endpoints, with a client that is not ours: curl, and openssl for what is signed.
local curl = require "spec.support.curl"
local simulator = require "spec.support.simulator"

local IPS = "/api/alerts/da637472900382838869_1364969609/ips"

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

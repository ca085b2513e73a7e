-- The main job, over real HTTP and TLS.

local cjson = require "cjson"
local connect = require "spec.support.connect"
local mde = require "mde"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"

local function ids(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = item.id end
  return list
end

describe("alert_ips", function()
  local space, client

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
    client = connect(space)
  end)

  after_each(function() client:close() end)

  -- Makes `client` anew with these options.
  local function reconnect(options)
    client:close()
    client = connect(space, options)
  end

  for name, expected in pairs {
    url = { "HTTP/1.1", "https" }, h2_url = { "HTTP/2.0", "https" }, http_url = { "HTTP/1.1", "http" },
  } do
    it("returns the alert's addresses by " .. expected[1] .. " over " .. expected[2], function()
      reconnect { base_url = simulator[name], http_version = name == "h2_url" and "2" or "1.1" }
      assert.same({ { id = "104.80.104.128" }, { id = "23.203.232.228" } }, client:alert_ips(ALERT))
      local request = space:requests()[1]
      assert.same({ "GET", "/api/alerts/" .. ALERT .. "/ips", expected[1], expected[2] },
        { request.method, request.raw_uri, request.http_version, request.scheme })
    end)
  end

  it("speaks HTTP/1.1 unless told otherwise, and HTTP/2 only where it is offered", function()
    local one_of = { base_url = simulator.h2_url, ca_file = simulator.ca_file, token = space.token, proxy = "" }
    local by_default = mde.client(one_of)
    assert.equal(2, #by_default:alert_ips(ALERT))
    by_default:close()
    for _, name in ipairs { "url", "http_url" } do
      reconnect { base_url = simulator[name], http_version = "2" }
      assert.equal(2, #client:alert_ips(ALERT))
    end
    for _, request in ipairs(space:requests()) do assert.equal("HTTP/1.1", request.http_version) end
  end)

  it("returns an empty table when there are none", function()
    assert.same({}, client:alert_ips "da637594113580412977_1905837754")
  end)

  it("returns IPv6 addresses as they are", function()
    assert.same({ "23.203.232.228", "198.51.100.7", "2001:db8:85a3::8a2e:370:7334" },
      ids(client:alert_ips "da637308392288907382_-880718168"))
  end)

  it("keeps fields that it does not know", function()
    space:fault { body = [[{"@odata.context":"x","@odata.count":1,"unknown":{"a":[1]},
      "value":[{"id":"192.0.2.1","reputation":{"score":0.5,"tags":["a","b"],"seen":null},"new":true}]}]] }
    local reputation = { score = 0.5, tags = { "a", "b" }, seen = mde.null }
    assert.same({ { id = "192.0.2.1", reputation = reputation, new = true } }, client:alert_ips(ALERT))
  end)

  it("takes options of the one call after the id", function()
    assert.equal(2, #client:alert_ips(ALERT, { timeout = 10, budget = 20, max_attempts = 1, max_body = 1000 }))
  end)

  describe("ids", function()
    it("that have to be encoded find their alert", function()
      local addresses = {
        ["custom alert 1"] = "192.0.2.21", ["custom/alert/2"] = "192.0.2.22", ["100%_sure"] = "192.0.2.23",
        ["custom#4"] = "192.0.2.24", ["custom?id=5&x"] = "192.0.2.25", ["..x"] = "192.0.2.26",
        ["a%2Fb+c"] = "192.0.2.27", ["ålarm-日本_1"] = "2001:db8::28",
      }
      for id, address in pairs(addresses) do
        assert.same({ address }, ids(assert(client:alert_ips(id))), id)
      end
    end)

    it("arrive as one encoded segment", function()
      local encoded = {
        ["da637308392288907382_-880718168"] = "da637308392288907382_-880718168", -- as it is
        ["a b"] = "a%20b", ["a/b"] = "a%2Fb", ["a%b"] = "a%25b", ["a%2Fb"] = "a%252Fb", ["a#b"] = "a%23b",
        ["a?b"] = "a%3Fb", ["a+b"] = "a%2Bb", ["a&b=c"] = "a%26b%3Dc", ["a;b,c"] = "a%3Bb%2Cc",
        ["..x"] = "..x", ["..."] = "...", ["../x"] = "..%2Fx", ["a\\b"] = "a%5Cb", ["a:b@c"] = "a%3Ab%40c",
        ["~!$'()*"] = "~%21%24%27%28%29%2A", ['"<>[]{}|^`'] = "%22%3C%3E%5B%5D%7B%7D%7C%5E%60",
        ["é日"] = "%C3%A9%E6%97%A5", ["\255\128"] = "%FF%80",
      }
      for id, segment in pairs(encoded) do
        client:alert_ips(id)
        local requests = space:requests()
        assert.equal("/api/alerts/" .. segment .. "/ips", requests[#requests].raw_uri)
      end
    end)
  end)

  describe("misuse", function()
    -- It must raise, name the argument, and send nothing.
    local function refuses(pattern, misuse)
      local ok, message = pcall(misuse)
      assert.is_false(ok)
      assert.truthy(tostring(message):find(pattern), tostring(message))
      assert.same({}, space:requests())
    end

    local bad = {
      ["an empty id"] = "", ["'.'"] = ".", ["'..'"] = "..", ["a line end"] = "da1\n", ["a carriage return"] = "da1\rx",
      ["a tab"] = "da\t1", ["NUL"] = "da\0" .. "1", ["DEL"] = "da1\127", ["an escape"] = "\27[31m",
    }
    for name, id in pairs(bad) do
      it("raises for " .. name, function()
        refuses("bad argument #1 to 'alert_ips' %(.*id", function() client:alert_ips(id) end)
      end)
    end

    for name, id in pairs { number = 42, table = {}, boolean = true, ["function"] = print } do
      it("raises for a " .. name, function()
        refuses("bad argument #1 to 'alert_ips' %(string expected, got " .. name .. "%)",
          function() client:alert_ips(id) end)
      end)
    end

    it("raises for nil and for nothing", function()
      refuses("bad argument #1 to 'alert_ips' %(string expected", function() client:alert_ips(nil) end)
      refuses("bad argument #1 to 'alert_ips' %(string expected", function() client:alert_ips() end)
    end)

    it("raises for a call without the client", function()
      refuses("bad argument #1 to 'alert_ips' %(mde.client expected, got string%)",
        function() client.alert_ips(ALERT) end)
    end)

    it("raises for an id that makes the address too long", function()
      refuses("alert_ips: the arguments make an address that is too long",
        function() client:alert_ips(("x"):rep(40000)) end)
    end)

    it("raises for options that it does not know, or of a wrong kind", function()
      refuses("bad argument #2 to 'alert_ips' %(.*'timeuot'.*'timeout'",
        function() client:alert_ips(ALERT, { timeuot = 1 }) end)
      refuses("bad argument #2 to 'alert_ips' %(.*'top'", function() client:alert_ips(ALERT, { top = 1 }) end)
      refuses("bad argument #2 to 'alert_ips' %(.*'timeout'.*string", function()
        client:alert_ips(ALERT, { timeout = "1" })
      end)
      refuses("bad argument #2 to 'alert_ips' %(table expected", function() client:alert_ips(ALERT, 10) end)
    end)

    it("leaves the client usable", function()
      pcall(client.alert_ips, client, "")
      assert.equal(2, #client:alert_ips(ALERT))
    end)
  end)

  describe("other operations", function()
    -- What the service sends, as another client sees it. Under another namespace, so that ours is not counted.
    local function as_sent(path)
      local text = shell.must(("curl --silent --noproxy '*' --cacert %s -H 'Authorization: Bearer %s' %s")
        :format(simulator.ca_file, simulator.namespace().token, simulator.url .. "/api/alerts/" .. ALERT .. path))
      return cjson.decode(text)
    end

    it("alert returns the alert as the service sends it, with mde.null for what is unknown", function()
      local alert = client:alert(ALERT)
      assert.same(as_sent "", alert)
      assert.equal("Suspicious PowerShell command line", alert.title)
      assert.equal(mde.null, alert.resolvedTime)
      assert.equal(cjson.null, mde.null)
    end)

    it("alert_domains returns the domains", function()
      local domains = client:alert_domains(ALERT)
      assert.same(as_sent("/domains").value, domains)
      assert.same({ { host = "cdn.contoso.example" }, { host = "updates.contoso.example" } }, domains)
    end)

    it("alert_files returns the files", function()
      local files = client:alert_files(ALERT)
      assert.same(as_sent("/files").value, files)
      assert.equal("invoice.ps1", files[1].fileProductName)
      assert.equal(mde.null, files[1].fileType)
    end)

    it("alert_machine returns the machine", function()
      local machine = client:alert_machine(ALERT)
      assert.same(as_sent "/machine", machine)
      assert.equal("workstation-17.contoso.example", machine.computerDnsName)
      assert.same({}, machine.machineTags)
    end)

    it("alert_user returns the user", function()
      local user = client:alert_user(ALERT)
      assert.same(as_sent "/user", user)
      assert.equal("contoso\\alice", user.id)
    end)

    for operation, subject in pairs { alert_machine = "machine", alert_user = "user" } do
      it(operation .. " returns not_found when the alert has no " .. subject, function()
        local entity, err = client[operation](client, "da637612390715220145_-1276340398")
        assert.is_nil(entity)
        assert.equal("not_found", err.kind)
        assert.truthy(err.message:find(subject, 1, true))
      end)
    end

    it("refuse misuse by their own names", function()
      for _, name in ipairs { "alert", "alert_domains", "alert_files", "alert_machine", "alert_user" } do
        local ok, message = pcall(function() client[name](client, "..") end)
        assert.is_false(ok)
        assert.truthy(message:find "an id must not be")
      end
      assert.same({}, space:requests())
    end)
  end)

  describe("on the wire", function()
    it("introduces itself", function()
      client:alert_ips(ALERT)
      local request = space:requests()[1]
      assert.equal("mde-lua/" .. mde._VERSION, request.user_agent)
      assert.equal("application/json", request.accept)
    end)

    it("puts the user's own name first", function()
      reconnect { user_agent = "triage/2.1 (SOC)" }
      client:alert_ips(ALERT)
      assert.equal("triage/2.1 (SOC) mde-lua/" .. mde._VERSION, space:requests()[1].user_agent)
    end)

    -- The bug: libcurl was given a send buffer of 16 KiB; a request of more than 32 was never sent.
    it("is sent whole, however long it makes the request", function()
      local name = ("x"):rep(40000)
      reconnect { user_agent = name }
      for _ = 1, 2 do assert.equal(2, #assert(client:alert_ips(ALERT))) end
      for _, request in ipairs(space:requests()) do
        assert.equal(name .. " mde-lua/" .. mde._VERSION, request.user_agent)
      end
    end)

    it("asks for gzip and nothing else, since the service's deflate is broken", function()
      client:alert_ips(ALERT)
      assert.equal("gzip", space:requests()[1].accept_encoding)
    end)

    for name, fault in pairs {
      compressed = { gzip = true }, ["in chunks"] = { chunked = true, gzip = false },
      ["byte by byte"] = { trickle = { bytes = 20, every = 0.001 } },
    } do
      it("reads answers that come " .. name, function()
        fault.times = 2
        space:fault(fault)
        assert.equal(2, #client:alert_ips(ALERT))
        reconnect { base_url = simulator.h2_url, http_version = "2" }
        assert.equal(2, #client:alert_ips(ALERT))
        if fault.gzip then assert.equal("gzip", space:requests()[1].content_encoding) end
      end)
    end

    for _, name in ipairs { "url", "h2_url", "http_url" } do
      it("keeps its connection for 20 calls to " .. name, function()
        reconnect { base_url = simulator[name], http_version = name == "h2_url" and "2" or "1.1" }
        local connections = {}
        for _ = 1, 20 do assert(client:alert_ips(ALERT)) end
        for _, request in ipairs(space:requests()) do connections[request.connection] = true end
        assert.equal(20, #space:requests())
        assert.is_nil(next(connections, (next(connections))))
        assert.equal(1, client:stats().connections)
      end)
    end

    it("keeps its connection after an error, too", function()
      client:alert_ips "unknown"
      client:alert_ips(ALERT)
      assert.equal(1, client:stats().connections)
    end)

    it("sends the token as a bearer token, and nobody else's", function()
      local other = connect(simulator.namespace())
      assert.equal(2, #client:alert_ips(ALERT))
      assert.equal(2, #other:alert_ips(ALERT))
      assert.equal(1, #space:requests())
      other:close()
    end)

    it("adds the path to a base_url that has one of its own", function()
      reconnect { base_url = simulator.url .. "/gateway/mde/" }
      client:alert_ips(ALERT)
      assert.equal("/gateway/mde/api/alerts/" .. ALERT .. "/ips", space:requests()[1].raw_uri)
    end)
  end)

  it("counts what it does", function()
    client:alert_ips(ALERT)
    client:alert_ips "unknown"
    local stats = client:stats()
    assert.same({ 2, 2, 0, 0, 1 }, { stats.calls, stats.attempts, stats.retries, stats.throttled, stats.errors })
    assert.equal(0, stats.in_flight)
    assert.is_true(stats.bytes_received > 100)
  end)
end)

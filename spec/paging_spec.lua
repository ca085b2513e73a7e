-- `alerts`: what it asks for, and how it finds the pages after the first, however the service links them.

local connect = require "spec.support.connect"
local fault_server = require "spec.support.fault_server"
local mde = require "mde"
local simulator = require "spec.support.simulator"
local testing = require "mde.testing"

local TOTAL = 250 -- alerts that the simulator knows
local PAGES_MAX = 1000 -- that one call follows
local SOON = { ["retry-after-ms"] = "1" }
local ALERT = "da637472900382838869_1364969609"

local function ids(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = item.id end
  return list
end

local function slice(list, first, last)
  local part = {}
  for i = first, last do part[#part + 1] = list[i] end
  return part
end

describe("alerts", function()
  local space, client, all

  setup(function()
    simulator.start()
    local other = connect(simulator.namespace())
    all = ids(assert(other:alerts { top = 10000 }))
    other:close()
    assert(#all == TOTAL)
  end)

  before_each(function()
    space = simulator.namespace()
    client = connect(space)
  end)

  after_each(function() client:close() end)

  local function reconnect(options)
    client:close()
    client = connect(space, options)
  end

  -- The raw addresses of all requests so far.
  local function uris()
    local list = {}
    for i, request in ipairs(space:requests()) do list[i] = request.raw_uri end
    return list
  end

  -- The first page is answered with this @odata.nextLink.
  local function link(next_link) space:fault { operation = "alerts", next_link = next_link } end

  -- The error of a call that must fail after so many requests.
  local function fails(count, options)
    local result, err = client:alerts(options)
    assert.is_nil(result)
    assert.equal("alerts", err.operation)
    assert.equal(count, err.attempts)
    assert.equal(count, #space:requests())
    return err
  end

  describe("without options", function()
    it("returns all pages as one array, in the service's order", function()
      assert.same(all, ids(client:alerts()))
      assert.same({ "/api/alerts", "/api/alerts?$skip=100", "/api/alerts?$skip=200" }, uris())
    end)

    it("may be given none in every way", function()
      space:control { page_size = TOTAL }
      assert.equal(TOTAL, #client:alerts(nil))
      assert.equal(TOTAL, #client:alerts {})
    end)

    it("returns entities with all their fields", function()
      local alert = client:alerts({ max_items = 1 })[1]
      assert.same(client:alert(alert.id).title, alert.title)
      assert.equal(mde.null, alert.resolvedTime)
    end)

    it("uses one connection, and a call's attempts are its pages", function()
      client:alerts()
      local stats = client:stats()
      assert.same({ 1, 3, 3, 1, 0 }, { stats.calls, stats.attempts, stats.pages, stats.connections, stats.retries })
    end)

    it("works the same over HTTP/2", function()
      reconnect { base_url = simulator.h2_url }
      assert.same(all, ids(client:alerts()))
    end)
  end)

  describe("filter", function()
    it("is understood by the service as it was written", function()
      for filter, field in pairs {
        ["severity eq 'High' and status eq 'New'"] = "severity",
        ["title eq 'An active ''Contoso'' malware was prevented'"] = "title",
        ["lastUpdateTime ge 2026-02-01T03:00:00.0000000Z"] = "lastUpdateTime",
      } do
        local found = assert(client:alerts { filter = filter })
        assert.is_true(#found > 0 and #found < TOTAL, filter)
        local wanted = filter:match "eq '(%u%l+)'"
        for _, alert in ipairs(wanted and found or {}) do assert.equal(wanted, alert[field]) end
      end
    end)

    it("arrives encoded, whatever is in it", function()
      for filter, encoded in pairs {
        ["a eq 'b'"] = "a%20eq%20%27b%27", ["x&$top=1#y?z"] = "x%26%24top%3D1%23y%3Fz", ["50%+/"] = "50%25%2B%2F",
        ["é日"] = "%C3%A9%E6%97%A5", ["\255"] = "%FF",
      } do
        client:alerts { filter = filter }
        local list = uris()
        assert.equal("/api/alerts?$filter=" .. encoded, list[#list])
      end
    end)

    it("holds on every page", function()
      space:control { page_size = 20 }
      local found = client:alerts { filter = "severity eq 'High'" }
      assert.is_true(#found > 40)
      for _, alert in ipairs(found) do assert.equal("High", alert.severity) end
      for _, uri in ipairs(uris()) do assert.truthy(uri:find("$filter=severity%20eq%20%27High%27", 1, true)) end
    end)

    it("that finds nothing gives an empty table", function()
      assert.same({}, client:alerts { filter = "severity eq 'Unheard'" })
    end)

    it("that the service does not understand gives its error", function()
      local err = fails(1, { filter = "severity is High" })
      assert.same({ "http", 400, "ODataError", false }, { err.kind, err.status, err.code, err.retryable })
    end)
  end)

  describe("expand", function()
    it("is passed on, on every page", function()
      space:control { page_size = 100 }
      local alerts = client:alerts { expand = "evidence" }
      assert.equal(TOTAL, #alerts)
      for _, alert in ipairs(alerts) do assert.is_table(alert.evidence) end
      assert.equal("/api/alerts?$expand=evidence", uris()[1])
      assert.is_nil(client:alerts({ max_items = 1 })[1].evidence)
    end)

    it("that does not exist gives the service's error", function()
      assert.equal(400, fails(1, { expand = "secrets" }).status)
    end)
  end)

  describe("skip", function()
    it("leaves out so many", function()
      assert.same(slice(all, 31, TOTAL), ids(client:alerts { skip = 30 }))
      assert.same({ "/api/alerts?$skip=30", "/api/alerts?$skip=130", "/api/alerts?$skip=230" }, uris())
    end)

    it("beyond the end gives an empty table", function()
      assert.same({}, client:alerts { skip = 1000 })
    end)

    it("of 0 is sent, too", function()
      assert.equal(TOTAL, #client:alerts { skip = 0 })
      assert.equal("/api/alerts?$skip=0", uris()[1])
    end)
  end)

  describe("top", function()
    -- The service gives no link then: the end is a page that is not full.
    it("is the size of a page, and a full one is followed by asking on with $skip", function()
      assert.same(all, ids(client:alerts { top = 100 }))
      assert.same({ "/api/alerts?$top=100", "/api/alerts?$top=100&$skip=100", "/api/alerts?$top=100&$skip=200" },
        uris())
    end)

    it("that divides the number finds the end by an empty page", function()
      assert.same(all, ids(client:alerts { top = 125 }))
      assert.same({ "/api/alerts?$top=125", "/api/alerts?$top=125&$skip=125", "/api/alerts?$top=125&$skip=250" },
        uris())
    end)

    it("that is larger than what there is needs one request", function()
      assert.same(all, ids(client:alerts { top = 10000 }))
      assert.same({ "/api/alerts?$top=10000" }, uris())
    end)

    it("goes on from where skip has begun, with the filter and the expansion", function()
      local filter = "severity ne 'High'"
      local wanted = ids(client:alerts { filter = filter })
      space:control { reset = true }
      local found = client:alerts { filter = filter, top = 60, skip = 10, expand = "evidence" }
      assert.same(slice(wanted, 11, #wanted), ids(found))
      for i, uri in ipairs(uris()) do
        assert.equal("/api/alerts?$filter=severity%20ne%20%27High%27&$expand=evidence&$top=60&$skip="
          .. 10 + (i - 1) * 60, uri)
      end
      assert.is_table(found[#found].evidence)
    end)

    it("goes by the service's link where there is one", function()
      space:control { next_link_with_top = true, page_size = 40 }
      assert.same(slice(all, 1, 100), ids(client:alerts { top = 100 }))
      assert.same({ "/api/alerts?$top=100", "/api/alerts?$top=60&$skip=40", "/api/alerts?$top=20&$skip=80" }, uris())
    end)

    it("puts back the filter that the service's link forgets", function()
      local wanted = ids(client:alerts { filter = "severity ne 'High'" })
      space:control { reset = true, page_size = 40, faults = { { next_link = "without_filter", times = -1 } } }
      assert.is_true(#wanted > 80 and #wanted < TOTAL)
      assert.same(wanted, ids(client:alerts { filter = "severity ne 'High'" }))
      for _, uri in ipairs(uris()) do assert.is_truthy(uri:find("$filter=severity", 1, true), uri) end
    end)

    it("asks on where the link was dropped from a full page", function()
      space:control { next_link_with_top = true, faults = { { next_link = "dropped", times = -1 } } }
      assert.same(all, ids(client:alerts { top = 50 }))
      assert.equal("/api/alerts?$top=50&$skip=250", uris()[6])
      assert.equal(6, #uris())
    end)
  end)

  describe("max_items", function()
    for _, case in ipairs { { 1, 1 }, { 99, 1 }, { 100, 1 }, { 101, 2 }, { 250, 3 }, { 1000, 3 } } do
      local items, pages = case[1], case[2]
      it(("%d gives so many at most, from %d pages"):format(items, pages), function()
        assert.same(slice(all, 1, math.min(items, TOTAL)), ids(client:alerts { max_items = items }))
        assert.equal(pages, #uris())
      end)
    end

    it("holds where top is given", function()
      assert.same(slice(all, 1, 120), ids(client:alerts { top = 50, max_items = 120 }))
      assert.equal(3, #uris())
    end)

    it("counts from skip on", function()
      assert.same(slice(all, 6, 15), ids(client:alerts { skip = 5, max_items = 10 }))
    end)

    it("ends a call whose links would have no end", function()
      space:fault { next_link = "endless", times = -1 }
      assert.equal(520, #client:alerts { max_items = 520 })
      assert.equal(6, #uris())
    end)
  end)

  describe("@odata.nextLink", function()
    local stranger

    setup(function()
      stranger = fault_server.start()
      stranger:play { { "read" } }
    end)
    teardown(function() stranger:stop() end)

    it("is followed as it is, its query included", function()
      space:control { next_link_style = "skiptoken" }
      assert.same(all, ids(client:alerts()))
      assert.same({ "/api/alerts", "/api/alerts?$skiptoken=100", "/api/alerts?$skiptoken=200" }, uris())
      link(simulator.url .. "/api/alerts?$skip=240&x=%C3%A6+%20%2B")
      assert.equal(110, #client:alerts())
      assert.equal("/api/alerts?$skip=240&x=%C3%A6+%20%2B", uris()[5])
    end)

    it("that names another host leads to the configured one", function()
      space:control { next_link_host = "https://api.securitycenter.microsoft.com" }
      assert.same(all, ids(client:alerts()))
      assert.equal(3, #uris())
    end)

    it("takes the token to no other host, port or scheme", function()
      local path = "/api/alerts?$skip=200"
      local wanted = 0
      for _, host in ipairs {
        stranger.url, "https://127.0.0.1:" .. stranger.port, "http://user:password@127.0.0.1:" .. stranger.port,
        "//127.0.0.1:" .. stranger.port, simulator.http_url, simulator.h2_url, simulator.unknown_ca_url, "",
      } do
        link(host .. path)
        assert.equal(150, #assert(client:alerts()), host)
        wanted = wanted + 2
      end
      local requests = space:requests()
      assert.equal(wanted, #requests)
      for _, request in ipairs(requests) do
        assert.same({ "https", requests[1].connection }, { request.scheme, request.connection })
      end
      assert.equal(0, stranger:connections())
      assert.equal("", stranger:received())
    end)

    it("may lead to another path of the host", function()
      link "/elsewhere?x=1"
      assert.equal("not_found", fails(2).kind)
      assert.equal("/elsewhere?x=1", uris()[2])
    end)

    it("has escaped what may not stand in an address", function()
      link "/api/alerts?$skip=240&$filter=severity eq 'High' and title ne 'é\"<>'#fragment"
      client:alerts()
      assert.equal("/api/alerts?$skip=240&$filter=severity%20eq%20'High'%20and%20title%20ne%20'%C3%A9%22%3C%3E'",
        uris()[2])
    end)

    for _, malformed in ipairs {
      "malformed", "", "api/alerts?$skip=100", "?$skip=100", "https://", "https://api.example", "https://api.example?a",
      "ftp://api.example/api/alerts", "javascript:alert(1)", "mailto:a@b.example", " /api/alerts",
      "/api/alerts?$skip=1\n", "/api/alerts?$skip=100\r\nX-Injected: 1", "/api/alerts?$skip=\0", "/api/alerts?%zz",
      "/api/alerts?a=100%", "/api/alerts?" .. ("x"):rep(40000), 42, true, {}, { "/api/alerts?$skip=100" },
      { href = "/api/alerts?$skip=100" },
    } do
      local shown = type(malformed) == "string" and ("%q"):format(malformed):sub(1, 40) or "a " .. type(malformed)
      it(shown .. " ends the call with an error", function()
        link(malformed)
        local err = fails(1)
        assert.same({ "json", 200, false }, { err.kind, err.status, err.retryable })
        assert.truthy(err.message:find("@odata.nextLink is malformed", 1, true))
        assert.falsy(err.message:find("$skip", 1, true))
        assert.equal(TOTAL, #client:alerts()) -- and the client goes on
      end)
    end

    it("null is none", function()
      space:fault { operation = "alerts", body = '{"value":[{"id":"da1"}],"@odata.nextLink":null}' }
      assert.same({ { id = "da1" } }, client:alerts())
      assert.equal(1, #uris())
    end)

    it("is followed from an empty page", function()
      space:fault { operation = "alerts", body = '{"value":[],"@odata.nextLink":"/api/alerts?$skip=240"}' }
      assert.same(slice(all, 241, TOTAL), ids(client:alerts()))
    end)

    it("is followed by the other collections, too", function()
      local next_link = "/api/alerts/" .. ALERT .. "/ips?page=2"
      space:fault { body = ('{"value":[{"id":"192.0.2.1"}],"@odata.nextLink":"%s"}'):format(next_link) }
      assert.same({ "192.0.2.1", "104.80.104.128", "23.203.232.228" }, ids(client:alert_ips(ALERT)))
    end)

    it("of an entity means nothing", function()
      space:fault { body = '{"id":"da1","@odata.nextLink":"/api/alerts?$skip=240"}' }
      assert.equal("da1", client:alert(ALERT).id)
      assert.equal(1, #uris())
    end)

    it("that leads to a page seen before ends the call with an error", function()
      space:fault { next_link = "loop", times = -1 }
      local err = fails(2)
      assert.same({ "json", false }, { err.kind, err.retryable })
      assert.truthy(err.message:find("seen before", 1, true))
    end)

    it("that leads to its own page ends the call with an error, by whatever host and fragment", function()
      for _, own in ipairs { "/api/alerts", simulator.url .. "/api/alerts", "https://other.example/api/alerts#2" } do
        space:control { reset = true }
        link(own)
        assert.truthy(fails(1).message:find("seen before", 1, true), own)
      end
    end)

    it("that leads ever on ends the call with an error after a fixed number of pages", function()
      space:control { limits = false, page_size = 1, faults = { { next_link = "endless", times = -1 } } }
      reconnect { rate_limit = false }
      local err = fails(PAGES_MAX)
      assert.equal(PAGES_MAX, space:report().operations.alerts.requests)
      assert.same({ "too_large", false }, { err.kind, err.retryable })
      assert.truthy(err.message:find("max_items", 1, true))
    end)

    it("is followed under a base_url with a path, whether or not it knows the path", function()
      local links = { "https://api.security.microsoft.com/api/alerts?$skip=1",
        "https://other.example/gateway/mde/api/alerts?$skip=2", "/api/alerts?$skip=3" }
      local gateway = testing.client { token = "any", base_url = "https://proxy.example:8443/gateway/mde/",
        answers = function(request)
          local page = tonumber(request.path:match "skip=(%d)$" or 0)
          return { body = { value = { { id = page } }, ["@odata.nextLink"] = links[page + 1] } }
        end }
      assert.same({ 0, 1, 2, 3 }, ids(gateway:alerts()))
      for i, request in ipairs(testing.requests(gateway)) do
        local query = i > 1 and "?$skip=" .. i - 1 or ""
        assert.equal("https://proxy.example:8443/gateway/mde/api/alerts" .. query, request.url)
      end
      gateway:close()
    end)
  end)

  describe("page", function()
    it("that fails once is asked for again, and max_attempts counts for each by itself", function()
      space:control { faults = {
        { status = 503, headers = SOON }, { next_link = "/api/alerts?$skip=100" }, { status = 503, headers = SOON },
      } }
      assert.same(all, ids(client:alerts { max_attempts = 2 }))
      assert.same({ "/api/alerts", "/api/alerts", "/api/alerts?$skip=100", "/api/alerts?$skip=100",
        "/api/alerts?$skip=200" }, uris())
      assert.equal(2, client:stats().retries)
    end)

    it("that fails for good ends the call with its error", function()
      space:control { faults = { { next_link = "/api/alerts?$skip=100" }, { status = 403 } } }
      local err = fails(2)
      assert.same({ "auth", 403 }, { err.kind, err.status })
    end)

    it("is told to on_event with its number of items", function()
      local counts = {}
      reconnect { on_event = function(event)
        if event.kind == "page" then counts[#counts + 1] = event.items end
      end }
      client:alerts()
      assert.same({ 100, 100, 50 }, counts)
    end)
  end)

  describe("misuse", function()
    -- It must raise, name what is wrong, and send nothing.
    local function refuses(pattern, options)
      local ok, message = pcall(function() client:alerts(options) end)
      assert.is_false(ok)
      assert.truthy(tostring(message):find(pattern), tostring(message))
      assert.same({}, uris())
    end

    for option, values in pairs {
      top = { 0, -1, 10001, 1.5, 0 / 0, math.huge }, skip = { -1, 0.5, 1e10, 0 / 0 },
      max_items = { 0, -1, 1.5, 1e10, 0 / 0 },
    } do
      for _, value in ipairs(values) do
        it(("raises for %s = %s"):format(option, value), function()
          refuses("bad argument #1 to 'alerts' %(option '" .. option .. "': must be", { [option] = value })
        end)
      end
    end

    for option, value in pairs {
      filter = 42, expand = {}, top = "10", skip = true, max_items = "all", timeout = "1", budget = {},
      max_attempts = "2",
    } do
      it(("raises for %s of the type %s"):format(option, type(value)), function()
        refuses("bad argument #1 to 'alerts' %(option '" .. option .. "': .* expected, got " .. type(value),
          { [option] = value })
      end)
    end

    for _, option in ipairs { "filter", "expand" } do
      it("raises for control characters in " .. option, function()
        for _, value in ipairs { "a\nb", "a\r", "\0", "\127", "\t" } do
          refuses("bad argument #1 to 'alerts' %(option '" .. option .. "': a character", { [option] = value })
        end
      end)
    end

    it("raises for an unknown option and names the nearest", function()
      for unknown, nearest in pairs { fliter = "filter", tops = "top", max_item = "max_items", Expand = "expand" } do
        refuses("unknown option '" .. unknown .. "'.*'" .. nearest .. "'", { [unknown] = 1 })
      end
    end)

    it("raises for options that have no name", function()
      refuses("bad argument #1 to 'alerts' %(options are named", { "severity eq 'High'" })
    end)

    it("raises for what is no table", function()
      for _, value in ipairs { "severity eq 'High'", 42, true, print } do
        refuses("bad argument #1 to 'alerts' %(table expected", value)
      end
    end)

    it("raises for a filter that makes the address too long", function()
      refuses("alerts: the arguments make an address that is too long", { filter = ("x"):rep(40000) })
    end)
  end)
end)

-- mde.testing, as it is documented at its head.
local cjson = require "cjson"
local mde = require "mde"
local testing = require "mde.testing"
local scripted = require "spec.support.scripted"

local function client_with(answers, options)
  return (scripted.client(answers, options))
end

describe("mde.testing", function()
  describe("answers", function()
    it("are used up in order when they are an array", function()
      local client = client_with{ '{"value":[{"id":"192.0.2.1"}]}', '{"value":[{"id":"192.0.2.2"}]}' }
      assert.equal("192.0.2.1", client:alert_ips("da1")[1].id)
      assert.equal("192.0.2.2", client:alert_ips("da1")[1].id)
    end)

    it("may be added to the array later", function()
      local answers = {}
      local client = client_with(answers)
      answers[1] = scripted.EMPTY
      assert.same({}, client:alert_ips "da1")
    end)

    it("come from a function that is given the request", function()
      local seen = {}
      local client = client_with(function(request)
        seen[#seen + 1] = request
        return { body = { value = { { id = request.path } } } }
      end)
      assert.equal("/api/alerts/da1/ips", client:alert_ips("da1")[1].id)
      assert.equal("alert_ips", seen[1].operation)
      assert.equal("GET", seen[1].method)
      assert.equal(testing.now(), seen[1].at)
    end)

    it("are bodies when they are strings", function()
      assert.same({ id = "da1" }, client_with{ '{"id":"da1"}' }:alert "da1")
    end)

    it("have a table as their body encoded", function()
      local client = client_with{ { body = { id = "da1", tags = { "a", "b" }, none = cjson.null } } }
      assert.same({ id = "da1", tags = { "a", "b" }, none = mde.null }, client:alert "da1")
    end)

    it("have an empty `value` encoded as an array", function()
      assert.same({}, client_with{ { body = { value = {} } } }:alert_ips "da1")
    end)

    it("have the status 200 and an empty body unless they say so", function()
      local _, err = client_with{ {} }:alert_ips "da1"
      assert.equal("json", err.kind)
      assert.equal(200, err.status)
    end)

    it("have the status that they name", function()
      local _, err = client_with{ { status = 404, body = { error = { code = "ResourceNotFound" } } } }:alert_ips "da1"
      assert.equal("not_found", err.kind)
      assert.equal("ResourceNotFound", err.code)
    end)

    it("have the headers that they name, of strings and numbers", function()
      local client = client_with{ { status = 429, headers = { ["Retry-After"] = 5 } }, scripted.EMPTY }
      client:alert_ips "da1"
      assert.same({ 5 }, scripted.gaps(client))
    end)

    it("take the seconds that they name, and move the clock by them", function()
      local seconds = scripted.timed(function() return client_with{ { seconds = 2.5, body = "{}" } }:alert "da1" end)
      assert.equal(2.5, seconds)
    end)

    it("become a time-out when they take longer than the attempt may", function()
      local client = client_with({ { seconds = 11, body = "{}" } }, { timeout = 10, max_attempts = 1 })
      local seconds, _, err = scripted.timed(client.alert, client, "da1")
      assert.equal("timeout", err.kind)
      assert.equal(10, seconds)
    end)

    it("are too large when their body is larger than max_body", function()
      local _, err = client_with({ '{"value":[]}' }, { max_body = 11 }):alert_ips "da1"
      assert.equal("too_large", err.kind)
      assert.same({}, client_with({ '{"value":[]}' }, { max_body = 12 }):alert_ips "da1")
    end)
  end)

  describe("an answer with an error", function()
    local function outcome(answer)
      local client = client_with({ answer }, { max_attempts = 1, timeout = 7 })
      local seconds, _, err = scripted.timed(client.alert_ips, client, "da1")
      return { kind = err.kind, attempts = err.attempts, seconds = seconds }
    end

    it("'timeout' comes when the attempt's time is over", function()
      assert.same({ kind = "timeout", attempts = 1, seconds = 7 }, outcome{ error = "timeout" })
    end)

    it("'timeout' comes after its own seconds, if it has some", function()
      assert.same({ kind = "timeout", attempts = 1, seconds = 3 }, outcome{ error = "timeout", seconds = 3 })
    end)

    it("'unreachable' was never sent", function()
      assert.same({ kind = "network", attempts = 0, seconds = 0 }, outcome{ error = "unreachable" })
    end)

    it("'broken' was sent", function()
      assert.same({ kind = "network", attempts = 1, seconds = 2 }, outcome{ error = "broken", seconds = 2 })
    end)

    it("'tls' was never sent", function()
      assert.same({ kind = "tls", attempts = 0, seconds = 0 }, outcome{ error = "tls" })
    end)
  end)

  describe("requests", function()
    it("are kept for each client, oldest first", function()
      local one, other = client_with(), client_with()
      one:alert_ips "da1"
      testing.advance(1)
      one:alert_machine "da 2"
      other:alert "da3"
      local requests = testing.requests(one)
      assert.equal(2, #requests)
      assert.same({ "alert_ips", "alert_machine" }, { requests[1].operation, requests[2].operation })
      assert.equal("https://api.security.microsoft.com/api/alerts/da%202/machine", requests[2].url)
      assert.equal(1, scripted.rounded(requests[2].at - requests[1].at))
      assert.equal("/api/alerts/da3", testing.requests(other)[1].path)
    end)

    it("have the query in their path", function()
      local client = client_with()
      client:alerts{ top = 5 }
      assert.equal("/api/alerts?$top=5", testing.requests(client)[1].path)
    end)

    it("are none for a client that has sent nothing", function()
      assert.same({}, testing.requests(client_with()))
    end)

    it("raises for anything but a client of mde.testing", function()
      for _, wrong in ipairs{ mde.client{ token = "t" }, {}, "client", 1 } do
        assert.matches("a client of mde.testing expected", scripted.raised(testing.requests, wrong))
      end
      assert.matches("a client of mde.testing expected", scripted.raised(testing.requests))
    end)
  end)

  describe("the clock", function()
    it("does not start at 0", function() assert.is_true(testing.now() > 0) end)

    it("moves by what it is told, in milliseconds", function()
      local start = testing.now()
      testing.advance(0.25)
      testing.advance(0)
      testing.advance(3600)
      assert.equal(3600.25, scripted.rounded(testing.now() - start))
    end)

    it("is one for all clients", function()
      local slow, other = client_with{ { seconds = 5, body = "{}" } }, client_with()
      local start = testing.now()
      slow:alert "da1"
      other:alert_ips "da1"
      assert.equal(5, scripted.rounded(testing.requests(other)[1].at - start))
    end)

    it("stands still while nothing is called", function()
      local start = testing.now()
      for i = 1, 1e5 do math.sqrt(i) end
      assert.equal(start, testing.now())
    end)

    it("does not go back, and takes nothing but numbers of seconds", function()
      local start = testing.now()
      for _, wrong in ipairs{ -1, 0 / 0, math.huge, "soon", {} } do
        assert.matches("bad argument #1 to 'advance'", scripted.raised(testing.advance, wrong))
      end
      assert.equal(start, testing.now())
    end)
  end)

  describe("jitter", function()
    local function pause(jitter)
      local client = client_with({ { status = 500 }, scripted.EMPTY }, { jitter = jitter })
      client:alert_ips "da1"
      return scripted.gaps(client)[1]
    end

    it("is the dice of the pauses, one half by default", function()
      assert.equal(0.25, pause(nil))
      assert.equal(0, pause(0))
      assert.equal(0.45, pause(0.9))
    end)

    it("raises unless it is at least 0 and less than 1", function()
      for _, wrong in ipairs{ -0.1, 1, 0 / 0, "0.5", false } do
        assert.matches("option 'jitter'", scripted.raised(client_with, nil, { jitter = wrong }))
      end
    end)
  end)

  describe("used wrongly", function()
    it("raises when no answer is left, naming the request", function()
      local client = client_with{ scripted.EMPTY }
      client:alert_ips "da1"
      assert.equal("mde.testing: no answer is left for request 2, GET /api/alerts/da2",
        scripted.raised(client.alert, client, "da2"))
    end)

    it("raises without answers, and for answers of a wrong type", function()
      assert.matches("option 'answers': table or function expected, got nil",
        scripted.raised(testing.client, { token = "t" }))
      assert.matches("option 'answers': table or function expected, got number",
        scripted.raised(testing.client, { token = "t", answers = 5 }))
      assert.matches("table expected, got nil", scripted.raised(testing.client))
    end)

    it("raises what mde.client raises, and blames the caller's line", function()
      local message = scripted.raised(function() testing.client{ token = "t", answers = {}, timeuot = 5 } end)
      assert.matches("testing_spec%.lua:%d+: bad argument #1 to 'client' %(unknown option 'timeuot'; "
        .. "did you mean 'timeout'%?%)", message)
    end)

    it("leaves the table of options as it was", function()
      local options = { token = "t", answers = {}, jitter = 0.1 }
      testing.client(options)
      assert.same({ token = "t", answers = {}, jitter = 0.1 }, options)
    end)

    local mistakes = {
      { 5, "an answer is a table or a string, got number" },
      { { stauts = 404 }, "an answer has no field 'stauts'" },
      { { "body" }, "an answer has no field '1'" },
      { { status = "404" }, "an answer's 'status' is a whole number from 100 to 999, got '404'" },
      { { status = 20 }, "'status'" },
      { { status = 200.5 }, "'status'" },
      { { headers = "Date: now" }, "an answer's 'headers' is a table" },
      { { body = 5 }, "an answer's 'body' is a string or a table, got '5'" },
      { { seconds = -1 }, "an answer's 'seconds' is a number, 0 or more, got '-1'" },
      { { seconds = 0 / 0 }, "an answer's 'seconds'" },
      { { error = "tiemout" }, "'timeout', 'unreachable', 'broken' or 'tls', got 'tiemout'" },
    }
    for _, mistake in ipairs(mistakes) do
      it("raises from the call: " .. mistake[2], function()
        local client = client_with{ mistake[1] }
        local message = scripted.raised(client.alert_ips, client, "da1")
        assert.truthy(message:find(mistake[2], 1, true), message)
      end)
    end

    it("raises for a function that returns nothing", function()
      local client = client_with(function() end)
      assert.matches("an answer is a table or a string, got nil", scripted.raised(client.alert_ips, client, "da1"))
    end)

    it("passes on what the function of answers raises, and leaves the client usable", function()
      local mistake, fails = {}, true
      local client = client_with(function()
        if fails then error(mistake) end
        return scripted.EMPTY
      end)
      local ok, err = pcall(client.alert_ips, client, "da1")
      assert.is_false(ok)
      assert.equal(mistake, err)
      fails = false
      assert.same({}, client:alert_ips "da1")
      assert.equal(0, client:stats().in_flight)
    end)
  end)

  it("needs no network: a host that does not exist will do", function()
    assert.same({}, client_with(nil, { base_url = "https://nowhere.invalid" }):alert_ips "da1")
  end)

  it("opens no connection", function()
    local client = client_with()
    client:alert_ips "da1"
    assert.equal(0, client:stats().connections)
  end)

  it("keeps the documented quota, as a real client does", function()
    local client = client_with()
    for _ = 1, 101 do client:alert_ips "da1" end
    local requests = testing.requests(client)
    assert.is_true(requests[101].at - requests[1].at >= 60)
  end)
end)

-- on_event and stats(): what a script can see of its calls.
local testing = require "mde.testing"
local connect = require "spec.support.connect"
local scripted = require "spec.support.scripted"
local simulator = require "spec.support.simulator"

local EMPTY = scripted.EMPTY
local BASE = "https://api.security.microsoft.com"

local function page(items, skip)
  local parts = {}
  for i = 1, items do parts[i] = ('{"id":"%d"}'):format(i) end
  local link = skip and (',"@odata.nextLink":"%s/api/alerts?$skip=%d"'):format(BASE, skip) or ""
  return ('{"value":[%s]%s}'):format(table.concat(parts, ","), link)
end

local function kinds(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = event.kind end
  return list
end

describe("the event attempt", function()
  it("tells operation, status, seconds, bytes and attempt", function()
    local client, events = scripted.client{ { seconds = 1.5, body = EMPTY } }
    client:alert_ips "da1"
    assert.same({ { kind = "attempt", operation = "alert_ips", status = 200, seconds = 1.5, bytes = #EMPTY,
                    attempt = 1 } }, scripted.of_kind(events, "attempt"))
  end)

  it("tells of each attempt, counted from 1", function()
    local client, events = scripted.client({ { status = 500, body = "oops" }, { status = 429 }, EMPTY })
    client:alert_ips "da1"
    local attempts = scripted.of_kind(events, "attempt")
    assert.same({ 500, 429, 200 }, { attempts[1].status, attempts[2].status, attempts[3].status })
    assert.same({ 1, 2, 3 }, { attempts[1].attempt, attempts[2].attempt, attempts[3].attempt })
    assert.same({ 4, 0, #EMPTY }, { attempts[1].bytes, attempts[2].bytes, attempts[3].bytes })
  end)

  it("has no status, but an error, when there was no answer", function()
    for outcome, seconds in pairs{ unreachable = 0, broken = 0, tls = 0, timeout = 30 } do
      local client, events = scripted.client({ { error = outcome } }, { max_attempts = 1 })
      client:alert_ips "da1"
      local attempt = events[1]
      assert.equal("attempt", attempt.kind)
      assert.is_nil(attempt.status)
      assert.is_string(attempt.error)
      assert.equal(seconds, attempt.seconds)
      assert.equal(0, attempt.bytes)
    end
  end)

  it("counts from 1 again for each page", function()
    local client, events = scripted.client{ page(1, 1), { status = 500 }, page(1) }
    client:alerts()
    local attempts = scripted.of_kind(events, "attempt")
    assert.same({ 1, 1, 2 }, { attempts[1].attempt, attempts[2].attempt, attempts[3].attempt })
  end)
end)

describe("the event wait", function()
  it("tells operation, reason and seconds before the wait begins", function()
    local moments = {}
    local client, events = scripted.client({ { status = 500 }, EMPTY }, { on_event = function(event)
      moments[event.kind] = testing.now()
    end })
    local start = testing.now()
    client:alert_ips "da1"
    assert.same({ { kind = "wait", operation = "alert_ips", reason = "backoff", seconds = 0.25 } },
      scripted.of_kind(events, "wait"))
    assert.equal(start, moments.wait)
  end)

  it("has the reasons backoff, retry_after and quota", function()
    local client, events = scripted.client({ { status = 500 }, { status = 429, headers = { ["Retry-After"] = 2 } },
      EMPTY, EMPTY }, { rate_limit = { [60] = 3 } })
    client:alert_ips "da1"
    client:alert_ips "da1"
    local reasons = {}
    for i, wait in ipairs(scripted.of_kind(events, "wait")) do reasons[i] = wait.reason end
    assert.same({ "backoff", "retry_after", "quota" }, reasons)
  end)
end)

describe("the event token", function()
  it("tells whether there is one, and how long it is good", function()
    local answers = { { "token", 60 }, { "token" }, { nil, "sealed" } }
    local client, events = scripted.client(nil, { token = function()
      local answer = table.remove(answers, 1)
      return answer[1], answer[2]
    end })
    client:alert_ips "da1"
    testing.advance(60)
    client:alert_ips "da1"
    assert.same({ { kind = "token", ok = true, seconds = 60 }, { kind = "token", ok = true } },
      scripted.of_kind(events, "token"))
  end)

  it("tells of a failure, too", function()
    local client, events = scripted.client(nil, { token = function() return nil, "sealed" end })
    client:alert_ips "da1"
    assert.same({ { kind = "token", ok = false } }, events)
  end)

  it("does not come for a token that is a string", function()
    local client, events = scripted.client()
    client:alert_ips "da1"
    assert.same({}, scripted.of_kind(events, "token"))
  end)
end)

describe("the event page", function()
  it("tells operation, page and items", function()
    local client, events = scripted.client{ page(3, 3), page(2, 5), page(0) }
    client:alerts()
    assert.same({
      { kind = "page", operation = "alerts", page = 1, items = 3 },
      { kind = "page", operation = "alerts", page = 2, items = 2 },
      { kind = "page", operation = "alerts", page = 3, items = 0 },
    }, scripted.of_kind(events, "page"))
  end)

  it("does not come for a single entity", function()
    local client, events = scripted.client{ '{"id":"da1"}' }
    client:alert "da1"
    assert.same({ "attempt" }, kinds(events))
  end)
end)

describe("on_event", function()
  it("hears of things in the order in which they happen", function()
    local client, events = scripted.client({ { status = 401 }, { status = 503 }, EMPTY, EMPTY },
      { token = function() return "token" end, rate_limit = { [60] = 3 } })
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.same({ "token", "attempt", "token", "attempt", "wait", "attempt", "page", "wait", "attempt", "page" },
      kinds(events))
  end)

  it("gets a table of its own each time, that it may keep and change", function()
    local client, events = scripted.client(nil, { on_event = function(event)
      event.kind = event.kind .. "!"
      setmetatable(event, { __index = error })
    end })
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.same({ "attempt!", "page!", "attempt!", "page!" }, kinds(events))
    assert.are_not.equal(events[1], events[3])
  end)

  it("gets one argument, and what it returns is nobody's business", function()
    local count
    local client = testing.client{ token = "t", answers = scripted.always(EMPTY), on_event = function(...)
      count = select("#", ...)
      return nil, "error", error
    end }
    assert.same({}, client:alert_ips "da1")
    assert.equal(1, count)
  end)

  it("may do heavy work and collect garbage", function()
    local client = scripted.client({ { status = 500 }, page(1, 1), page(1) }, { on_event = function()
      local text = ""
      for i = 1, 500 do text = text .. tostring({ i }) end
      assert.is_true(#text > 500)
      collectgarbage()
      collectgarbage()
    end })
    assert.equal(2, #client:alerts())
  end)

  it("may use other clients", function()
    local other = scripted.client()
    local client = scripted.client(nil, { on_event = function() other:alert_ips "da2" end })
    assert.same({}, client:alert_ips "da1")
    assert.equal(2, #testing.requests(other))
  end)

  it("may look at the client's stats and print it", function()
    local client, seen
    client = scripted.client(nil, { on_event = function()
      seen = { client:stats().calls, tostring(client) }
    end })
    client:alert_ips "da1"
    assert.equal(1, seen[1])
    assert.matches("open", seen[2])
  end)

  --- Runs a call in which the n-th event does that; then the client must be as good as new.
  local function at_event(n, act)
    local count = 0
    local client
    client = scripted.client({ { status = 401 }, { status = 500 }, EMPTY, EMPTY, EMPTY, EMPTY }, {
      token = function() return "token" end, rate_limit = { [60] = 3 },
      on_event = function(event)
        count = count + 1
        if count == n then act(event, client) end
      end,
    })
    local caught
    for _ = 1, 2 do
      local ok, err = pcall(client.alert_ips, client, "da1")
      if not ok then caught = { err } end
    end
    assert.equal(0, client:stats().in_flight)
    assert.same({}, client:alert_ips "da1")
    return caught
  end

  for n, kind in ipairs{ "token", "attempt", "token", "attempt", "wait", "attempt", "page", "wait" } do
    local title = "that throws at its event %d (%s) has the error reach the caller, and the client usable"
    it(title:format(n, kind), function()
      local thrown = {}
      local caught = at_event(n, function(event)
        assert.equal(kind, event.kind)
        error(thrown)
      end)
      assert.equal(thrown, caught[1])
    end)
  end

  it("has whatever it throws reach the caller unchanged", function()
    local printing = setmetatable({}, { __tostring = function() return "printing" end })
    for _, thrown in ipairs{ "a string", 5, true, printing, print } do
      local caught = at_event(2, function() error(thrown, 0) end)
      assert.equal(thrown, caught[1])
    end
    assert.same({}, at_event(2, function() error() end)) -- nil
  end)

  it("that throws gives the slot back, unless the request was sent", function()
    local client, fails
    client = scripted.client(nil, { rate_limit = { [60] = 1 }, token = function() return "token" end,
      on_event = function(event) if event.kind == fails then error "no" end end })
    fails = "token"
    assert.is_false(pcall(client.alert_ips, client, "da1"))
    fails = "attempt"
    assert.equal(0, (scripted.timed(pcall, client.alert_ips, client, "da1")))
    fails = nil
    assert.is_true(scripted.timed(client.alert_ips, client, "da1") >= 60)
  end)

  it("must not yield: the caller is told, and the client is usable", function()
    local client
    local yields = true
    client = scripted.client(nil, { on_event = function() if yields then coroutine.yield() end end })
    local co = coroutine.create(function() return client:alert_ips "da1" end)
    local ok, err = coroutine.resume(co)
    assert.is_false(ok)
    assert.matches("attempt to yield", err)
    assert.is_false(pcall(client.alert_ips, client, "da1"))
    yields = false
    assert.same({}, client:alert_ips "da1")
    assert.equal(0, client:stats().in_flight)
  end)

  it("must not use its own client: the caller is told, and the client is usable", function()
    local caught = at_event(4, function(_, client) client:alert "da1" end)
    assert.matches("a client cannot be used from inside its own token function, on_event or quota", caught[1])
  end)

  it("may close its client: the call ends as closed, and no request follows", function()
    for n = 1, 6 do
      local client, sent, value, err
      local count = 0
      client = scripted.client({ { status = 401 }, { status = 500 }, EMPTY }, {
        token = function() return "token" end,
        on_event = function()
          count = count + 1
          if count ~= n then return end
          client:close()
          client:close()
          sent = #testing.requests(client)
        end,
      })
      value, err = client:alert_ips "da1"
      assert.is_nil(value)
      assert.equal("closed", err.kind)
      assert.equal(sent, #testing.requests(client))
      assert.equal("closed", select(2, client:stats()).kind)
    end
  end)

  it("may close its client when the last page is there: then it is the result", function()
    local client
    client = scripted.client({ page(1) }, { on_event = function(event)
      if event.kind == "page" then client:close() end
    end })
    assert.same({ { id = "1" } }, client:alerts())
    assert.equal("closed", select(2, client:alerts()).kind)
  end)

  it("may close its client and throw", function()
    local client
    client = scripted.client(nil, { on_event = function()
      client:close()
      error("both", 0)
    end })
    local ok, err = pcall(client.alert_ips, client, "da1")
    assert.is_false(ok)
    assert.equal("both", err)
    assert.equal("closed", select(2, client:alert_ips "da1").kind)
  end)

  describe("with a network", function()
    local space
    setup(function() simulator.start() end)
    before_each(function() space = simulator.namespace() end)

    local ID = "da637472900382838869_1364969609"

    it("hears of real seconds and bytes", function()
      local events = {}
      local client = connect(space, { on_event = function(event) events[#events + 1] = event end })
      space:fault{ delay = 0.1 }
      assert(client:alert_ips(ID))
      local attempt = scripted.of_kind(events, "attempt")[1]
      assert.equal(200, attempt.status)
      assert.is_true(attempt.seconds >= 0.1 and attempt.seconds < 5)
      assert.is_true(attempt.bytes > 10)
      assert.equal(attempt.bytes, client:stats().bytes_received)
      assert.equal(1, client:stats().connections)
      client:close()
    end)

    it("is not called from inside libcurl: it may close the client, and use and collect others", function()
      local client
      client = connect(space, { on_event = function()
        for _ = 1, 3 do connect(space):alert(ID) end
        collectgarbage()
        client:close()
      end })
      assert.equal("closed", select(2, client:alert_ips(ID)).kind)
    end)

    it("that throws leaves the connection to the next call", function()
      local fails = true
      local client = connect(space, { on_event = function() if fails then error("no", 0) end end })
      for _ = 1, 3 do assert.equal("no", select(2, pcall(client.alert_ips, client, ID))) end
      fails = false
      assert(client:alert_ips(ID))
      assert.equal(1, client:stats().connections)
      assert.equal(4, client:stats().attempts)
      assert.equal(0, client:stats().in_flight)
      client:close()
    end)
  end)
end)

describe("stats", function()
  local ZERO = { calls = 0, attempts = 0, retries = 0, throttled = 0, errors = 0, tokens = 0, pages = 0,
                 waited_seconds = 0, bytes_received = 0, connections = 0, in_flight = 0 }

  it("are all 0 at first", function()
    assert.same(ZERO, scripted.client():stats())
  end)

  it("add up to what has happened", function()
    local client = scripted.client({
      EMPTY,                                                                  -- one page of 12 bytes
      { status = 404, body = "gone" },                                        -- an error, 4 bytes
      { status = 500 }, { error = "unreachable" }, { status = 429 }, EMPTY,   -- three retries, one never sent
      { status = 429, headers = { ["Retry-After"] = 2 } }, EMPTY,             -- throttled once more
      page(2, 2), page(1),                                                    -- two pages
      { status = 401 }, EMPTY,                                                -- another token
      { error = "timeout" }, { error = "broken" }, { error = "tls" },         -- an error, one never sent
    }, { token = function() return "token" end, jitter = 0 })
    client:alert_ips "da1"
    client:alert_ips "da1"
    client:alert_ips "da1"
    client:alert_ips "da1"
    client:alerts()
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.same({
      calls = 7, attempts = 13, retries = 7, throttled = 2, errors = 2, tokens = 2, pages = 6, waited_seconds = 2,
      bytes_received = 4 * #EMPTY + 4 + #page(2, 2) + #page(1), connections = 0, in_flight = 0,
    }, client:stats())
  end)

  it("count a call that raised, but no error of the service", function()
    local client = scripted.client(nil, { on_event = function() error "no" end })
    pcall(client.alert_ips, client, "da1")
    local stats = client:stats()
    assert.same({ 1, 1, 0 }, { stats.calls, stats.attempts, stats.errors })
  end)

  it("do not count bad arguments", function()
    local client = scripted.client()
    pcall(client.alert_ips, client, "")
    assert.same(ZERO, client:stats())
  end)

  it("are a new table each time", function()
    local client = scripted.client()
    client:stats().calls = 100
    assert.same(ZERO, client:stats())
  end)
end)

-- client:start, step and pollable; call:done, result and cancel: many calls at once, driven by the script.
local mde = require "mde"
local testing = require "mde.testing"
local connect = require "spec.support.connect"
local readable = require "spec.support.readable"
local scripted = require "spec.support.scripted"
local simulator = require "spec.support.simulator"
local stopwatch = require "spec.support.stopwatch"

local EMPTY = scripted.EMPTY
local ALERT = "da637472900382838869_1364969609"

local function collect()
  local jit = rawget(_G, "jit")
  if jit then jit.flush() end -- compiled code holds the functions that it was made from
  collectgarbage()
  collectgarbage()
end

--- Runs it on a stack of its own, which goes when it ends: no register is left that still shows an object.
local function aside(run) coroutine.wrap(run)() end

--- Answers each request after so many seconds with one address, which tells the request's number.
local function slow(seconds)
  local count = 0
  return function()
    count = count + 1
    return { seconds = seconds, body = ('{"value":[{"id":"%d"}]}'):format(count) }
  end
end

local function start_many(client, count, options)
  local calls = {}
  for i = 1, count do calls[i] = client:start("alert_ips", "da" .. i, options) end
  return calls
end

--- Drives until nothing is left to do; returns the number of steps.
local function finish(client)
  local steps = 0
  repeat
    steps = steps + 1
    assert(steps < 10000, "no end")
  until client:step(60) == 0
  return steps
end

--- However many steps that takes.
local function finish_all(client)
  repeat until client:step(60) == 0
end

local function paths(client)
  local list = {}
  for i, request in ipairs(testing.requests(client)) do list[i] = request.path:match "/alerts/([^/?]+)" end
  return list
end

describe("client:start", function()
  it("sends nothing by itself, and takes no time", function()
    local client = scripted.client()
    local now = testing.now()
    local call = client:start("alert_ips", "da1")
    assert.is_false(call:done())
    assert.equal(0, #testing.requests(client))
    assert.equal(now, testing.now())
    assert.equal(1, client:stats().calls)
  end)

  it("takes what the operation's method takes", function()
    local client = scripted.client(scripted.always{ body = '{"id":"x","value":[]}' })
    for _, name in ipairs{ "alert_ips", "alert", "alert_domains", "alert_files", "alert_machine", "alert_user" } do
      local call = client:start(name, "da1", { timeout = 3, budget = 9, max_attempts = 1, max_body = 1000 })
      finish(client)
      assert.is_table(call:result())
      assert.equal(name, testing.requests(client)[#testing.requests(client)].operation)
    end
    local list = client:start("alerts", { filter = "severity eq 'High'", top = 5, max_items = 7 })
    finish(client)
    assert.same({}, list:result())
    local path = testing.requests(client)[7].path
    assert.matches("top=5", path)
    assert.matches("filter=severity", path)
  end)

  it("refuses what the operation's method refuses, and names the argument", function()
    local client = scripted.client()
    local function refused(...) return scripted.raised(client.start, client, ...) end
    assert.matches("there is no operation 'alert_ip'", refused("alert_ip", "da1"))
    assert.matches("string expected", refused())
    assert.matches("string expected", refused(5))
    assert.matches("string expected", refused("alert_ips"))
    assert.matches("string expected", refused("alert_ips", 5))
    assert.matches("an id must not be empty", refused("alert_ips", ""))
    assert.matches("an id must not be empty", refused("alert_ips", ".."))
    assert.matches("did you mean 'timeout'", refused("alert_ips", "da1", { timeuot = 1 }))
    assert.matches("unknown option 'filter'", refused("alert_ips", "da1", { filter = "x" }))
    assert.matches("option 'timeout'", refused("alert_ips", "da1", { timeout = -1 }))
    assert.matches("table expected", refused("alert_ips", "da1", 5))
    assert.equal(0, client:step())
    assert.equal(0, client:stats().calls)
  end)

  it("has methods that refuse any other object", function()
    local client = scripted.client()
    local call = client:start("alert_ips", "da1")
    for _, object in ipairs{ io.stdout, {}, "call", 5, client } do
      for _, method in ipairs{ "done", "result", "cancel" } do
        assert.matches("mde.call expected", scripted.raised(call[method], object))
      end
      if object ~= client then
        for _, method in ipairs{ "start", "step", "pollable" } do
          assert.matches("mde.client expected", scripted.raised(client[method], object, "alert_ips"))
        end
      end
    end
    assert.is_false(getmetatable(call))
  end)

  it("prints its operation and its state, never an id", function()
    local client = scripted.client()
    local call = client:start("alert_ips", "da1")
    assert.equal("mde.call (alert_ips, under way)", tostring(call))
    finish(client)
    assert.equal("mde.call (alert_ips, done)", tostring(call))
  end)
end)

describe("call:result", function()
  it("raises before the call is done", function()
    local client = scripted.client(slow(1))
    local call = client:start("alert_ips", "da1")
    assert.matches("not done yet", scripted.raised(call.result, call))
    client:step()
    assert.matches("not done yet", scripted.raised(call.result, call))
    finish(client)
    assert.same({ { id = "1" } }, call:result())
  end)

  it("returns the same value each time", function()
    local client = scripted.client(slow(1))
    local call = client:start("alert_ips", "da1")
    finish(client)
    assert.is_true(call:done())
    local value = call:result()
    collect()
    assert.is_true(rawequal(value, call:result()))
    assert.equal(1, select("#", call:result()))
  end)

  it("returns nil and the same error each time", function()
    local client = scripted.client{ { status = 404 } }
    local call = client:start("alert_ips", "da1")
    finish(client)
    local value, err = call:result()
    assert.is_nil(value)
    assert.equal("not_found", err.kind)
    assert.equal("alert_ips", err.operation)
    assert.equal(1, err.attempts)
    collect()
    assert.is_true(rawequal(err, (select(2, call:result()))))
    assert.equal(1, client:stats().errors)
  end)

  it("is null where the answer is", function()
    local client = scripted.client{ '{"value":[null]}' }
    local call = client:start("alert_ips", "da1")
    finish(client)
    assert.same({ mde.null }, call:result())
  end)

  it("outlives the client", function()
    local client = scripted.client()
    local call = client:start("alert_ips", "da1")
    finish(client)
    client:close()
    client = nil -- luacheck: ignore
    collect()
    assert.same({}, call:result())
  end)
end)

describe("client:step", function()
  it("returns the number of calls that are not finished", function()
    local client = scripted.client(function(request)
      return { seconds = tonumber(request.path:match "/da(%d)/"), body = EMPTY }
    end)
    assert.equal(0, client:step())
    start_many(client, 3)
    assert.equal(3, client:step())
    assert.equal(2, client:step(10))
    assert.equal(1, client:step(10))
    assert.equal(0, client:step(10))
    assert.equal(0, client:step(10))
  end)

  it("returns as soon as a call is finished", function()
    local client = scripted.client(slow(2))
    client:start("alert_ips", "da1")
    local now = testing.now()
    assert.equal(0, client:step(60))
    assert.equal(2, scripted.rounded(testing.now() - now))
  end)

  it("never waits without seconds, however often it is called", function()
    local client = scripted.client(slow(2))
    local call = client:start("alert_ips", "da1")
    local now = testing.now()
    for _ = 1, 100 do assert.equal(1, client:step()) end
    assert.equal(1, client:step(0))
    assert.equal(now, testing.now())
    testing.advance(1.999)
    assert.equal(1, client:step())
    testing.advance(0.001)
    assert.equal(0, client:step())
    assert.is_true(call:done())
  end)

  it("waits at most so many seconds", function()
    local client = scripted.client(slow(2))
    client:start("alert_ips", "da1")
    local now = testing.now()
    assert.equal(1, client:step(0.5))
    assert.equal(0.5, scripted.rounded(testing.now() - now))
    assert.equal(1, client:step(1.25))
    assert.equal(1.75, scripted.rounded(testing.now() - now))
    assert.equal(0, client:step(1.25))
    assert.equal(2, scripted.rounded(testing.now() - now))
  end)

  it("takes no time when there is nothing to do", function()
    local client = scripted.client()
    local now = testing.now()
    for _, seconds in ipairs{ 0, 1, 1000, math.huge } do assert.equal(0, client:step(seconds)) end
    assert.equal(now, testing.now())
  end)

  it("refuses what are no seconds", function()
    local client = scripted.client()
    assert.matches("0 or more", scripted.raised(client.step, client, -1))
    assert.matches("0 or more", scripted.raised(client.step, client, 0 / 0))
    assert.matches("number expected", scripted.raised(client.step, client, {}))
  end)

  it("drives calls in the order in which they were started", function()
    local client = scripted.client(slow(1), { concurrency = 3 })
    local calls = start_many(client, 20)
    finish(client)
    local sent = paths(client)
    for i = 1, 20 do
      assert.equal("da" .. i, sent[i])
      assert.same({ { id = tostring(i) } }, calls[i]:result())
    end
  end)

  it("keeps the order in which calls came while they wait for quota", function()
    local client = scripted.client(nil, { rate_limit = { [1] = 2 } })
    start_many(client, 9)
    finish(client)
    assert.same({ "da1", "da2", "da3", "da4", "da5", "da6", "da7", "da8", "da9" }, paths(client))
  end)

  it("has no more in flight than the client's concurrency", function()
    for _, concurrency in ipairs{ 1, 3, 8 } do
      local client = scripted.client(slow(1), { concurrency = concurrency })
      start_many(client, 24)
      local largest = 0
      repeat
        local left = client:step(0.25)
        largest = math.max(largest, client:stats().in_flight)
      until left == 0
      assert.equal(concurrency, largest)
      for i, gap in ipairs(scripted.gaps(client)) do
        assert.is_true(gap == (i % concurrency == 0 and 1 or 0), ("gap %d: %g"):format(i, gap))
      end
    end
  end)

  it("lets several pause and be retried at once", function()
    local asked = {}
    local client, events = scripted.client(function(request)
      asked[request.path] = (asked[request.path] or 0) + 1
      if asked[request.path] == 1 then return { status = 503, headers = { ["Retry-After"] = 2 } } end
      return EMPTY
    end)
    local calls = start_many(client, 5)
    local now = testing.now()
    finish(client)
    for _, call in ipairs(calls) do assert.same({}, call:result()) end
    assert.equal(10, #testing.requests(client))
    assert.equal(5, #scripted.of_kind(events, "wait"))
    assert.equal(5, client:stats().retries)
    assert.equal(2, scripted.rounded(testing.now() - now))
  end)

  it("keeps each call's budget, timeout and attempts", function()
    local client = scripted.client(function(request)
      if request.path:find "da4" then return { status = 503 } end
      return { seconds = 5, body = EMPTY }
    end)
    local budget = client:start("alert_ips", "da1", { budget = 1 })
    local timeout = client:start("alert_ips", "da2", { timeout = 2, max_attempts = 1 })
    local patient = client:start("alert_ips", "da3")
    local attempts = client:start("alert_ips", "da4", { max_attempts = 2 })
    local now = testing.now()
    local function ended(call)
      while not call:done() do client:step(60) end
      return scripted.rounded(testing.now() - now), select(2, call:result())
    end
    local seconds, err = ended(budget)
    assert.equal("timeout", err.kind)
    assert.equal(1, seconds)
    seconds, err = ended(timeout)
    assert.equal("timeout", err.kind)
    assert.equal(2, seconds)
    seconds = ended(patient)
    assert.equal(5, seconds)
    assert.same({}, patient:result())
    err = select(2, attempts:result())
    assert.equal("http", err.kind)
    assert.equal(2, err.attempts)
  end)

  it("ends a call at once whose quota comes after its budget", function()
    local client = scripted.client(nil, { rate_limit = { [60] = 1 } })
    client:start("alert_ips", "da1")
    local late = client:start("alert_ips", "da2", { budget = 5 })
    local now = testing.now()
    while not late:done() do client:step(60) end
    assert.equal(now, testing.now())
    local _, err = late:result()
    assert.equal("rate_limited", err.kind)
    assert.is_true(err.retry_after > 59)
    assert.equal(0, err.attempts)
  end)

  it("counts a budget from the start of the call, not from its turn", function()
    local client = scripted.client(slow(2), { concurrency = 1 })
    local calls = start_many(client, 3, { budget = 3 })
    local now = testing.now()
    finish(client)
    assert.is_table(calls[1]:result())
    assert.equal("timeout", select(2, calls[2]:result()).kind)
    assert.equal("timeout", select(2, calls[3]:result()).kind)
    assert.equal(0, select(2, calls[3]:result()).attempts)
    assert.equal(3, scripted.rounded(testing.now() - now))
  end)

  it("ends each call that never had a place when its own budget is over", function()
    local client = scripted.client(slow(100), { concurrency = 1 })
    client:start("alert_ips", "first")
    local now, calls = testing.now(), {}
    for i, budget in ipairs{ 7, 3, 50, 3 } do calls[i] = client:start("alert_ips", "da" .. i, { budget = budget }) end
    local ends = {}
    for _ = 1, 10 do
      client:step(1)
      for i, call in ipairs(calls) do
        ends[i] = ends[i] or (call:done() and scripted.rounded(testing.now() - now) or nil)
      end
    end
    assert.same({ 7, 3, nil, 3 }, ends)
    assert.equal("timeout", select(2, calls[1]:result()).kind)
    assert.same({ "first" }, paths(client))
    assert.equal(20, scripted.rounded(select(2, client:pollable()))) -- the first one's timeout
  end)

  it("lets no newcomer overtake those that wait for a place", function()
    local client = scripted.client(slow(1), { concurrency = 2 })
    start_many(client, 5)
    client:step(60)
    client:start("alert_ips", "late")
    client:start("alert_ips", "later")
    finish(client)
    assert.same({ "da1", "da2", "da3", "da4", "da5", "late", "later" }, paths(client))
  end)

  it("does not wait for calls that nobody holds any more", function()
    local client = testing.client{ token = "token", answers = slow(0.001), rate_limit = false }
    start_many(client, 8000)
    local steps = 0
    while client:step(60) > 0 do -- this allocates nothing, so no finalizer is called
      steps = steps + 1
      assert(steps < 20000, "no end")
    end
    assert.equal(0, client:stats().in_flight)
  end)

  it("costs no more for a call among many that wait for a place #timing", function()
    local function cost(count)
      local client = testing.client{ token = "token", answers = slow(0.001), rate_limit = false }
      collectgarbage()
      local began = os.clock()
      local calls = start_many(client, count)
      finish_all(client)
      return (os.clock() - began) / #calls
    end
    local few, many = math.huge, math.huge
    for _ = 1, 5 do few, many = math.min(few, cost(500)), math.min(many, cost(8000)) end
    assert.is_true(many < 4 * few, ("%.1f us among 500, %.1f among 8000"):format(few * 1e6, many * 1e6))
  end)

  it("does not turn in circles while all wait for quota", function()
    local client, events = scripted.client(nil, { rate_limit = { [100] = 1 } })
    start_many(client, 10)
    local steps = finish(client)
    assert.is_true(steps < 30, steps .. " steps")
    assert.is_true(#scripted.of_kind(events, "wait") < 100, #scripted.of_kind(events, "wait") .. " waits")
  end)

  it("asks for a token once, whoever needs it", function()
    local asked = 0
    local client = scripted.client(nil, { token = function()
      asked = asked + 1
      return "token", 3600
    end })
    start_many(client, 10)
    finish(client)
    assert.equal(1, asked)
    assert.equal(10, #testing.requests(client))
  end)

  it("asks for another token once when many are refused together", function()
    local asked = 0
    local client = scripted.client(function()
      return { seconds = 1, status = asked == 1 and 401 or 200, body = EMPTY }
    end, { token = function()
      asked = asked + 1
      return "token" .. asked, 3600
    end })
    local calls = start_many(client, 8)
    finish(client)
    assert.equal(2, asked)
    for _, call in ipairs(calls) do assert.same({}, call:result()) end
  end)

  it("follows the pages of several lists at once", function()
    local client = scripted.client(function(request)
      local skip = tonumber(request.url:match "skip=(%d+)") or 0
      local link = skip < 20 and ',"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip='
        .. (skip + 10) .. '"' or ""
      return { seconds = 1, body = ('{"value":[{"id":"%d"}]%s}'):format(skip, link) }
    end)
    local one, other = client:start "alerts", client:start "alerts"
    local now = testing.now()
    finish(client)
    local expected = { { id = "0" }, { id = "10" }, { id = "20" } }
    assert.same(expected, one:result())
    assert.same(expected, other:result())
    assert.equal(3, scripted.rounded(testing.now() - now))
  end)

  it("passes an answer's error in mde.testing on, and goes on with the others", function()
    local client = scripted.client{ EMPTY }
    local calls = start_many(client, 2)
    assert.matches("no answer is left", scripted.raised(client.step, client))
    finish(client)
    assert.same({}, calls[1]:result())
    assert.equal("cancelled", select(2, calls[2]:result()).kind)
  end)

  it("passes on what on_event raises, and the client stays usable", function()
    for _, kind in ipairs{ "attempt", "wait", "page", "token" } do
      local armed = true
      local answers = { { status = 503 }, '{"value":[{"id":"1"}]}', '{"value":[]}', '{"value":[]}' }
      local client = scripted.client(function()
        return table.remove(answers, 1) or EMPTY
      end, { token = function() return "token", 3600 end, on_event = function(event)
        if armed and event.kind == kind then
          armed = false
          error "no events, please"
        end
      end })
      local calls = { client:start "alerts", client:start "alerts", client:start "alerts" }
      local raised = scripted.raised(function() finish(client) end)
      assert.matches("no events, please", raised, 1, true)
      finish(client)
      local cancelled = 0
      for _, call in ipairs(calls) do
        assert.is_true(call:done())
        local value, err = call:result()
        assert.is_true(value ~= nil or err.kind == "cancelled", kind)
        if not value then cancelled = cancelled + 1 end
      end
      assert.is_true(cancelled <= 1)
      assert.same({}, client:alert_ips "da1")
      assert.equal(0, client:stats().in_flight)
    end
  end)

  it("does not raise an error that is no string in another form", function()
    local thrown = {}
    local client = scripted.client(nil, { on_event = function() error(thrown) end })
    client:start("alert_ips", "da1")
    local ok, err = pcall(client.step, client)
    assert.is_false(ok)
    assert.is_true(rawequal(thrown, err))
  end)

  it("may not be used, nor start or pollable, by what it calls", function()
    for _, method in ipairs{ "start", "step", "pollable", "each" } do
      local client, message
      client = scripted.client(nil, { on_event = function()
        message = scripted.raised(client[method], client, method ~= "step" and "alert_ips" or nil, "da2")
      end })
      client:start("alert_ips", "da1")
      finish(client)
      assert.is_string(message)
      assert.is_nil(message:find("expected", 1, true), message)
    end
  end)

  it("lets its callbacks cancel calls", function()
    local client, calls
    client = scripted.client(slow(1), { on_event = function()
      for _, call in ipairs(calls) do call:cancel() end
    end })
    calls = start_many(client, 4)
    finish(client)
    for _, call in ipairs(calls) do assert.is_true(call:done()) end
    assert.equal(0, client:stats().in_flight)
    for _, method in ipairs{ "alert_ips", "alert" } do assert.is_table((client[method](client, "da1"))) end
  end)

  it("lets every callback cancel the call that it is called for, at every moment", function()
    local function counting_quota(heard)
      local quota = { remaining = print }
      function quota.reserve() heard() return {} end
      function quota.settle() heard() end
      function quota.penalize() heard() end
      return quota
    end
    local function run(cancel_at)
      local client, call
      local count = 0
      local function heard()
        count = count + 1
        if count == cancel_at then
          call:cancel()
          call:cancel()
          debug.getmetatable(call).__gc(call)
        end
      end
      client = testing.client{
        token = function() heard() return "token", 3600 end, on_event = heard, quota = counting_quota(heard),
        answers = {
          { error = "timeout" }, { status = 401 }, { status = 429, headers = { ["Retry-After"] = 1 } },
          '{"value":[],"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip=1"}', EMPTY, EMPTY,
        },
      }
      call = client:start "alerts"
      finish(client)
      assert.is_true(call:done())
      local value, err = call:result()
      assert.is_true(value ~= nil or err.kind == "cancelled")
      assert.equal(0, client:stats().in_flight)
      return count, value
    end
    local count, value = run(0)
    assert.same({}, value)
    assert.is_true(count > 12, count)
    local cancelled = 0
    for i = 1, count do
      if select(2, run(i)) == nil then cancelled = cancelled + 1 end
    end
    assert.is_true(cancelled >= count - 2, cancelled .. " of " .. count)
  end)

  it("lets its callbacks collect garbage, calls among it", function()
    local client
    client = scripted.client(slow(1), { on_event = collect })
    aside(function() start_many(client, 20) end)
    local kept = client:start("alert_ips", "kept")
    finish(client)
    assert.is_table((kept:result()))
  end)

  it("works from any coroutine", function()
    local client = scripted.client(slow(1))
    local call = coroutine.wrap(function() return client:start("alert_ips", "da1") end)()
    coroutine.wrap(function() client:step(5) end)()
    assert.same({ { id = "1" } }, coroutine.wrap(function() return call:result() end)())
  end)

  it("drives hundreds of calls", function()
    local client = scripted.client(slow(1), { concurrency = 100, rate_limit = false })
    local calls = start_many(client, 1000)
    local now = testing.now()
    finish(client)
    for i, call in ipairs(calls) do assert.same({ { id = tostring(i) } }, call:result()) end
    assert.equal(10, scripted.rounded(testing.now() - now))
  end)
end)

describe("a blocking method", function()
  it("works while others are in flight, and drives them", function()
    local client = scripted.client(slow(1))
    local calls = start_many(client, 3)
    client:step()
    assert.same({ { id = "4" } }, client:alert_ips "other")
    for _, call in ipairs(calls) do assert.is_true(call:done()) end
    assert.equal(0, client:step())
  end)

  it("waits for its turn behind them", function()
    local client = scripted.client(slow(1), { concurrency = 1 })
    start_many(client, 3)
    assert.equal(4, (scripted.timed(client.alert_ips, client, "other")))
    assert.same({ "da1", "da2", "da3", "other" }, paths(client))
  end)

  it("leaves those alone that take longer", function()
    local client = scripted.client(function(request)
      return { seconds = request.path:find "da" and 10 or 1, body = EMPTY }
    end)
    local calls = start_many(client, 3)
    assert.equal(1, (scripted.timed(client.alert_ips, client, "other")))
    for _, call in ipairs(calls) do assert.is_false(call:done()) end
    assert.equal(3, client:step())
    finish(client)
    for _, call in ipairs(calls) do assert.same({}, call:result()) end
  end)

  it("passes on what on_event raises about another call, and the client stays usable", function()
    local armed = true
    local client = scripted.client(slow(1), { on_event = function()
      if armed then
        armed = false
        error "no events, please"
      end
    end })
    local calls = start_many(client, 3)
    assert.matches("no events, please", scripted.raised(client.alert_ips, client, "other"))
    finish(client)
    for _, call in ipairs(calls) do assert.is_table((call:result())) end
    assert.equal(0, client:stats().in_flight)
    assert.is_table((client:alert_ips "then"))
  end)
end)

describe("call:cancel", function()
  it("ends a call that was not sent, and gives its place back", function()
    local client = scripted.client(nil, { rate_limit = { [60] = 1 } })
    local call = client:start("alert_ips", "da1")
    call:cancel()
    assert.is_true(call:done())
    local value, err = call:result()
    assert.is_nil(value)
    assert.equal("cancelled", err.kind)
    assert.equal("alert_ips", err.operation)
    assert.equal(0, err.attempts)
    assert.equal(0, client:step(5))
    assert.equal(0, #testing.requests(client))
    assert.equal(0, (scripted.timed(client.alert_ips, client, "da2")))
  end)

  it("ends a call that is in flight, whose request counts", function()
    local client = scripted.client(slow(5), { rate_limit = { [60] = 1 } })
    local call = client:start("alert_ips", "da1")
    client:step()
    assert.equal(1, client:stats().in_flight)
    call:cancel()
    assert.equal(0, client:stats().in_flight)
    local _, err = call:result()
    assert.equal("cancelled", err.kind)
    assert.equal(1, err.attempts)
    assert.equal(1, client:stats().attempts)
    assert.equal(0, client:step())
    local _, limited = client:alert_ips("da2", { budget = 1 })
    assert.equal("rate_limited", limited.kind)
  end)

  it("ends a call that waits for its quota or its next attempt", function()
    local client = scripted.client({ EMPTY, { status = 503, headers = { ["Retry-After"] = 9 } }, EMPTY },
      { rate_limit = { [60] = 2 } })
    client:alert_ips "da1"
    local paused = client:start("alert_ips", "da2")
    local limited = client:start("alert_ips", "da3")
    client:step()
    paused:cancel()
    limited:cancel()
    assert.equal(0, client:step())
    assert.equal(1, select(2, paused:result()).attempts)
    assert.equal(0, select(2, limited:result()).attempts)
    assert.equal("cancelled", select(2, paused:result()).kind)
    assert.equal("cancelled", select(2, limited:result()).kind)
  end)

  it("makes room for the next", function()
    local client = scripted.client(slow(5), { concurrency = 1 })
    local calls = start_many(client, 2)
    client:step()
    calls[1]:cancel()
    local now = testing.now()
    finish(client)
    assert.equal(5, scripted.rounded(testing.now() - now))
    assert.same({ { id = "2" } }, calls[2]:result())
  end)

  it("may be called twice, and changes nothing of what is done", function()
    local client = scripted.client(slow(1))
    local call, done = client:start("alert_ips", "da1"), client:start("alert_ips", "da2")
    assert.equal(0, select("#", call:cancel()))
    local _, err = call:result()
    call:cancel()
    assert.is_true(rawequal(err, (select(2, call:result()))))
    finish(client)
    done:cancel()
    assert.is_table((done:result()))
  end)

  it("may be called when the client is closed or gone", function()
    local client = scripted.client(slow(1))
    local call = client:start("alert_ips", "da1")
    client:close()
    call:cancel()
    assert.equal("closed", select(2, call:result()).kind)
    client = nil -- luacheck: ignore
    collect()
    call:cancel()
    assert.equal("closed", select(2, call:result()).kind)
  end)
end)

describe("a closed client", function()
  it("starts nothing, steps nothing and has nothing to poll", function()
    local client = scripted.client()
    client:close()
    for method, operation in pairs{ start = "alert_ips", step = "step", pollable = "pollable" } do
      local value, err = client[method](client, method == "start" and "alert_ips" or nil, "da1")
      assert.is_nil(value)
      assert.equal("closed", err.kind)
      assert.equal(operation, err.operation)
    end
    assert.is_false(pcall(client.start, client, "alert_ips"))
    assert.is_false(pcall(client.step, client, -1))
  end)

  it("ends what was in flight or waiting as closed", function()
    local client = scripted.client(slow(5), { concurrency = 1 })
    local calls = start_many(client, 2)
    client:step()
    client:close()
    for i, call in ipairs(calls) do
      assert.is_true(call:done())
      local value, err = call:result()
      assert.is_nil(value)
      assert.equal("closed", err.kind)
      assert.equal("alert_ips", err.operation)
      assert.equal(i == 1 and 1 or 0, err.attempts)
      assert.is_true(rawequal(err, (select(2, call:result()))))
    end
  end)

  it("keeps what was done before", function()
    local client = scripted.client(slow(1))
    local call = client:start("alert_ips", "da1")
    finish(client)
    client:close()
    assert.same({ { id = "1" } }, call:result())
  end)

  it("may be closed by a callback in the middle of a step", function()
    local client
    client = scripted.client(slow(1), { on_event = function() client:close() end })
    local calls = start_many(client, 3)
    for _ = 1, 3 do client:step(5) end
    for _, call in ipairs(calls) do
      assert.is_true(call:done())
      assert.equal("closed", select(2, call:result()).kind)
    end
    assert.equal("closed", select(2, client:step()).kind)
  end)
end)

describe("a call", function()
  it("keeps its client alive", function()
    local witness, call = setmetatable({}, { __mode = "k" }), nil
    aside(function()
      local client = scripted.client(slow(1))
      witness[client] = true
      call = client:start("alert_ips", "da1")
    end)
    collect()
    local client = assert(next(witness))
    assert.is_false(call:done())
    finish(client)
    assert.same({ { id = "1" } }, call:result())
  end)

  it("is collected with its client when nobody holds either", function()
    local witness = setmetatable({}, { __mode = "k" })
    aside(function()
      local client = scripted.client(slow(1))
      local calls = start_many(client, 3)
      client:step()
      witness[client], witness[calls[1]], witness[calls[3]] = true, true, true
    end)
    collect()
    collect()
    assert.is_nil(next(witness))
  end)

  it("that is dropped is cancelled with the next collection, and its request counts", function()
    local client = scripted.client(slow(5), { rate_limit = { [60] = 1 }, concurrency = 1 })
    aside(function()
      client:start("alert_ips", "da1")
      client:step()
    end)
    assert.equal(1, client:stats().in_flight)
    collect()
    assert.equal(0, client:stats().in_flight)
    assert.equal(0, client:step())
    assert.equal(1, client:stats().attempts)
    local _, err = client:alert_ips("da2", { budget = 1 })
    assert.equal("rate_limited", err.kind)
  end)

  it("that is dropped before it was sent costs nothing", function()
    local client = scripted.client(slow(1), { rate_limit = { [60] = 1 } })
    aside(function() client:start("alert_ips", "da1") end)
    collect()
    assert.equal(0, client:step())
    assert.equal(1, (scripted.timed(client.alert_ips, client, "da2")))
    assert.same({ "da2" }, paths(client))
  end)

  it("that is dropped gives its slot of a shared quota back as abandoned", function()
    local quota = testing.quota{ rate_limit = { [60] = 3 } }
    local client = scripted.client(slow(5), { quota = quota })
    aside(function()
      start_many(client, 2)
      client:step()
      client:start("alert_ips", "not sent")
    end)
    collect()
    assert.equal(0, client:step())
    assert.equal(1, quota:remaining("alert_ips")[60])
    testing.advance(61) -- the service may have got them later than they were given up
    assert.equal(1, quota:remaining("alert_ips")[60])
    testing.advance(600)
    assert.equal(3, quota:remaining("alert_ips")[60])
  end)

  it("that is cancelled settles its slot of a script's quota, as far as can be", function()
    local settled = {}
    local quota = { penalize = print, remaining = print }
    function quota.reserve() return {} end
    function quota.settle(_, _, _, how) settled[#settled + 1] = how end
    local client = scripted.client(slow(1), { quota = quota })
    local calls = start_many(client, 2)
    client:step()
    calls[1]:cancel()
    finish(client)
    assert.equal("answered", settled[#settled])
    assert.is_table((calls[2]:result()))
  end)

  it("keeps nothing of many that are done", function()
    local client = testing.client{ token = "token", answers = scripted.always(EMPTY), rate_limit = false }
    local requests = testing.requests(client)
    local function churn(count)
      for i = 1, count do
        client:start("alert_ips", "da1")
        client:step()
        requests[1] = nil
        if i % 100 == 0 then collectgarbage() end
      end
      collect()
      return collectgarbage "count"
    end
    local before = churn(500)
    assert.is_true(churn(3000) - before < 60, "Lua's memory grows")
  end)
end)

describe("client:pollable", function()
  local function seconds(client)
    local list, due = client:pollable()
    assert.is_table(list)
    return due and scripted.rounded(due)
  end

  it("is nil seconds when there is nothing to do", function()
    assert.is_nil(seconds(scripted.client()))
  end)

  it("is 0 when something was started or has come", function()
    local client = scripted.client(slow(2))
    client:start("alert_ips", "da1")
    assert.equal(0, seconds(client))
    client:step()
    assert.equal(2, seconds(client))
    testing.advance(0.5)
    assert.equal(1.5, seconds(client))
    testing.advance(2)
    assert.equal(0, seconds(client))
    client:step()
    assert.is_nil(seconds(client))
  end)

  it("is the time until the next attempt", function()
    local client = scripted.client{ { status = 503, headers = { ["Retry-After"] = 7 } }, EMPTY }
    client:start("alert_ips", "da1")
    for _ = 1, 2 do client:step() end
    assert.equal(7, seconds(client))
    testing.advance(7)
    assert.equal(0, seconds(client))
  end)

  it("is the time until quota is there, or the budget is over", function()
    local client = scripted.client(nil, { rate_limit = { [60] = 1 } })
    client:alert_ips "da1"
    local call = client:start("alert_ips", "da2")
    client:step()
    local due = seconds(client)
    assert.is_true(due > 59 and due < 61, tostring(due))
    testing.advance(due)
    assert.equal(0, seconds(client))
    client:step()
    client:step()
    assert.is_true(call:done())
  end)

  it("leads a loop that sleeps as long as it says through everything", function()
    local asked = 0
    local client = scripted.client(function(request)
      asked = asked + 1
      if asked == 3 then return { status = 503 } end
      return { seconds = request.path:find "da1" and 3 or 1, body = EMPTY }
    end, { rate_limit = { [10] = 4 }, concurrency = 3 })
    local calls, rounds = start_many(client, 12), 0
    while client:step() > 0 do
      rounds = rounds + 1
      assert.is_true(rounds < 100, "it turns in circles")
      local _, due = client:pollable()
      testing.advance(assert(due))
    end
    for _, call in ipairs(calls) do assert.is_table((call:result())) end
  end)

  it("has no descriptors without a network", function()
    local client = scripted.client(slow(1))
    client:start("alert_ips", "da1")
    client:step()
    assert.same({}, (client:pollable()))
  end)
end)

describe("calls over the network", function()
  local space, client

  setup(function() simulator.start() end)
  before_each(function()
    space = simulator.namespace()
    space:control{ limits = false }
  end)
  after_each(function() client:close() end)

  --- Steps without waiting until it is so.
  local function until_true(condition)
    local stop = os.time() + 10
    while not condition() do
      assert(os.time() < stop, "it does not come true")
      client:step(0.01)
    end
  end

  for version, protocol in pairs{ ["1.1"] = "HTTP/1.1", ["2"] = "HTTP/2.0" } do
    describe("by " .. protocol, function()
      before_each(function()
        local url = version == "2" and simulator.h2_url or simulator.url
        client = connect(space, { base_url = url, http_version = version, rate_limit = false, concurrency = 16 })
      end)

      it("are in flight together, as many as the concurrency #brisk", function()
        space:fault{ delay = 0.3, times = -1 }
        local calls = {}
        for i = 1, 40 do calls[i] = client:start("alert_ips", ALERT) end
        finish(client)
        for _, call in ipairs(calls) do assert.equal(2, #assert(call:result())) end
        local report = space:report()
        assert.equal(16, report.largest_in_flight)
        assert.equal(40, #report.requests)
        for _, request in ipairs(report.requests) do assert.equal(protocol, request.http_version) end
        assert.equal(version == "2" and 1 or 16, client:stats().connections)
      end)

      if version == "2" then
        it("share one connection although they are more than libcurl itself would let #brisk", function()
          client:close()
          client = connect(space, { base_url = simulator.h2_url, http_version = "2", rate_limit = false,
            concurrency = 120 })
          assert(client:alert_ips(ALERT)) -- a new connection does not know yet how many the server allows
          space:fault{ delay = 1, times = -1 }
          local calls = {}
          for i = 1, 120 do calls[i] = client:start("alert_ips", ALERT) end
          finish(client)
          for _, call in ipairs(calls) do assert.equal(2, #assert(call:result())) end
          assert.equal(120, space:report().largest_in_flight)
          assert.equal(1, client:stats().connections)
        end)
      end

      it("leave a healthy client behind when they are cancelled #brisk", function()
        space:fault{ delay = 0.8, times = 8 }
        local calls = {}
        for i = 1, 8 do calls[i] = client:start("alert_ips", ALERT) end
        until_true(function() return space:report().in_flight == 8 end)
        for i = 1, 4 do calls[i]:cancel() end
        finish(client)
        for i = 1, 4 do assert.equal("cancelled", select(2, calls[i]:result()).kind) end
        for i = 5, 8 do assert.equal(2, #assert(calls[i]:result())) end
        for _ = 1, 5 do assert.equal(2, #assert(client:alert_ips(ALERT))) end
        assert.equal(0, client:stats().in_flight)
      end)

      it("leave a healthy client behind when they are dropped", function()
        space:fault{ delay = 1, times = 4 }
        aside(function()
          for _ = 1, 4 do client:start("alert_ips", ALERT) end
          until_true(function() return space:report().in_flight == 4 end)
        end)
        collect()
        assert.equal(0, client:step())
        assert.equal(0, client:stats().in_flight)
        for _ = 1, 5 do assert.equal(2, #assert(client:alert_ips(ALERT))) end
      end)

      it("let a blocking method through", function()
        space:fault{ operation = "alert", delay = 0.5, times = 3 }
        local slow_calls = {}
        for i = 1, 3 do slow_calls[i] = client:start("alert", ALERT) end
        client:step()
        assert.equal(2, #assert(client:alert_ips(ALERT)))
        finish(client)
        for _, call in ipairs(slow_calls) do assert.equal(ALERT, assert(call:result()).id) end
      end)

      it("make a descriptor readable when the answer comes", function()
        space:fault{ delay = 0.8 }
        local call = client:start("alert_ips", ALERT)
        until_true(function() return space:report().in_flight == 1 end)
        for _ = 1, 5 do client:step() end
        local list, seconds = client:pollable()
        assert.is_true(#list >= 1)
        for _, one in ipairs(list) do
          assert.is_true(one.events == "r" or one.events == "rw" or one.events == "w")
          assert.equal(0, one.fd % 1)
        end
        assert.is_true(seconds == nil or seconds > 0)
        assert.is_true(readable.wait(list, 5))
        until_true(function() return call:done() end)
        assert.equal(2, #assert(call:result()))
      end)

      it("go on in a loop that waits for nothing but the descriptors and the time", function()
        space:fault{ delay = 0.1, times = 10 }
        space:fault{ status = 503, headers = { ["Retry-After"] = "1" } }
        local calls, rounds = {}, 0
        for i = 1, 20 do calls[i] = client:start("alert_ips", ALERT) end
        while client:step() > 0 do
          local list, seconds = client:pollable()
          readable.wait(list, seconds or 10)
          rounds = rounds + 1
        end
        for _, call in ipairs(calls) do assert.equal(2, #assert(call:result())) end
        assert.is_true(rounds < 1000, rounds .. " rounds")
      end)
    end)
  end

  it("do not wait in step without seconds #timing", function()
    client = connect(space)
    space:fault{ delay = 1 }
    client:start("alert_ips", ALERT)
    local seconds = stopwatch.best(0.1, function() client:step() end)
    assert.is_true(seconds < 0.1, seconds .. " s")
  end)

  it("use no processor while they wait for a slow server or for quota #timing", function()
    client = connect(space, { rate_limit = { [60] = 1 } })
    space:fault{ delay = 2 }
    client:start("alert_ips", ALERT)
    client:start("alert_ips", ALERT)
    client:step(0.2)
    local before = os.clock()
    client:step(1)
    local spent = os.clock() - before
    assert.is_true(spent < 0.05, spent .. " s of processor time in a second")
  end)

  it("end as closed when the client closes in the middle", function()
    client = connect(space)
    space:fault{ delay = 5, times = 3 }
    local calls = {}
    for i = 1, 3 do calls[i] = client:start("alert_ips", ALERT) end
    until_true(function() return space:report().in_flight == 3 end)
    client:close()
    for _, call in ipairs(calls) do assert.equal("closed", select(2, call:result()).kind) end
  end)
end)

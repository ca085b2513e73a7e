-- The quota's promise: in no interval of a window's length do more than its calls reach the service.
-- The clock is mde.testing's, so that hours take milliseconds.
local testing = require "mde.testing"
local dice_of = require "spec.support.dice"
local scripted = require "spec.support.scripted"

local EMPTY = scripted.EMPTY

local function call_times(client, count, operation)
  for _ = 1, count do assert(client[operation or "alert_ips"](client, "da1")) end
end

--- Seconds on the clock that so many calls take.
local function seconds_of(client, count, operation)
  return (scripted.timed(call_times, client, count, operation))
end

--- The most moments in any interval of that length; the moments are in order.
local function most_within(moments, length)
  local most, first = 0, 1
  for last = 1, #moments do
    while moments[last] - moments[first] >= length do first = first + 1 end
    most = math.max(most, last - first + 1)
  end
  return most
end

local function sent_at(client)
  local moments = {}
  for i, request in ipairs(testing.requests(client)) do moments[i] = request.at end
  return moments
end

--- As long as the windows are, and hardly longer: the drift of two clocks is allowed for.
local function lasts(length, got)
  assert.is_true(got > length - 1e-6 and got <= length * 1.005 + 0.05, ("%g s expected, got %g s"):format(length, got))
end

describe("the documented quota", function()
  it("lets 100 calls of an operation through at once, and the next after a minute", function()
    local client = scripted.client()
    assert.equal(0, seconds_of(client, 100))
    lasts(60, seconds_of(client, 1))
  end)

  it("lets 1500 calls of an operation through in an hour, and the next after it", function()
    local client = scripted.client()
    call_times(client, 1501)
    local moments = sent_at(client)
    lasts(14 * 60, moments[1500] - moments[1])
    lasts(3600, moments[1501] - moments[1])
  end)

  it("holds for each operation by itself", function()
    local client = scripted.client(scripted.always '{"value":[],"id":"1"}')
    for _, operation in ipairs{ "alert_ips", "alert_domains", "alert_files", "alert", "alert_machine", "alert_user" } do
      assert.equal(0, seconds_of(client, 100, operation))
    end
    assert.equal(0, (scripted.timed(client.alerts, client)))
    lasts(60, seconds_of(client, 1, "alert_files"))
  end)

  it("holds for each client by itself", function()
    local one, other = scripted.client(), scripted.client()
    assert.equal(0, seconds_of(one, 100))
    assert.equal(0, seconds_of(other, 100))
  end)

  it("is used to the full for two hours, exceeded never, and takes hardly any time to run", function()
    local client = scripted.client()
    local start = os.clock()
    call_times(client, 3000)
    local real = os.clock() - start
    local moments = sent_at(client)
    assert.equal(3000, #moments)
    assert.equal(100, most_within(moments, 60))
    assert.equal(1500, most_within(moments, 3600))
    local ideal = 3600 + 14 * 60 -- the second hour's first burst begins when the first hour is over
    assert.is_true(moments[3000] - moments[1] <= ideal / 0.99, "at least 99 % of the theoretical maximum")
    assert.is_true(real < 3, "two hours took " .. real .. " s")
  end)
end)

describe("a wait for quota", function()
  it("is told to on_event, and counted", function()
    local client, events = scripted.client(nil, { rate_limit = { [10] = 2 } })
    call_times(client, 3)
    local waits = scripted.of_kind(events, "wait")
    assert.equal(1, #waits)
    assert.equal("quota", waits[1].reason)
    assert.equal("alert_ips", waits[1].operation)
    lasts(10, waits[1].seconds)
    lasts(10, client:stats().waited_seconds)
  end)

  it("is not begun if it would pass the budget: rate_limited at once, with retry_after", function()
    local client, events = scripted.client(nil, { rate_limit = { [60] = 1 }, budget = 50 })
    call_times(client, 1)
    testing.advance(5)
    local seconds, _, err = scripted.timed(client.alert_ips, client, "da1")
    assert.equal(0, seconds)
    assert.equal("rate_limited", err.kind)
    lasts(60 - 5, err.retry_after)
    assert.equal(0, err.attempts)
    assert.is_nil(err.status)
    assert.is_true(err.retryable)
    assert.matches("alert_ips: the quota is used up", tostring(err))
    assert.same({}, scripted.of_kind(events, "wait"))
    assert.equal(0, client:stats().throttled)
    assert.equal(1, #testing.requests(client))
  end)

  it("is over after the retry_after that the error names", function()
    local client = scripted.client(nil, { rate_limit = { [60] = 1 }, budget = 1 })
    call_times(client, 1)
    local _, err = client:alert_ips "da1"
    testing.advance(err.retry_after)
    assert.equal(0, seconds_of(client, 1))
  end)

  it("is begun if it fits into the budget", function()
    local client = scripted.client(nil, { rate_limit = { [60] = 1 }, budget = 61 })
    lasts(60, seconds_of(client, 2))
  end)

  it("in the middle of a call ends it, too, when the budget is passed", function()
    local client = scripted.client(scripted.always{ status = 500 },
      { rate_limit = { [60] = 2 }, budget = 30, jitter = 0 })
    local seconds, _, err = scripted.timed(client.alert_ips, client, "da1")
    assert.equal(0, seconds)
    assert.equal("rate_limited", err.kind)
    assert.equal(2, err.attempts)
  end)
end)

describe("rate_limit", function()
  it("replaces the documented windows", function()
    local client = scripted.client(nil, { rate_limit = { [1] = 20 } })
    assert.equal(0, seconds_of(client, 20))
    lasts(1, seconds_of(client, 1))
    lasts(99, seconds_of(client, 20 * 99))
  end)

  it("may have several windows, and keeps all of them", function()
    local client = scripted.client(nil, { rate_limit = { [1] = 3, [10] = 12, [100] = 50 } })
    call_times(client, 200)
    local moments = sent_at(client)
    assert.equal(3, most_within(moments, 1))
    assert.equal(12, most_within(moments, 10))
    assert.equal(50, most_within(moments, 100))
  end)

  it("may have windows of parts of a second", function()
    lasts(9 * 0.25, seconds_of(scripted.client(nil, { rate_limit = { [0.25] = 1 } }), 10))
  end)

  it("is the same for every operation", function()
    local client = scripted.client(nil, { rate_limit = { [10] = 1 } })
    assert.equal(0, seconds_of(client, 1, "alert_ips"))
    assert.equal(0, seconds_of(client, 1, "alert_files"))
    lasts(10, seconds_of(client, 1, "alert_files"))
  end)

  it("is none when it is false", function()
    assert.equal(0, seconds_of(scripted.client(nil, { rate_limit = false }), 2000))
  end)
end)

describe("a slot", function()
  it("is held until a window after the answer, not after the sending", function()
    local client = scripted.client(scripted.always{ seconds = 4, body = EMPTY }, { rate_limit = { [10] = 2 } })
    call_times(client, 3)
    local moments = sent_at(client)
    lasts(14, moments[3] - moments[1])
  end)

  it("is held longer after a time-out, since the request may still be under way", function()
    local client = scripted.client({ { error = "timeout" }, EMPTY }, { rate_limit = { [10] = 1 }, timeout = 3,
      max_attempts = 1 })
    client:alert_ips "da1"
    assert.is_true(seconds_of(client, 1) > 11)
  end)

  it("is taken by each retry", function()
    local client = scripted.client({ { status = 500 }, { error = "broken" }, EMPTY, EMPTY },
      { rate_limit = { [60] = 3 }, jitter = 0 })
    assert.equal(0, seconds_of(client, 1))
    lasts(60, seconds_of(client, 1))
  end)

  it("is taken by a refused call, too", function()
    local client = scripted.client({ { status = 404 }, { status = 403 }, EMPTY }, { rate_limit = { [60] = 2 } })
    client:alert_ips "da1"
    client:alert_ips "da1"
    lasts(60, seconds_of(client, 1))
  end)

  it("is taken by each page", function()
    local asked = 0
    local client = scripted.client(function()
      asked = asked + 1
      local link = '"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip=%d",'
      return ('{%s"value":[]}'):format(asked % 3 == 0 and "" or link:format(asked))
    end, { rate_limit = { [60] = 4 } })
    assert.equal(0, (scripted.timed(client.alerts, client)))
    lasts(60, (scripted.timed(client.alerts, client)))
    assert.equal(6, asked)
  end)

  it("is given back by a request that was never sent", function()
    for _, outcome in ipairs{ "unreachable", "tls" } do
      local client = scripted.client({ { error = outcome }, { error = outcome }, EMPTY, EMPTY },
        { rate_limit = { [60] = 1 }, max_attempts = 1 })
      client:alert_ips "da1"
      client:alert_ips "da1"
      assert.equal(0, seconds_of(client, 1))
      lasts(60, seconds_of(client, 1))
    end
  end)

  it("is given back when the transport itself fails", function()
    local broken = true
    local client = scripted.client(function() return broken and 5 or EMPTY end, { rate_limit = { [60] = 1 } })
    assert.is_false(pcall(client.alert_ips, client, "da1"))
    broken = false
    assert.equal(0, seconds_of(client, 1))
  end)

  it("is not taken by a call without a token", function()
    local token
    local client = scripted.client(nil, { rate_limit = { [60] = 1 }, token = function() return token end })
    assert.is_nil((client:alert_ips "da1"))
    token = "there-it-is"
    assert.equal(0, seconds_of(client, 1))
  end)
end)

describe("Retry-After", function()
  --- Gets a 429 (or another status) with Retry-After: 30, and nothing but success after it.
  local function refused(status, options)
    local refusal = { status = status or 429, headers = { ["Retry-After"] = 30 } }
    local client, events = scripted.client(function(request)
      if refusal and request.operation == "alert_ips" then
        local answer = refusal
        refusal = nil
        return answer
      end
      return EMPTY
    end, options)
    client:alert_ips("da1", { max_attempts = 1 })
    return client, events
  end

  it("of a 429 or 503 closes the operation for later calls of the client", function()
    for _, status in ipairs{ 429, 503 } do
      local client, events = refused(status)
      testing.advance(10)
      assert.equal(20, seconds_of(client, 1))
      assert.equal("retry_after", scripted.of_kind(events, "wait")[1].reason)
    end
  end)

  it("leaves other operations and other clients open", function()
    local client = refused()
    assert.equal(0, seconds_of(client, 1, "alert_files"))
    assert.equal(0, seconds_of(scripted.client(), 1))
  end)

  it("closes the operation without a rate limit of our own, too", function()
    assert.equal(30, seconds_of(refused(429, { rate_limit = false }), 1))
  end)

  it("makes a call with a smaller budget end as rate_limited, with retry_after", function()
    local client = refused()
    testing.advance(10)
    local seconds, _, err = scripted.timed(client.alert_ips, client, "da1", { budget = 15 })
    assert.equal(0, seconds)
    assert.equal("rate_limited", err.kind)
    assert.equal(20, err.retry_after)
    assert.equal(0, err.attempts)
  end)

  it("that is longer does not give way to a shorter one", function()
    local client = scripted.client({ { status = 429, headers = { ["Retry-After"] = 30 } }, EMPTY,
      { status = 503, headers = { ["Retry-After"] = 2 } }, EMPTY })
    call_times(client, 1)
    assert.same({ 30 }, scripted.gaps(client))
    call_times(client, 1)
    assert.same({ 30, 0, 2 }, scripted.gaps(client))
  end)

  it("of a 500 closes nothing for others", function()
    assert.equal(0, seconds_of(refused(500), 1))
  end)

  it("missing from a 429 closes nothing", function()
    local client = scripted.client({ { status = 429 }, EMPTY })
    client:alert_ips("da1", { max_attempts = 1 })
    assert.equal(0, seconds_of(client, 1))
  end)
end)

describe("a refusal that names a limit", function()
  local function says(words)
    return { status = 429, body = { error = { code = "429", target = "7f1e",
      message = "API calls quota exceeded! " .. words } } }
  end

  local function taught(words, options)
    local first = true
    local client = scripted.client(function()
      if first then
        first = false
        return says(words)
      end
      return EMPTY
    end, options)
    client:alert_ips("da1", { max_attempts = 1 })
    return client
  end

  it("lowers the window of that length", function()
    local client = taught "maximum allowed 45 per 00:01:00"
    assert.equal(0, seconds_of(client, 44)) -- the refused one counts
    lasts(60, seconds_of(client, 1))
    call_times(client, 200)
    assert.equal(45, most_within(sent_at(client), 60))
  end)

  it("lowers the hour's window", function()
    local client = taught "maximum allowed 150 per 01:00:00"
    call_times(client, 150)
    local moments = sent_at(client)
    lasts(3600, moments[151] - moments[1])
  end)

  it("does not raise a window", function()
    local client = taught "maximum allowed 4500 per 00:01:00"
    assert.equal(0, seconds_of(client, 99))
    lasts(60, seconds_of(client, 1))
  end)

  it("adds a window of a length that had none", function()
    local client = taught "maximum allowed 3 per 00:00:10"
    assert.equal(0, seconds_of(client, 2))
    lasts(10, seconds_of(client, 1))
  end)

  it("says nothing about other operations", function()
    local client = taught "maximum allowed 1 per 00:01:00"
    assert.equal(0, seconds_of(client, 100, "alert_files"))
  end)

  it("changes nothing where no limit is wanted", function()
    assert.equal(0, seconds_of(taught("maximum allowed 1 per 00:01:00", { rate_limit = false }), 100))
  end)

  for _, words in ipairs{ "maximum allowed 0 per 00:01:00", "maximum allowed -5 per 00:01:00",
                          "maximum allowed 45 per 00:00:00", "maximum allowed 45 per 00:99:00", "maximum allowed 45",
                          "maximum allowed many per 00:01:00", "maximum allowed 99999999 per 00:01:00" } do
    it(("is not understood when it says %q"):format(words), function()
      local client = taught(words)
      assert.equal(0, seconds_of(client, 99))
      lasts(60, seconds_of(client, 1))
    end)
  end
end)

describe("any schedule", function()
  local SCHEDULES, CALLS = 300, 60

  --- Windows that a schedule can fill: few calls, and different lengths.
  local function random_windows(dice)
    local windows = {}
    for _ = 1, dice(3) do windows[dice.pick{ 0.1, 1, 2.5, 10, 60 }] = dice(12) end
    return windows
  end

  local function random_latency(dice)
    return dice.pick{ 0, 0, 0.01, 0.2, 1, 5 } * dice()
  end

  local function random_answer(dice)
    local kind, seconds = dice(12), random_latency(dice)
    if kind == 1 then return { error = "unreachable", seconds = seconds } end
    if kind == 2 then return { error = "broken", seconds = seconds } end
    if kind == 3 then return { error = "timeout" } end
    if kind == 4 then return { status = 429, seconds = seconds, headers = { ["Retry-After"] = dice(5) } } end
    if kind == 5 then return { status = 500, seconds = seconds } end
    return { body = EMPTY, seconds = seconds }
  end

  --- A model of the service counts each request at some moment between its sending and its end; one that was given up
  -- may arrive up to 5 s later, one that was never sent does not.
  local function arrival(dice, answer, event)
    local sent = testing.now() - event.seconds
    if event.error and event.error:find("timed out", 1, true) then return sent + (event.seconds + 5) * dice() end
    if answer.error == "unreachable" then return nil end
    return sent + event.seconds * dice.pick{ 0, 1, dice() }
  end

  local function run_schedule(dice)
    local windows, arrivals, answer = random_windows(dice), {}, nil
    local client = scripted.client(function()
      answer = random_answer(dice)
      return answer
    end, {
      rate_limit = windows, timeout = dice.pick{ 2, 6 }, jitter = dice(),
      on_event = function(event)
        if event.kind == "attempt" then arrivals[#arrivals + 1] = arrival(dice, answer, event) end
      end,
    })
    for _ = 1, CALLS do
      client:alert_ips("da1", { max_attempts = dice(4), budget = dice.pick{ 1, 20, 1e6 } })
      if dice(3) == 1 then testing.advance(dice.pick{ 0, 0.05, 1, 30 } * dice()) end
    end
    assert.equal(0, client:stats().in_flight)
    table.sort(arrivals)
    return windows, arrivals
  end

  local seed = dice_of.seed()
  it(("never exceeds a window, whatever the latencies and failures (MDE_SEED=%d)"):format(seed), function()
    local filled = 0
    for schedule = 1, SCHEDULES do
      local windows, arrivals = run_schedule(dice_of.new(seed * 1000 + schedule))
      for length, calls in pairs(windows) do
        local most = most_within(arrivals, length)
        assert.is_true(most <= calls, ("MDE_SEED=%d, schedule %d: %d calls in %g s, %d are allowed")
          :format(seed, schedule, most, length, calls))
        if most == calls then filled = filled + 1 end
      end
    end
    assert.is_true(filled > SCHEDULES / 2, "the schedules fill their windows")
  end)
end)

-- Which failures are tried again, when, and how often. The clock is mde.testing's.
local testing = require "mde.testing"
local scripted = require "spec.support.scripted"

local EMPTY = scripted.EMPTY

--- Asks once for the IPs of an alert.
local function ask(answers, options, call_options)
  local client, events = scripted.client(answers, options)
  local seconds, value, err = scripted.timed(client.alert_ips, client, "da1", call_options)
  return { client = client, events = events, seconds = seconds, value = value, err = err,
           requests = testing.requests(client), gaps = scripted.gaps(client) }
end

local function status(number, headers) return { status = number, headers = headers } end

describe("a GET", function()
  local passing = {
    ["was never sent"] = { error = "unreachable" },
    ["is answered with 429"] = status(429),
    ["is answered with 429 and Retry-After"] = status(429, { ["Retry-After"] = 1 }),
    ["is answered with 503 and Retry-After"] = status(503, { ["Retry-After"] = 1 }),
    ["is answered with 408"] = status(408),
    ["is answered with 500"] = status(500),
    ["is answered with 502"] = status(502),
    ["is answered with 503"] = status(503),
    ["is answered with 504"] = status(504),
    ["breaks off after it was sent"] = { error = "broken" },
    ["times out"] = { error = "timeout" },
  }
  for what, answer in pairs(passing) do
    it("that " .. what .. " is tried again", function()
      local got = ask{ answer, EMPTY }
      assert.same({}, got.value)
      assert.equal(2, #got.requests)
      assert.equal(1, got.client:stats().retries)
    end)

    it("that " .. what .. " every time ends with an error that says it may be tried again", function()
      local got = ask(scripted.always(answer))
      assert.equal(4, #got.requests)
      assert.is_true(got.err.retryable)
      assert.equal(3, got.client:stats().retries)
    end)
  end

  local lasting = {
    ["meets a certificate that is refused"] = { error = "tls" },
    ["is answered with malformed JSON"] = '{"value":[',
    ["is answered with another object"] = '{"values":[]}',
  }
  for _, number in ipairs{ 300, 301, 302, 304, 307, 400, 403, 404, 405, 406, 409, 410, 412, 413, 415, 418, 422, 451,
                           501, 505, 507, 599, 999 } do
    lasting["is answered with " .. number] = status(number)
  end
  for what, answer in pairs(lasting) do
    it("that " .. what .. " is not tried again", function()
      local got = ask(scripted.always(answer))
      assert.equal(1, #got.requests)
      assert.is_false(got.err.retryable)
      assert.equal(0, got.seconds)
    end)
  end

  it("whose answer is too large is not tried again", function()
    local got = ask(scripted.always(EMPTY), { max_body = 5 })
    assert.equal("too_large", got.err.kind)
    assert.equal(1, #got.requests)
    assert.is_false(got.err.retryable)
  end)

  it("that is answered with 401 is tried once more with a new token, at once", function()
    local tokens = 0
    local got = ask({ status(401), EMPTY }, { token = function()
      tokens = tokens + 1
      return "token-" .. tokens
    end })
    assert.same({}, got.value)
    assert.equal(2, tokens)
    assert.same({ 0 }, got.gaps)
  end)

  it("that is answered with 401 is not tried again when the token is a string", function()
    local got = ask(scripted.always(status(401)))
    assert.equal("auth", got.err.kind)
    assert.equal(1, got.err.attempts)
    assert.is_false(got.err.retryable)
  end)

  it("goes on from one kind of failure to another", function()
    local got = ask({ { error = "unreachable" }, status(500), { error = "broken" }, EMPTY })
    assert.same({}, got.value)
    assert.equal(4, #got.requests)
  end)

  it("that fails in another way after a retry ends with the last failure", function()
    local got = ask{ status(500), { error = "unreachable" }, status(404) }
    assert.equal("not_found", got.err.kind)
    assert.equal(404, got.err.status)
    assert.equal(2, got.err.attempts)
  end)
end)

describe("max_attempts", function()
  it("counts the first try, and is 4", function()
    assert.equal(4, #ask(scripted.always(status(500))).requests)
  end)

  it("may be set for the client", function()
    assert.equal(1, #ask(scripted.always(status(500)), { max_attempts = 1 }).requests)
    assert.equal(7, #ask(scripted.always(status(500)), { max_attempts = 7 }).requests)
  end)

  it("may be set for one call, which leaves the others as they were", function()
    local got = ask(scripted.always(status(500)), { max_attempts = 3 }, { max_attempts = 2 })
    assert.equal(2, #got.requests)
    got.client:alert_ips "da1"
    assert.equal(5, #got.requests)
  end)

  it("holds for each page by itself", function()
    local link = '{"value":[{"id":"1"}],"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip=1"}'
    local got = scripted.client({ status(500), link, status(500), EMPTY }, { max_attempts = 2 })
    assert.same({ { id = "1" } }, (got:alerts()))
    assert.equal(4, #testing.requests(got))
  end)
end)

describe("err.attempts", function()
  it("counts the requests that were sent, and no others", function()
    local got = ask{ { error = "unreachable" }, status(500), { error = "unreachable" }, status(502) }
    assert.equal(502, got.err.status)
    assert.equal(2, got.err.attempts)
    assert.equal(2, got.client:stats().attempts)
  end)

  it("is 0 when none was", function()
    local got = ask(scripted.always{ error = "unreachable" })
    assert.equal(4, #got.requests)
    assert.equal(0, got.err.attempts)
    assert.is_nil(got.err.status)
  end)

  it("stands in the message when there were several", function()
    assert.matches("after 4 attempts", tostring(ask(scripted.always(status(500))).err))
    assert.not_matches("attempt", tostring(ask(scripted.always(status(404))).err))
  end)
end)

describe("the pause between attempts", function()
  it("doubles from half a second up to 30 s, and is drawn between nothing and that", function()
    for _, jitter in ipairs{ 0, 0.25, 0.5, 0.75, 0.999 } do
      local got = ask(scripted.always(status(500)), { max_attempts = 12, jitter = jitter })
      assert.equal(11, #got.gaps)
      for i, gap in ipairs(got.gaps) do
        local ceiling = math.min(30, 0.5 * 2 ^ (i - 1))
        assert.is_true(gap <= ceiling)
        assert.is_true(math.abs(gap - ceiling * jitter) <= 0.001, ("pause %d: %g s"):format(i, gap))
      end
    end
  end)

  it("begins when the failure is known", function()
    local got = ask{ { status = 500, seconds = 3 }, EMPTY }
    assert.same({ 3.25 }, got.gaps)
  end)

  it("is told to on_event as `backoff`", function()
    local got = ask({ status(502), EMPTY }, { jitter = 0.8 })
    assert.same({ { kind = "wait", operation = "alert_ips", reason = "backoff", seconds = 0.4 } },
      scripted.of_kind(got.events, "wait"))
    assert.equal(0.4, got.client:stats().waited_seconds)
  end)

  it("is not told of when it is none", function()
    local got = ask({ status(502), EMPTY }, { jitter = 0 })
    assert.same({}, scripted.of_kind(got.events, "wait"))
  end)
end)

describe("Retry-After", function()
  local DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

  --- How long the call waits before its second attempt.
  local function pause(headers, number, jitter)
    return ask({ status(number or 429, headers), EMPTY }, { jitter = jitter }).gaps[1]
  end

  it("is kept instead of a pause of our own", function()
    for _, number in ipairs{ 429, 503, 500, 502, 504, 408 } do
      assert.equal(7, pause({ ["Retry-After"] = "7" }, number))
    end
  end)

  it("is told to on_event as `retry_after`", function()
    local got = ask{ status(429, { ["Retry-After"] = "7" }), EMPTY }
    assert.same({ { kind = "wait", operation = "alert_ips", reason = "retry_after", seconds = 7 } },
      scripted.of_kind(got.events, "wait"))
    assert.equal(7, got.client:stats().waited_seconds)
    assert.equal(1, got.client:stats().throttled)
  end)

  it("is kept each time anew", function()
    local got = ask{ status(429, { ["Retry-After"] = 3 }), status(429, { ["Retry-After"] = 11 }), status(500), EMPTY }
    assert.same({ 3, 11, 1 }, got.gaps)
  end)

  it("is in the error when no attempt is left", function()
    local got = ask({ status(429, { ["Retry-After"] = "7" }) }, { max_attempts = 1 })
    assert.equal("rate_limited", got.err.kind)
    assert.equal(7, got.err.retry_after)
    assert.equal(0, got.seconds)
  end)

  local readings = {
    { "whole seconds", { ["Retry-After"] = "12" }, 12 },
    { "no seconds", { ["Retry-After"] = "0" }, 0 },
    { "spaces around", { ["Retry-After"] = "  12  " }, 12 },
    { "another case", { ["retry-AFTER"] = "12" }, 12 },
    { "seconds and a part", { ["Retry-After"] = "1.5" }, 1.5 },
    { "exactly an hour", { ["Retry-After"] = "3600" }, 3600 },
    { "more than an hour, clamped", { ["Retry-After"] = "3601" }, 3600 },
    { "a week, clamped", { ["Retry-After"] = "604800" }, 3600 },
    { "more than fits into any integer, clamped", { ["Retry-After"] = ("9"):rep(60) }, 3600 },
    { "an RFC 1123 date", { Date = DATE, ["Retry-After"] = "Sun, 06 Nov 1994 08:49:50 GMT" }, 13 },
    { "an RFC 850 date", { Date = DATE, ["Retry-After"] = "Sunday, 06-Nov-94 08:49:50 GMT" }, 13 },
    { "an asctime date", { Date = DATE, ["Retry-After"] = "Sun Nov  6 08:49:50 1994" }, 13 },
    { "a date beyond midnight", { Date = "Thu, 31 Dec 2026 23:59:58 GMT",
                                  ["Retry-After"] = "Fri, 01 Jan 2027 00:00:03 GMT" }, 5 },
    { "a date beyond a leap day", { Date = "Tue, 29 Feb 2028 23:59:59 GMT",
                                    ["Retry-After"] = "Wed, 01 Mar 2028 00:00:01 GMT" }, 2 },
    { "the same date", { Date = DATE, ["Retry-After"] = DATE }, 0 },
    { "a date more than an hour ahead, clamped", { Date = DATE, ["Retry-After"] = "Mon, 07 Nov 1994 08:49:37 GMT" },
      3600 },
    { "retry-after-ms", { ["retry-after-ms"] = "1500" }, 1.5 },
    { "x-ms-retry-after-ms", { ["x-ms-retry-after-ms"] = "250" }, 0.25 },
    { "retry-after-ms before seconds", { ["retry-after-ms"] = "1500", ["Retry-After"] = "9" }, 1.5 },
    { "garbage in milliseconds, then seconds", { ["retry-after-ms"] = "soon", ["Retry-After"] = "9" }, 9 },
    { "milliseconds of more than an hour, clamped", { ["x-ms-retry-after-ms"] = "3600001" }, 3600 },
  }
  for _, reading in ipairs(readings) do
    it("is read as " .. reading[1], function()
      assert.equal(reading[3], pause(reading[2], 429, 0.9))
    end)
  end

  local garbage = {
    "", "soon", "-5", "-0.5", "+5", "5s", "0x10", "1e3", "5,6", "5 6", ".5", "nan", "inf",
    "Sun, 06 Foo 1994 08:49:50 GMT", "Sun, 32 Nov 1994 08:49:50 GMT", "Sun, 06 Nov 1994 08:49:50 CET",
    "Sun, 06 Nov 1994 25:49:50 GMT", "Sun, 06 Nov 1994", "1994-11-06T08:49:50Z", ("9"):rep(64),
    "Sun, 06 Nov 1994 08:49:36 GMT", -- past
  }
  for _, value in ipairs(garbage) do
    it(("is ignored when it is %q"):format(value), function()
      assert.equal(0.45, pause({ Date = DATE, ["Retry-After"] = value }, 429, 0.9))
    end)
  end

  it("is ignored when it is a date and the answer has none of its own", function()
    assert.equal(0.45, pause({ ["Retry-After"] = "Sun, 06 Nov 1994 08:49:50 GMT" }, 429, 0.9))
    assert.equal(0.45, pause({ ["Retry-After"] = "Sun, 06 Nov 1994 08:49:50 GMT", Date = "today" }, 429, 0.9))
  end)

  it("of a success is nobody's business", function()
    local client = scripted.client(scripted.always{ headers = { ["Retry-After"] = "7" }, body = EMPTY })
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.same({ 0 }, scripted.gaps(client))
  end)

  it("of an earlier attempt does not count for a later one", function()
    local got = ask({ status(429, { ["Retry-After"] = "7" }), { error = "broken" }, EMPTY }, { jitter = 0.5 })
    assert.same({ 7, 0.5 }, got.gaps)
  end)
end)

describe("the budget", function()
  it("forbids to begin a Retry-After that would pass it: rate_limited at once", function()
    local got = ask({ status(429, { ["Retry-After"] = "60" }) }, { budget = 10 })
    assert.equal(0, got.seconds)
    assert.equal("rate_limited", got.err.kind)
    assert.equal(429, got.err.status)
    assert.equal(60, got.err.retry_after)
    assert.equal(1, got.err.attempts)
    assert.is_true(got.err.retryable)
    assert.matches("budget", tostring(got.err))
    assert.matches("Try again in 60 s", tostring(got.err))
  end)

  it("forbids to begin a pause that would pass it: timeout at once", function()
    local got = ask({ { status = 500, seconds = 1 } }, { budget = 1.2, jitter = 0.5 })
    assert.equal(1, got.seconds)
    assert.equal("timeout", got.err.kind)
    assert.equal(500, got.err.status)
    assert.equal(0.25, got.err.retry_after)
    assert.is_true(got.err.retryable)
  end)

  it("forbids a wait that would end exactly with it, since nothing could follow", function()
    assert.equal("rate_limited", ask({ status(429, { ["Retry-After"] = 10 }) }, { budget = 10 }).err.kind)
    assert.same({}, ask({ status(429, { ["Retry-After"] = 10 }), EMPTY }, { budget = 10.001 }).value)
  end)

  it("tells no wait that was not begun", function()
    local got = ask({ status(429, { ["Retry-After"] = "60" }) }, { budget = 10 })
    assert.same({}, scripted.of_kind(got.events, "wait"))
    assert.equal(0, got.client:stats().waited_seconds)
    assert.equal(0, got.client:stats().retries)
  end)

  it("clips the time of an attempt", function()
    local got = ask({ { error = "timeout" } }, { budget = 5, timeout = 30 })
    assert.equal(5, got.seconds)
    assert.equal("timeout", got.err.kind)
    assert.equal(1, #got.requests)
  end)

  it("clips a later attempt to what the earlier ones have left", function()
    local got = ask({ { status = 500, seconds = 3 }, { error = "timeout" } }, { budget = 5, timeout = 4, jitter = 0 })
    assert.same({ 3 }, got.gaps)
    assert.equal(5, got.seconds)
    assert.equal("timeout", got.err.kind)
  end)

  it("is enough when all happens within it", function()
    local got = ask({ { status = 500, seconds = 1 }, { seconds = 1, body = EMPTY } }, { budget = 2.3, jitter = 0.5 })
    assert.same({}, got.value)
    assert.equal(2.25, got.seconds)
  end)

  it("holds for all pages together", function()
    local page = { seconds = 2,
      body = '{"value":[{"id":"1"}],"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip=%d"}' }
    local asked = 0
    local client = scripted.client(function()
      asked = asked + 1
      return { seconds = page.seconds, body = page.body:format(asked) }
    end, { budget = 5 })
    local seconds, _, err = scripted.timed(client.alerts, client)
    assert.equal("timeout", err.kind)
    assert.equal(5, seconds)
    assert.is_true(asked >= 2)
  end)

  it("of 0 sends nothing", function()
    local got = ask({}, { budget = 0 })
    assert.equal("timeout", got.err.kind)
    assert.equal(0, #got.requests)
    assert.equal(0, got.err.attempts)
  end)

  it("may be set for one call", function()
    local got = ask({ status(429, { ["Retry-After"] = "60" }), EMPTY, EMPTY }, { budget = 1000 }, { budget = 10 })
    assert.equal("rate_limited", got.err.kind)
    assert.same({}, (got.client:alert_ips "da1"))
  end)

  it("is none by default: a call waits as long as it must", function()
    local got = ask{ status(429, { ["Retry-After"] = 3600 }), status(429, { ["Retry-After"] = 3600 }), EMPTY }
    assert.same({}, got.value)
    assert.equal(7200, got.seconds)
  end)
end)

describe("timeout", function()
  it("is 30 s for each attempt", function()
    local got = ask(scripted.always{ error = "timeout" }, { jitter = 0 })
    assert.same({ 30, 30, 30 }, got.gaps)
    assert.equal(120, got.seconds)
    assert.equal("timeout", got.err.kind)
    assert.equal(4, got.err.attempts)
  end)

  it("may be set for the client, and for one call", function()
    local silence, options = scripted.always{ error = "timeout" }, { timeout = 2, max_attempts = 1 }
    assert.equal(2, ask(silence, options).seconds)
    assert.equal(3, ask(silence, options, { timeout = 3 }).seconds)
  end)
end)

-- Tokens that renew themselves, in time that the specs move.
local testing = require "mde.testing"
local jwt = require "spec.support.jwt"
local scripted = require "spec.support.scripted"

local EMPTY = scripted.EMPTY
local ACCOUNT = { tenant_id = "tenant", client_id = "app", client_secret = "s3cr3t-of-the-renewal-spec" }

local function grant(life, token)
  return { body = { token_type = "Bearer", expires_in = life or 3600, access_token = token or "a-token" } }
end

--- A token of an hour that is so many seconds in coming.
local function slow_grant(seconds)
  local answer = grant()
  answer.seconds = seconds
  return answer
end

--- A client of a secret; `tokens` answers its requests for tokens.
local function client_of(tokens, answers, options)
  local all = { token_answers = tokens }
  for name, value in pairs(ACCOUNT) do all[name] = value end
  for name, value in pairs(options or {}) do all[name] = value end
  return scripted.client(answers, all)
end

local function fetches(client)
  local count = 0
  for _, request in ipairs(testing.requests(client)) do
    if request.operation == "token" then count = count + 1 end
  end
  return count
end

local function refusal(number, words, status)
  return { status = status or 401, body = {
    error = "invalid_client", error_codes = { number }, trace_id = "11112222-3333-4444-5555-666677778888",
    error_description = ("AADSTS%d: %s\r\nTrace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: 3"):format(number, words),
  } }
end

describe("a fetched token", function()
  it("is fetched when it is first needed, once for many calls", function()
    local client = client_of()
    assert.equal(0, fetches(client))
    for _ = 1, 50 do assert.same({}, client:alert_ips "da1") end
    assert.equal(1, fetches(client))
    assert.equal(1, client:stats().tokens)
  end)

  it("takes no slot of the quota, and counts as no attempt", function()
    local client = client_of(nil, nil, { rate_limit = { [60] = 2 } })
    assert.same({}, client:alert_ips "da1")
    assert.same({}, client:alert_ips "da1")
    assert.equal("rate_limited", select(2, client:alert_ips("da1", { budget = 1 })).kind)
    assert.equal(2, client:stats().attempts)
    assert.equal(3, client:stats().calls)
    assert.equal(0, client:stats().retries)
  end)

  it("may be told its life as a number or a string, from its request on", function()
    for _, life in ipairs{ 100, "100" } do
      local answer = grant(life)
      answer.seconds = 20
      local client = client_of(function() return answer end)
      client:alert_ips "da1"
      testing.advance(71) -- 91 s after the request; it is renewed from 92 on, a tenth of the 80 s before its end
      client:alert_ips "da1"
      assert.equal(1, fetches(client))
      testing.advance(1)
      client:alert_ips "da1"
      assert.equal(2, fetches(client))
    end
  end)

  it("may be told the moment of its end instead", function()
    local client = client_of(function()
      return { body = { access_token = "a-token", expires_on = tostring(math.floor(testing.now()) + 1000) } }
    end)
    client:alert_ips "da1"
    testing.advance(890)
    client:alert_ips "da1"
    assert.equal(1, fetches(client))
    testing.advance(200)
    client:alert_ips "da1"
    assert.equal(2, fetches(client))
  end)

  it("may say so itself, if the answer does not", function()
    local client = client_of(function()
      return { body = { access_token = jwt{ exp = math.floor(testing.now()) + 1000 } } }
    end)
    client:alert_ips "da1"
    testing.advance(1001)
    client:alert_ips "da1"
    assert.equal(2, fetches(client))
  end)

  it("is told of by the event `token`, with its life", function()
    local client, events = client_of()
    client:alert_ips "da1"
    local told = scripted.of_kind(events, "token")
    assert.same({ { kind = "token", ok = true, seconds = 3600 } }, told)
    local attempt = scripted.of_kind(events, "attempt")[1]
    assert.same({ "token", 200 }, { attempt.operation, attempt.status })
    assert.equal(1, client:stats().tokens)
  end)

  it("holds its calls up, which the event `wait` tells", function()
    local client, events = client_of(scripted.always(slow_grant(2)))
    client:alert_ips "da1"
    local waits = scripted.of_kind(events, "wait")
    assert.same({ { kind = "wait", operation = "alert_ips", reason = "token", seconds = 2 } }, waits)
    assert.equal(2, client:stats().waited_seconds)
  end)

  it("is waited for by all calls that need it, and fetched once", function()
    local client = client_of(scripted.always(slow_grant(2)), nil, { concurrency = 16 })
    local calls = {}
    for i = 1, 100 do calls[i] = client:start("alert_ips", "da1") end
    repeat until client:step(10) == 0
    for _, call in ipairs(calls) do assert.same({}, call:result()) end
    assert.equal(1, fetches(client))
    assert.equal(101, #testing.requests(client))
  end)

  it("is not waited for beyond the call's budget", function()
    local client = client_of(scripted.always(slow_grant(20)))
    local seconds, _, err = scripted.timed(client.alert_ips, client, "da1", { budget = 5 })
    assert.equal("timeout", err.kind)
    assert.equal(5, seconds)
    assert.same({}, client:alert_ips "da1") -- the fetch went on
    assert.equal(1, fetches(client))
  end)
end)

describe("a token that is over when it comes", function()
  for name, answer in pairs{
    ["by expires_in"] = { body = { access_token = "a", expires_in = 1 }, seconds = 5 },
    ["by expires_on"] = { body = { access_token = "a", expires_on = 5 } },
    ["by its own word"] = { body = { access_token = jwt{ exp = 5 } } },
    ["by an expires_in of nothing"] = { body = { access_token = jwt{ exp = 5 }, expires_in = 0 } },
  } do
    it(("%s is used for a second all the same, and not fetched over and over"):format(name), function()
      local client = client_of(scripted.always(answer))
      assert.same({}, client:alert_ips "da1")
      assert.same({}, client:alert_ips "da1")
      assert.equal(1, fetches(client))
    end)
  end
end)

describe("early renewal", function()
  it("begins five minutes before the end of a token of an hour", function()
    local client = client_of()
    client:alert_ips "da1"
    testing.advance(3299)
    client:alert_ips "da1"
    assert.equal(1, fetches(client))
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, fetches(client))
  end)

  it("begins a tenth of its life before the end of a shorter one", function()
    local client = client_of(function() return grant(600) end)
    client:alert_ips "da1"
    testing.advance(539)
    client:alert_ips "da1"
    assert.equal(1, fetches(client))
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, fetches(client))
  end)

  it("holds no call up", function()
    local client, events = client_of(scripted.always(slow_grant(20)), scripted.always{ body = EMPTY, seconds = 1 })
    client:alert_ips "da1"
    testing.advance(3400)
    local seconds = scripted.timed(client.alert_ips, client, "da1")
    assert.equal(1, seconds)
    assert.equal(2, fetches(client))
    assert.equal(1, #scripted.of_kind(events, "wait"))
  end)

  it("that fails keeps the token, and is tried again after pauses that grow", function()
    local at = {}
    local client = client_of(function(request)
      at[#at + 1] = request.at
      return #at == 1 and grant() or { error = "unreachable" }
    end, nil, { max_attempts = 1 })
    client:alert_ips "da1"
    testing.advance(3300)
    for _ = 1, 100 do
      assert.same({}, client:alert_ips "da1")
      testing.advance(1)
    end
    local gaps = {}
    for i = 3, #at do gaps[#gaps + 1] = at[i] - at[i - 1] end
    assert.same({ 5, 10, 20, 40 }, { gaps[1], gaps[2], gaps[3], gaps[4] })
  end)

  it("that fails until the end fails the calls only then, and they recover", function()
    local down = false
    local client = client_of(function() return down and { status = 503 } or grant() end)
    client:alert_ips "da1"
    down = true
    testing.advance(3300)
    for _ = 1, 29 do
      assert.same({}, client:alert_ips "da1")
      testing.advance(10)
    end
    testing.advance(20)
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.is_true(err.retryable)
    assert.truthy(err.message:find("failed (503)", 1, true), err.message)
    down = false
    assert.same({}, client:alert_ips "da1")
  end)

  it("does not begin without a call that runs", function()
    local client = client_of()
    client:alert_ips "da1"
    testing.advance(3400)
    client:step(1)
    assert.equal(1, fetches(client))
  end)

  it("goes on while nobody waits for it, and is there when somebody does", function()
    local slow = grant()
    local client = client_of(function() return slow end)
    client:alert_ips "da1"
    slow.seconds = 20
    testing.advance(3590)
    client:alert_ips "da1"
    testing.advance(15) -- the old one is over, the new one on its way
    local seconds = scripted.timed(client.alert_ips, client, "da1")
    assert.equal(5, seconds)
    assert.equal(2, fetches(client))
  end)
end)

describe("a fetch that fails", function()
  it("is tried again as other requests are", function()
    local client = client_of{ { error = "unreachable" }, { status = 503 }, { error = "timeout", seconds = 1 }, grant() }
    assert.same({}, client:alert_ips "da1")
    assert.equal(4, fetches(client))
    assert.equal(1, client:stats().tokens)
  end)

  it("fails all calls that wait for it with kind auth", function()
    local client = client_of(scripted.always{ error = "unreachable", seconds = 1 }, nil, { max_attempts = 1 })
    local calls = {}
    for i = 1, 5 do calls[i] = client:start("alert_ips", "da1") end
    repeat until client:step(10) == 0
    for _, call in ipairs(calls) do
      local value, err = call:result()
      assert.is_nil(value)
      assert.equal("auth", err.kind)
      assert.is_true(err.retryable)
      assert.truthy(err.message:find("none could be fetched from https://login.microsoftonline.com", 1, true),
        err.message)
    end
    assert.equal(1, fetches(client))
    assert.equal(5, client:stats().errors)
  end)

  it("waits as long as the endpoint asks for, and no call is failed by it", function()
    local client = client_of({ { status = 429, headers = { ["Retry-After"] = "30" } }, grant() })
    local seconds = scripted.timed(client.alert_ips, client, "da1")
    assert.equal(30, seconds)
  end)

  it("ends at once the calls whose budget is shorter than that", function()
    local client = client_of({ { status = 429, headers = { ["Retry-After"] = "30" } }, grant() })
    local seconds, _, err = scripted.timed(client.alert_ips, client, "da1", { budget = 10 })
    assert.equal(0, seconds)
    assert.equal("rate_limited", err.kind)
    assert.equal(30, err.retry_after)
    assert.same({}, client:alert_ips "da1")
    assert.equal(2, fetches(client))
  end)

  it("is not begun before the time that the endpoint asked for", function()
    local throttled = { status = 429, headers = { ["Retry-After"] = "100" } }
    local client = client_of({ throttled, grant() }, nil, { max_attempts = 1 })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.equal(100, err.retry_after)
    assert.is_true(err.retryable)
    local seconds, value = scripted.timed(client.alert_ips, client, "da1")
    assert.same({}, value)
    assert.equal(100, seconds)
  end)

  it("does not teach the API's quota", function()
    local client = client_of({ { status = 429, headers = { ["Retry-After"] = "30" } }, grant() })
    client:alert_ips "da1"
    assert.equal(0, client:stats().throttled)
  end)

  it("of a refused secret says what to do, and is not repeated for five minutes", function()
    local client = client_of(scripted.always(refusal(7000222, "The provided client secret keys are expired.")))
    for _ = 1, 20 do
      local _, err = client:alert_ips "da1"
      assert.equal("auth", err.kind)
      assert.is_false(err.retryable)
      assert.is_nil(err.retry_after)
      assert.equal(0, err.attempts)
      assert.equal("alert_ips: no token: https://login.microsoftonline.com refused the credential (401 invalid_client)"
        .. ": AADSTS7000222: The provided client secret keys are expired."
        .. " Trace id: 11112222-3333-4444-5555-666677778888. Make a new secret for the app registration.", err.message)
    end
    assert.equal(1, fetches(client))
    testing.advance(300)
    client:alert_ips "da1"
    assert.equal(2, fetches(client))
  end)

  for number, advice in pairs{
    [7000215] = "Give the secret's value, not its id.",
    [700016] = "Check client_id and tenant_id",
    [90002] = "Check tenant_id",
    [700027] = "Upload the certificate",
    [700024] = "Check this machine's clock",
    [70021] = "federated credential",
    [70011] = "Check scope",
    [500011] = "Check cloud and scope",
  } do
    it(("knows what AADSTS%d means"):format(number), function()
      local client = client_of(scripted.always(refusal(number, "No.", 400)))
      local _, err = client:alert_ips "da1"
      assert.truthy(err.message:find(("AADSTS%d: No."):format(number), 1, true), err.message)
      assert.truthy(err.message:find(advice, 1, true), err.message)
    end)
  end

  it("shows no secret that the endpoint or a proxy repeats", function()
    local secret = ACCOUNT.client_secret
    local client, events = client_of(scripted.always(refusal(7000215, "Not " .. secret .. "!")))
    local _, err = client:alert_ips "da1"
    assert.is_nil(err.message:find(secret, 1, true), err.message)
    assert.truthy(err.message:find("Not ***", 1, true), err.message)
    for _, event in ipairs(events) do
      for _, value in pairs(event) do assert.is_nil(tostring(value):find(secret, 1, true)) end
    end
  end)

  for name, body in pairs{
    ["no JSON"] = "<html>Log in</html>",
    ["an empty body"] = "",
    ["no object"] = "[]",
    ["no token"] = { token_type = "Bearer", expires_in = 3600 },
    ["a token that is no string"] = { access_token = 5 },
    ["an empty token"] = { access_token = "" },
    ["a token with a line end"] = { access_token = "a\nb" },
    ["a token that stands deeper"] = { answer = { access_token = "a-token" } },
    ["a token in broken JSON"] = '{"access_token":"a-token"',
  } do
    it("brings " .. name, function()
      local client = client_of(scripted.always{ body = body })
      local _, err = client:alert_ips "da1"
      assert.equal("auth", err.kind)
      assert.is_false(err.retryable)
      assert.truthy(err.message:find("no token: what is no token came from https://login.microsoftonline.com", 1, true),
        err.message)
      assert.equal(1, fetches(client))
    end)
  end

  it("fails 8 calls at a time, not all that are queued", function()
    local down = true
    local client = client_of(function() return down and { error = "broken" } or grant() end, nil, { max_attempts = 1 })
    local calls = {}
    for i = 1, 20 do calls[i] = client:start("alert_ips", "da1") end
    assert.equal(12, client:step(1))
    down = false
    repeat until client:step(10) == 0
    assert.is_true(calls[20]:done())
    assert.equal(16, client:stats().errors) -- the next 8 were waiting for another fetch by then
  end)

  it("is not broken off by an error in on_event", function()
    local angry = true
    local client = client_of(nil, nil, { on_event = function(event)
      if angry and event.operation == "token" then error("angry", 0) end
    end })
    assert.equal("angry", scripted.raised(client.alert_ips, client, "da1"))
    angry = false
    assert.same({}, client:alert_ips "da1")
    assert.equal(1, fetches(client))
  end)

  it("ends with the client", function()
    local client = client_of(scripted.always(grant()), nil, {})
    local call = client:start("alert_ips", "da1")
    client:close()
    assert.equal("closed", select(2, call:result()).kind)
  end)
end)

describe("client:each", function()
  local IDS = { "da1", "da2", "da3", "da4" }

  --- How many ids are told of, when tokens are answered like this.
  local function told(answer)
    local client, count = client_of(scripted.always(answer), nil, { max_attempts = 1 }), 0
    for _, _, err in client:each("alert_ips", IDS, { concurrency = 1 }) do
      assert.equal("auth", err.kind)
      count = count + 1
    end
    return count
  end

  it("ends when the secret is refused", function() assert.equal(1, told(refusal(7000215, "No."))) end)

  it("goes on when the token's endpoint is not there just now", function()
    assert.equal(4, told{ error = "unreachable" })
    assert.equal(4, told{ status = 503 })
  end)
end)

describe("a 401", function()
  it("has the token renewed once, and the call answered", function()
    local client = client_of(nil, { { status = 401 }, EMPTY })
    assert.same({}, client:alert_ips "da1")
    assert.equal(2, fetches(client))
  end)

  it("to many calls at once has it renewed once", function()
    local fresh = false
    local client = client_of(function()
      return grant(3600, fresh and "new" or "old")
    end, function()
      return fresh and EMPTY or { status = 401, seconds = 1 }
    end, { concurrency = 16 })
    local calls = {}
    for i = 1, 16 do calls[i] = client:start("alert_ips", "da1") end
    client:step(0)
    testing.advance(0.5)
    client:step(0)
    fresh = true
    repeat until client:step(10) == 0
    assert.equal(2, fetches(client))
    for _, call in ipairs(calls) do assert.same({}, call:result()) end
  end)

  it("in the midst of many calls fails none of them, and has one token fetched for each expiry", function()
    local served, number = 0, 0
    local function uses(request)
      served = served + 1
      local valid = request.at >= 0 and served <= 10 -- each token is good for ten answers
      return { status = valid and 200 or 401, body = valid and EMPTY or nil, seconds = 0.1 }
    end
    local client = client_of(function()
      served, number = 0, number + 1
      local answer = grant(3600, "token-" .. number)
      answer.seconds = 0.5
      return answer
    end, uses, { concurrency = 16, rate_limit = false })
    local ids, answered = {}, 0
    for i = 1, 200 do ids[i] = "da" .. i end
    for _, value, err in client:each("alert_ips", ids, { concurrency = 16 }) do
      assert.is_nil(err)
      if value then answered = answered + 1 end
    end
    assert.equal(200, answered)
    assert.equal(20, fetches(client))
  end)

  it("that a new token does not help has none fetched for each further call", function()
    local client = client_of(nil, scripted.always{ status = 401 })
    for _ = 1, 50 do assert.equal(401, select(2, client:alert_ips "da1").status) end
    assert.equal(2, fetches(client))
    testing.advance(60)
    client:alert_ips "da1"
    assert.equal(3, fetches(client))
  end)
end)

describe("a job of hours", function()
  it("answers 3000 alerts at 1500 an hour with tokens of an hour: no 401, no 429, no failure", function()
    local valid_until = {}
    local tokens = 0
    local start = testing.now()
    local client = client_of(function()
      tokens = tokens + 1
      valid_until[tokens] = testing.now() + 3600
      return grant(3600)
    end, function(request)
      -- The service's own look at the token: the latest one, or the one before.
      assert(request.at < valid_until[tokens], "a token that is over was sent")
      return { body = EMPTY, seconds = 0.3 }
    end)
    local ids, answered = {}, 0
    for i = 1, 3000 do ids[i] = "da" .. i end
    for _, value, err in client:each("alert_ips", ids) do
      assert.is_nil(err)
      if value then answered = answered + 1 end
    end
    assert.equal(3000, answered)
    assert.is_true(testing.now() - start > 3600)
    assert.equal(tokens, client:stats().tokens)
    assert.is_true(tokens >= 2)
    assert.equal(0, client:stats().throttled)
    assert.equal(3000, client:stats().attempts)
  end)
end)

-- The token: a string, or a function that is asked for one.
local mde = require "mde"
local testing = require "mde.testing"
local scripted = require "spec.support.scripted"

local EMPTY = scripted.EMPTY

--- A client whose tokens come from that function, and how often it was asked.
local function with_function(token, answers, options)
  local asked = { count = 0 }
  local all = { token = function()
    asked.count = asked.count + 1
    return token(asked.count)
  end }
  for name, value in pairs(options or {}) do all[name] = value end
  local client, events = scripted.client(answers, all)
  return client, asked, events
end

--- The error of a call whose token function does that. The client must be usable when it comes to its senses.
local function failure_of(token)
  local healed = false
  local client = scripted.client(nil, { token = function()
    if healed then return "a-good-token" end
    return token()
  end })
  local value, err = client:alert_ips "da1"
  assert.is_nil(value)
  assert.equal("auth", err.kind)
  assert.equal("alert_ips", err.operation)
  assert.equal(0, err.attempts)
  assert.is_false(err.retryable)
  assert.equal(0, #testing.requests(client))
  healed = true
  assert.same({}, client:alert_ips "da1")
  return tostring(err)
end

describe("a token that is a string", function()
  it("is used as it is", function()
    assert.same({}, scripted.client():alert_ips "da1")
  end)

  it("is refused with kind auth when the service does, and not asked for again", function()
    local client = scripted.client{ { status = 401 } }
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.equal(401, err.status)
    assert.equal(0, client:stats().tokens)
  end)

  it("stays in use after a 401, since there is no other", function()
    local client = scripted.client{ { status = 401 }, EMPTY }
    client:alert_ips "da1"
    assert.same({}, client:alert_ips "da1")
  end)
end)

describe("a token function", function()
  it("is not called before a token is needed", function()
    local client, asked = with_function(function() return "token" end)
    assert.equal(0, asked.count)
    client:alert_ips "da1"
    assert.equal(1, asked.count)
  end)

  it("is called once for many calls", function()
    local client, asked = with_function(function() return "token" end)
    for _ = 1, 50 do client:alert_ips "da1" end
    testing.advance(1e6)
    client:alert_ips "da1"
    assert.equal(1, asked.count)
    assert.equal(1, client:stats().tokens)
  end)

  it("is called without arguments", function()
    local count
    scripted.client(nil, { token = function(...)
      count = select("#", ...)
      return "token"
    end }):alert_ips "da1"
    assert.equal(0, count)
  end)

  it("may return more than two values", function()
    local client = with_function(function() return "token", 10, "more", {} end)
    assert.same({}, client:alert_ips "da1")
  end)

  it("is called again after the seconds that it names", function()
    local client, asked = with_function(function() return "token", 3600 end)
    client:alert_ips "da1"
    testing.advance(3599)
    client:alert_ips "da1"
    assert.equal(1, asked.count)
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, asked.count)
  end)

  it("is called again before a later attempt or page, if the token is over by then", function()
    local client, asked = with_function(function() return "token", 10 end,
      { { status = 429, headers = { ["Retry-After"] = 60 } }, EMPTY })
    client:alert_ips "da1"
    assert.equal(2, asked.count)
  end)

  it("may name parts of a second, but no life is shorter than a second", function()
    local client, asked = with_function(function() return "token", 0.001 end)
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.equal(1, asked.count)
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, asked.count)
  end)

  it("may name a life that is longer than anything: the token is then kept", function()
    for _, life in ipairs{ 1e9, 1e18, 1e300, math.huge } do
      local client, asked = with_function(function() return "token", life end)
      client:alert_ips "da1"
      testing.advance(1e8)
      client:alert_ips "da1"
      assert.equal(1, asked.count)
    end
  end)

  it("is called once after a 401, and the same request is sent again", function()
    local client, asked = with_function(function() return "token" end, { { status = 401 }, EMPTY })
    assert.same({}, client:alert_ips "da1")
    assert.equal(2, asked.count)
    assert.equal(2, #testing.requests(client))
    assert.equal(1, client:stats().retries)
  end)

  it("is not called a third time after a second 401: the call ends with kind auth", function()
    local client, asked = with_function(function() return "token" end, scripted.always{ status = 401 })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.equal(401, err.status)
    assert.equal(2, err.attempts)
    assert.equal(2, asked.count)
  end)

  it("is called for the next call after a 401 that could not be helped", function()
    local client, asked = with_function(function() return "token" end, { { status = 401 }, { status = 401 }, EMPTY })
    client:alert_ips "da1"
    assert.same({}, client:alert_ips "da1")
    assert.equal(3, asked.count)
  end)

  it("is called again within one call only for its first 401, whatever comes between", function()
    local client, asked = with_function(function() return "token" end,
      { { status = 401 }, { status = 500 }, { status = 401 } })
    local _, err = client:alert_ips "da1"
    assert.equal(401, err.status)
    assert.equal(2, asked.count)
  end)

  it("is not called after a 401 when max_attempts is 1", function()
    local client, asked = with_function(function() return "token" end, { { status = 401 }, EMPTY },
      { max_attempts = 1 })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.equal(1, err.attempts)
    assert.equal(1, asked.count)
  end)

  it("that has nothing after a 401 ends the call with what it says", function()
    local client = with_function(function(count)
      if count == 1 then return "token" end
      return nil, "the vault is sealed"
    end, { { status = 401 } })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.equal(1, err.attempts)
    assert.matches("the vault is sealed", tostring(err))
  end)

  it("is not asked because of a 403", function()
    local client, asked = with_function(function() return "token" end, { { status = 403 } })
    client:alert_ips "da1"
    assert.equal(1, asked.count)
  end)

  it("is asked again by the next call after it has failed", function()
    local client, asked = with_function(function(count)
      if count < 3 then return nil, "not yet" end
      return "token"
    end)
    assert.is_nil((client:alert_ips "da1"))
    assert.is_nil((client:alert_ips "da1"))
    assert.same({}, client:alert_ips "da1")
    assert.equal(3, asked.count)
  end)

  it("may use another client, and hand on its error", function()
    local vault = scripted.client{ { status = 403 }, '{"id":"a-token"}' }
    local client = scripted.client(nil, { token = function()
      local secret, err = vault:alert "token"
      return secret and secret.id, err
    end })
    local _, err = client:alert_ips "da1"
    assert.equal("auth", err.kind)
    assert.matches("alert: not permitted", tostring(err))
    assert.same({}, client:alert_ips "da1")
  end)

  it("may resume coroutines of its own that yield", function()
    local client = with_function(function()
      return coroutine.wrap(function() coroutine.yield "token" end)()
    end)
    assert.same({}, client:alert_ips "da1")
  end)

  describe("that fails gives kind auth and says why:", function()
    local thrown_object = setmetatable({}, { __tostring = function() return "the vault is sealed" end })
    local unprintable = setmetatable({}, { __tostring = function() error "never" end })
    local cases = {
      { "nil and a message", function() return nil, "the vault is sealed" end, "says: the vault is sealed" },
      { "false and a message", function() return false, "the vault is sealed" end, "says: the vault is sealed" },
      { "nil and an object that prints itself", function() return nil, thrown_object end, "the vault is sealed" },
      { "nil and a number", function() return nil, 503 end, "says: number" },
      { "nil alone", function() return nil end, "nil without a message" },
      { "nothing at all", function() end, "nil without a message" },
      { "a string thrown", function() error("the vault is sealed", 0) end, "failed: the vault is sealed" },
      { "an object thrown that prints itself", function() error(thrown_object) end, "failed: the vault is sealed" },
      { "a table thrown", function() error{} end, "failed: table" },
      { "nil thrown", function() error() end, "failed: " },
      { "an object thrown that cannot print itself", function() error(unprintable) end, "cannot be printed" },
      { "a bug in it", function() return nil .. "" end, "attempt to concatenate" },
      { "a stack overflow in it", function()
        local function deeper() return 1 + deeper() end
        return deeper()
      end, "overflow" },
      { "a number", function() return 5 end, "returned a number, not a string" },
      { "true", function() return true end, "returned a boolean, not a string" },
      { "a table", function() return {} end, "returned a table, not a string" },
      { "a function", function() return print end, "returned a function, not a string" },
      { "an empty string", function() return "" end, "an empty string" },
      { "a line end", function() return "token\n" end, "a line end, perhaps" },
      { "CR LF and a header", function() return "token\r\nX-Admin: 1" end, "characters that no token holds" },
      { "a space", function() return "to ken" end, "characters that no token holds" },
      { "a NUL", function() return "to\0ken" end, "characters that no token holds" },
      { "UTF-8", function() return "tøken" end, "characters that no token holds" },
      { "a byte-order mark", function() return "\239\187\191token" end, "characters that no token holds" },
      { "too long a string", function() return ("x"):rep(65537) end, "too long" },
      { "a life that is a string", function() return "token", "3600" end, "not a number of seconds" },
      { "a life that is a table", function() return "token", {} end, "not a number of seconds" },
      { "a life that is true", function() return "token", true end, "not a number of seconds" },
      { "a negative life", function() return "token", -1 end, "not a number of seconds" },
      { "no life", function() return "token", 0 end, "not a number of seconds" },
      { "an infinitely negative life", function() return "token", -math.huge end, "not a number of seconds" },
      { "a life that is not a number", function() return "token", 0 / 0 end, "not a number of seconds" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local message = failure_of(case[2])
        assert.truthy(message:find(case[3], 1, true), message)
        assert.matches("^alert_ips: no token: ", message)
      end)
    end

    it("a long story, of which the beginning is kept", function()
      local message = failure_of(function() return nil, "once upon a time " .. ("and then "):rep(1e5) end)
      assert.matches("once upon a time", message)
      assert.is_true(#message < 1000)
    end)

    it("control characters, which do not reach a terminal", function()
      assert.not_matches("%c", failure_of(function() return nil, "red\27[31m\r\nfake line" end))
    end)
  end)

  describe("that yields", function()
    local function yielding() return coroutine.yield() end

    it("gives kind auth when the call is made in a coroutine", function()
      local message
      local co = coroutine.create(function() message = failure_of(yielding) end)
      assert.is_true(coroutine.resume(co))
      assert.equal("dead", coroutine.status(co))
      assert.matches("it must not yield here", message)
    end)

    it("gives kind auth when the call is made outside of any", function()
      -- busted itself runs in no coroutine
      assert.matches("it must not yield here", failure_of(yielding))
    end)
  end)

  describe("that uses its own client", function()
    it("fails at once, and leaves the client usable", function()
      local client
      local use = true
      client = scripted.client(nil, { token = function()
        if use then client:alert_ips "da1" end
        return "token"
      end })
      local _, err = client:alert_ips "da1"
      assert.equal("auth", err.kind)
      assert.matches("cannot be used from inside its own token function", tostring(err))
      use = false
      assert.same({}, client:alert_ips "da1")
    end)

    it("may look at its stats and print it", function()
      local seen
      local client
      client = scripted.client(nil, { token = function()
        seen = { client:stats().calls, tostring(client) }
        return "token"
      end })
      assert.same({}, client:alert_ips "da1")
      assert.equal(1, seen[1])
      assert.matches("open", seen[2])
    end)

    it("may close it: the call ends as closed", function()
      local client
      client = scripted.client(nil, { token = function()
        client:close()
        return "token"
      end })
      local value, err = client:alert_ips "da1"
      assert.is_nil(value)
      assert.equal("closed", err.kind)
      assert.equal(0, #testing.requests(client))
      assert.equal("closed", select(2, client:alert_ips "da1").kind)
    end)

    it("may close it and fail: the call ends without a crash", function()
      local client
      client = scripted.client(nil, { token = function()
        client:close()
        error "enough"
      end })
      local value, err = client:alert_ips "da1"
      assert.is_nil(value)
      assert.truthy(err.kind == "closed" or err.kind == "auth")
      assert.equal("closed", select(2, client:alert_ips "da1").kind)
    end)
  end)

  it("is let go of with its client", function()
    local witness = setmetatable({}, { __mode = "k" })
    coroutine.wrap(function() -- a stack of its own, which goes: no register is left that still shows the function
      local token = function() return "token" .. #witness end
      witness[token] = true
      scripted.client(nil, { token = token }):alert_ips "da1"
    end)()
    if rawget(_G, "jit") then rawget(_G, "jit").flush() end -- compiled code holds what it was made from
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(witness))
  end)

  it("is told of to on_event", function()
    local client, _, events = with_function(function(count)
      if count == 1 then return "token", 60 end
      return "token"
    end)
    client:alert_ips "da1"
    testing.advance(60)
    client:alert_ips "da1"
    assert.same({ { kind = "token", ok = true, seconds = 60 }, { kind = "token", ok = true } },
      scripted.of_kind(events, "token"))
  end)
end)

it("mde.client asks no token function when it is made", function()
  local asked = false
  mde.client{ token = function() asked = true end }:close()
  assert.is_false(asked)
end)

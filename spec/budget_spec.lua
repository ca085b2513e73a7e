-- `budget`: a call never lasts longer, and does not begin a wait that it could not finish. On real time, over HTTP;
-- what a moved clock can show is in quota_spec.lua and retry_spec.lua.

local connect = require "spec.support.connect"
local fault_server = require "spec.support.fault_server"
local simulator = require "spec.support.simulator"
local stopwatch = require "spec.support.stopwatch"

local ALERT = "da637472900382838869_1364969609"
local BUDGET = 0.2
local GRACE = 0.05 -- what a call may last longer than its budget

describe("budget #timing", function()
  local space, client

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
    client = connect(space)
  end)

  after_each(function() client:close() end)

  local function reconnect(options)
    client:close()
    client = connect(space, options)
  end

  local function requests() return #space:requests() end

  -- The error of a call that must fail within `limit` seconds, and the seconds that it took. Other work on the machine
  -- makes some calls longer than they need be, so one of three has to keep it.
  local function fails_within(limit, budget, call)
    call = call or function(options) return client:alert_ips(ALERT, options) end
    local seconds, result, err = stopwatch.best(limit, function() return call { budget = budget } end)
    assert.is_nil(result)
    assert.is_true(seconds <= limit, ("%.3f s with a budget of %.3f s"):format(seconds, budget))
    return err, seconds
  end

  local function failure(budget, call) return fails_within(budget + GRACE, budget, call) end

  -- As `failure`, of a call that has to stop while something is under way: its budget is used up.
  local function spends(budget, call)
    local err, seconds = failure(budget, call)
    assert.equal("timeout", err.kind)
    assert.is_true(err.retryable)
    assert.is_true(seconds >= budget - 0.01, ("%.3f s of %.3f s only"):format(seconds, budget))
    return err
  end

  -- As `failure`, of a call that has to return at once.
  local function saves(budget, call)
    local err = fails_within(GRACE, budget, call)
    assert.is_true(err.retryable)
    return err
  end

  describe("ends a call while", function()
    for what, fault in pairs {
      ["the answer does not come"] = { delay = 5 },
      ["the answer's body trickles"] = { trickle = { bytes = 1, every = 0.05 } },
      ["the error's body trickles"] = { status = 503, trickle = { bytes = 1, every = 0.05 } },
    } do
      it(what, function()
        fault.times = -1
        space:fault(fault)
        assert.equal(1, spends(BUDGET).attempts)
        reconnect { base_url = simulator.h2_url }
        assert.equal(1, spends(BUDGET).attempts)
      end)
    end

    describe("on a raw connection", function()
      local server

      setup(function() server = fault_server.start() end)
      teardown(function() server:stop() end)

      it("the other side is silent in the handshake", function()
        server:play { { "drain" } }
        reconnect { base_url = server.https_url }
        spends(BUDGET)
      end)

      it("the other side does not accept", function()
        reconnect { base_url = server:crowded_url() }
        spends(BUDGET)
      end)

      it("the answer's head has no end", function()
        server:play { { "expect" }, { "send", "HTTP/1.1 200 OK\r\n" }, { "repeat", "X-Filler: x\r\n", -1, 0.001 } }
        reconnect { base_url = server.url }
        spends(BUDGET)
      end)
    end)

    it("an attempt is made after another, each with a timeout of its own", function()
      space:fault { delay = 5, times = -1 }
      local err = failure(1, function(options)
        options.timeout, options.max_attempts = 0.2, 100
        return client:alert_ips(ALERT, options)
      end)
      assert.equal("timeout", err.kind)
      assert.is_true(err.attempts >= 1 and err.attempts <= 5)
    end)

    it("its pages come slowly", function()
      space:control { page_size = 50, faults = { { delay = 0.08, times = -1 } } }
      local err = spends(BUDGET, function(options) return client:alerts(options) end)
      assert.equal(3, err.attempts)
    end)

    it("the quota lets its pages through slowly", function()
      space:control { page_size = 10 }
      reconnect { rate_limit = { [0.1] = 1 } }
      local err = failure(0.3, function(options) return client:alerts(options) end)
      assert.equal("rate_limited", err.kind)
      assert.is_true(err.attempts >= 2 and err.attempts <= 3)
      assert.is_true(err.retry_after > 0 and err.retry_after <= 0.11)
    end)
  end)

  describe("does not begin", function()
    it("a pause that the service asks for and that is longer", function()
      for _, status in ipairs { 429, 503 } do
        space = simulator.namespace()
        space:fault { status = status, headers = { ["Retry-After"] = "2" } }
        reconnect()
        local seconds, result, err = stopwatch.time(function() return client:alert_ips(ALERT, { budget = BUDGET }) end)
        assert.is_nil(result)
        assert.same({ "rate_limited", status, 2, 1, true },
          { err.kind, err.status, err.retry_after, err.attempts, err.retryable })
        assert.is_true(seconds < 1)
        assert.equal(1, requests())
      end
    end)

    it("a wait for the end of such a pause", function()
      space:fault { status = 429, headers = { ["Retry-After"] = "20" } }
      client:alert_ips(ALERT, { max_attempts = 1 })
      local err = saves(BUDGET)
      assert.same({ "rate_limited", 0 }, { err.kind, err.attempts })
      assert.is_true(err.retry_after > 18 and err.retry_after <= 20)
      assert.equal(1, requests())
    end)

    it("a wait for the quota that is longer", function()
      reconnect { rate_limit = { [60] = 2 } }
      for _ = 1, 2 do assert(client:alert_ips(ALERT)) end
      local err = saves(BUDGET)
      assert.same({ "rate_limited", 0 }, { err.kind, err.attempts })
      assert.is_true(err.retry_after > 58 and err.retry_after < 60.1)
      assert.equal(2, requests())
      assert.equal(0, client:stats().waited_seconds)
    end)

    it("a wait for the quota between two pages", function()
      reconnect { rate_limit = { [60] = 2 } }
      local seconds, result, err = stopwatch.time(function() return client:alerts { budget = 5 } end)
      assert.is_nil(result)
      assert.same({ "rate_limited", 2 }, { err.kind, err.attempts })
      assert.is_true(err.retry_after > 58 and err.retry_after < 60.1)
      assert.is_true(seconds < 2)
      assert.equal(2, requests())
    end)

    it("a pause before another attempt that is longer", function()
      space:fault { status = 500, times = -1 }
      -- The dice give a pause of less than half a second, then of less than one, two, four ... seconds.
      for _ = 1, 3 do
        local err, seconds = failure(BUDGET, function(options)
          options.max_attempts = 100
          return client:alert_ips(ALERT, options)
        end)
        assert.same({ "timeout", true }, { err.kind, err.retryable })
        -- Without it the budget was over while a request was on its way, as may be on a machine that is busy.
        local pause = err.retry_after or 0
        assert.is_true(seconds + pause >= BUDGET - 0.01, ("%.3f %.3f"):format(seconds, pause))
      end
    end)

    it("anything when it is 0", function()
      local err = saves(0)
      assert.same({ "timeout", 0 }, { err.kind, err.attempts })
      assert.equal(0, requests())
    end)

    it("an attempt when the token has used it up", function()
      reconnect { token = function()
        local start = os.clock()
        while os.clock() - start < 0.1 do end -- luacheck: ignore 542
        return space.token
      end }
      local result, err = client:alert_ips(ALERT, { budget = 0.05 })
      assert.is_nil(result)
      assert.same({ "timeout", 0 }, { err.kind, err.attempts })
      assert.equal(0, requests())
      assert.equal(2, #client:alert_ips(ALERT, { budget = 1 }))
    end)
  end)

  describe("lets a call", function()
    it("wait for the quota when that is shorter", function()
      reconnect { rate_limit = { [0.2] = 1 }, budget = 2 }
      local seconds = stopwatch.time(function()
        for _ = 1, 2 do assert.equal(2, #client:alert_ips(ALERT)) end
      end)
      assert.is_true(seconds >= 0.2)
    end)

    it("wait for a pause that the service asks for when that is shorter", function()
      space:fault { status = 429, headers = { ["retry-after-ms"] = "100" } }
      local seconds, ips = stopwatch.time(function() return client:alert_ips(ALERT, { budget = 2 }) end)
      assert.equal(2, #ips)
      assert.is_true(seconds >= 0.1)
    end)

    it("take as long as it must when there is none", function()
      space:fault { delay = 0.5 }
      assert.equal(2, #client:alert_ips(ALERT))
    end)

    it("be made after one whose budget is spent", function()
      space:fault { delay = 5 }
      spends(BUDGET)
      space:control { faults = false }
      assert.equal(2, #client:alert_ips(ALERT, { budget = 5 }))
    end)
  end)

  it("is the client's where the call has none of its own", function()
    reconnect { budget = 0.1 }
    space:fault { delay = 0.3, times = -1 }
    spends(0.1, function() return client:alert_ips(ALERT) end)
    assert.equal(2, #client:alert_ips(ALERT, { budget = 5 }))
  end)
end)

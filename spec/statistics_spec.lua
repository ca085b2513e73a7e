-- What client:stats() counts where calls are given up: each is a bug that a million calls have shown.
local connect = require "spec.support.connect"
local scripted = require "spec.support.scripted"
local simulator = require "spec.support.simulator"

local ID = "da637472900382838869_1364969609"

describe("stats", function()
  -- A cancelled call's result is nil and an error, and was no error in the statistics.
  it("count a call that was cancelled as an error, once", function()
    local client = scripted.client()
    local call = client:start("alert_ips", "da1")
    call:cancel()
    call:cancel()
    assert.equal("cancelled", select(2, call:result()).kind)
    assert.equal(1, client:stats().errors)
  end)

  --- A client of which the second call raises what on_event does, once.
  local function breaking()
    local armed = true
    local client = scripted.client(nil, { rate_limit = { [100] = 1 }, on_event = function(event)
      if not armed or event.reason ~= "quota" then return end
      armed = false
      error "not now"
    end })
    client:alert_ips "da1"
    return client
  end

  it("count a started call that on_event broke off as an error", function()
    local client = breaking()
    local call = client:start("alert_ips", "da2")
    assert.matches("not now", scripted.raised(client.step, client, 5))
    assert.equal("cancelled", select(2, call:result()).kind)
    assert.equal(1, client:stats().errors)
  end)

  it("count an id that each hands out as cancelled as an error, but not those that it leaves", function()
    local client = breaking()
    local next_result = client:each("alert_ips", { "da2" })
    assert.matches("not now", scripted.raised(next_result))
    assert.equal("cancelled", select(3, next_result()).kind)
    assert.equal(1, client:stats().errors)
    for _ in client:each("alert_ips", { "da3", "da4", "da5" }) do break end -- luacheck: ignore 512
    assert.equal(1, client:stats().errors)
  end)

  -- An attempt was a retry as soon as another one was to follow, though none did.
  it("count no retry where the pause before it was cut short", function()
    local client = scripted.client{ { status = 503, headers = { ["Retry-After"] = 9 } } }
    local call = client:start("alert_ips", "da1")
    client:step()
    client:step()
    call:cancel()
    assert.equal(1, select(2, call:result()).attempts)
    assert.equal(0, client:stats().retries)
  end)

  it("count no retry where no new token could be had for it", function()
    local tokens = { "first" }
    local client = scripted.client({ { status = 401 } }, { token = function() return table.remove(tokens) end })
    assert.equal("auth", select(2, client:alert_ips "da1").kind)
    assert.equal(1, client:stats().attempts)
    assert.equal(0, client:stats().retries)
  end)
end)

describe("stats, of requests on the wire that were given up,", function()
  local space, client

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
    client = connect(space)
  end)

  after_each(function() client:close() end)

  --- A call whose request the simulator has, and that is not answered wholly.
  local function under_way(fault)
    space:fault(fault)
    local call = client:start("alert_ips", ID)
    for _ = 1, 100 do
      if space:report().in_flight > 0 then break end
      client:step(0.05)
    end
    return call
  end

  -- Connections were counted only with the end of an attempt.
  it("count their connections", function()
    local call = under_way{ delay = 1 }
    call:cancel()
    assert.equal(1, client:stats().connections)
    assert(client:alert_ips(ID))
    assert.same({ 2, 2 }, { client:stats().connections, space:report().connections })
  end)

  it("count no connection again that an attempt before them has made", function()
    local call
    client:close()
    client = connect(space, { rate_limit = { [60] = 2 }, on_event = function(event)
      if event.reason == "quota" then call:cancel() end -- before libcurl has had it in hand
    end })
    assert(client:alert_ips(ID))
    call = client:start("alert_ips", ID)
    local limited = client:start("alert_ips", ID)
    client:step(0)
    assert.equal("cancelled", select(2, call:result()).kind)
    limited:cancel()
    assert.same({ 1, 1 }, { client:stats().connections, client:stats().attempts })
  end)

  -- So were the bytes.
  it("count their bytes", function()
    local whole = #assert(client:alert_ips(ID)) and client:stats().bytes_received
    local call = under_way{ trickle = { bytes = 30, every = 0.3 } }
    client:step(0.1)
    call:cancel()
    local bytes = client:stats().bytes_received - whole
    assert.is_true(bytes >= 30 and bytes < whole, bytes)
  end)
end)

-- When the system has not enough: what goes wrong is an error of that call, and the client works when there is enough
-- again. Each of these was found by the harness of spec/torture, which tries all points of all scenarios.
local child = require "spec.support.child"
local compile = require "spec.support.compile"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"

-- Not with the sanitizer: it does not bear a libcurl that is loaded before it has begun.
describe("a client #as-built", function()
  local refuse, fork, space

  setup(function()
    refuse, fork = compile "refuse", compile "fork"
    simulator.start()
  end)
  teardown(function() shell.must(("rm -rf %s %s"):format(refuse, fork)) end)
  before_each(function() space = simulator.namespace() end)

  --- Runs code with `connect` and `fork` in a process that is refused so much.
  local function refused(name, times, code)
    local given = { url = simulator.url, ca_file = simulator.ca_file, token = space.token, alert = ALERT, fork = fork }
    return child.run([[
      local given = ...
      package.cpath = given.fork .. "/?.so;" .. package.cpath
      local mde, fork = require "mde", require "fork"
      local function connect(options)
        local all = { base_url = given.url, ca_file = given.ca_file, token = given.token, proxy = "", timeout = 3 }
        for option, value in pairs(options or {}) do all[option] = value end
        return mde.client(all)
      end
    ]] .. code, given, { LD_PRELOAD = refuse .. "/refuse.so:libcurl.so.4", REFUSE = name, TIMES = tostring(times) })
  end

  -- The bug: what epoll_ctl had no memory for counted as told, and the call waited until its time-out.
  it("is answered although the kernel cannot watch its sockets", function()
    space:fault { delay = 0.5, times = -1 }
    local got = refused("epoll_ctl", 1000, [[
      local client = connect()
      local one = assert(client:alert_ips(given.alert))
      local call = assert(client:start("alert_ips", given.alert))
      repeat until client:step(1) == 0
      return { count = #one, again = #assert(call:result()), attempts = client:stats().attempts }
    ]])
    assert.same({ count = 2, again = 2, attempts = 2 }, got)
  end)

  it("offers to event loops the sockets that the kernel cannot watch", function()
    space:fault { delay = 0.5 }
    local fds = refused("epoll_ctl", 1000, [[
      local client = connect()
      client:start("alert_ips", given.alert)
      while client:stats().in_flight == 0 do client:step(0.01) end
      client:step(0.01)
      return #client:pollable()
    ]])
    assert.equal(2, fds) -- it, and what watches the others
  end)

  -- The bug: the error was ignored, and since libcurl's timer was gone the call waited for ever.
  it("ends its call when libcurl has no memory for it, and makes the next one", function()
    local got = refused("curl_multi_socket_action", 1, [[
      local client = connect{ max_attempts = 1 }
      local ok, message = pcall(client.alert_ips, client, given.alert)
      return { ok = ok, message = message, next = #assert(client:alert_ips(given.alert)) }
    ]])
    assert.is_false(got.ok)
    assert.matches("not enough memory", got.message, 1, true)
    assert.equal(2, got.next)
  end)

  -- The bug: that libcurl could not be started was remembered for the whole process.
  it("is made when there is memory again to start libcurl", function()
    local got = refused("curl_global_init_mem", 1, [[
      local ok, message = pcall(connect)
      return { ok = ok, message = message, count = #assert(connect():alert_ips(given.alert)) }
    ]])
    assert.is_false(got.ok)
    assert.matches("not enough memory", got.message, 1, true)
    assert.equal(2, got.count)
  end)

  -- The bug: the child went on with the parent's sockets, and said goodbye to the server on them.
  it("leaves its parent's connection alone in a child that has no descriptor left", function()
    local got = refused("socket", 1, [[
      local client = connect()
      assert(client:alert_ips(given.alert))
      local pid = fork.fork()
      if pid == 0 then
        local ips = client:alert_ips(given.alert)
        client:close()
        fork.exit(ips and 0 or 1)
      end
      local code = fork.wait(pid)
      assert(client:alert_ips(given.alert))
      return { child = code, connections = client:stats().connections }
    ]])
    assert.same({ child = 0, connections = 1 }, got)
  end)
end)

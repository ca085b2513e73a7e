-- Everything that can happen between here and the service, on a real network: what cannot be reached, what does not
-- answer in time, what stops in the middle; and proxies, forked processes and descriptors.

local child = require "spec.support.child"
local compile = require "spec.support.compile"
local connect = require "spec.support.connect"
local fault_server = require "spec.support.fault_server"
local mde = require "mde"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local stopwatch = require "spec.support.stopwatch"

local ALERT = "da637472900382838869_1364969609"
local GRACE = 0.1 -- seconds that a time-out may come late

local on_linux = shell.run "test $(uname -s) = Linux"

describe("network", function()
  local space, client, server

  setup(function()
    simulator.start()
    server = fault_server.start()
  end)

  teardown(function() server:stop() end)

  before_each(function() space = simulator.namespace() end)

  after_each(function()
    if client then client:close() end
    client = nil
  end)

  -- Makes `client`. One attempt, unless the options say otherwise.
  local function open(options)
    options.max_attempts = options.max_attempts or 1
    client = connect(space, options)
  end

  -- The error of the call.
  local function failure(options)
    local result, err = client:alert_ips(ALERT, options)
    assert.is_nil(result)
    assert.is_true(err.retryable)
    return err
  end

  local function works_afterwards()
    assert.equal(2, #assert(client:alert_ips(ALERT)))
  end

  describe("unreachable:", function()
    it("a refused connection is of kind network, and nothing was sent", function()
      local gone = fault_server.start()
      local url = gone.https_url
      gone:stop() -- nobody listens any more
      open { base_url = url }
      local err = failure()
      assert.same({ "network", 0 }, { err.kind, err.attempts })
      assert.truthy(err.message:find("no answer from " .. url, 1, true), err.message)
    end)

    it("an unknown host is of kind network, and nothing was sent", function()
      open { base_url = "https://mde.invalid" }
      local err = failure()
      assert.same({ "network", 0 }, { err.kind, err.attempts })
      assert.truthy(err.message:find("mde.invalid", 1, true))
    end)

    it("it is tried again, without counting as sent", function()
      local attempts = 0
      open {
        base_url = "http://127.0.0.1:1", max_attempts = 2,
        on_event = function(event) attempts = attempts + (event.kind == "attempt" and 1 or 0) end,
      }
      assert.equal(0, failure().attempts)
      assert.equal(2, attempts)
      assert.equal(0, client:stats().attempts)
      assert.equal(1, client:stats().retries)
    end)

    it("the quota slot is given back", function()
      open { base_url = "http://127.0.0.1:1", rate_limit = { [3600] = 1 } }
      for _ = 1, 3 do assert.equal("network", failure({ budget = 5 }).kind) end
    end)
  end)

  describe("time-out", function()
    local TIMEOUT = 0.2

    -- The call must fail with `timeout`, no earlier and hardly later than it may.
    local function times_out(attempts, options)
      local seconds, err = stopwatch.best(TIMEOUT + GRACE, function() return failure(options) end)
      assert.same({ "timeout", attempts }, { err.kind, err.attempts })
      assert.is_nil(err.status)
      assert.is_true(seconds > TIMEOUT - 0.01 and seconds <= TIMEOUT + GRACE, ("%.3f s"):format(seconds))
      return err
    end

    it("while connecting ends the call", function()
      open { base_url = server:crowded_url(), timeout = TIMEOUT }
      times_out(0)
    end)

    it("while connecting is shorter with connect_timeout", function()
      local url = server:crowded_url()
      open { base_url = url, connect_timeout = TIMEOUT }
      local err = times_out(0)
      assert.truthy(err.message:find("no answer in time from " .. url, 1, true), err.message)
      assert.truthy(err.message:find "connect_timeout")
    end)

    for _, name in ipairs { "timeout", "connect_timeout" } do
      it("in the TLS handshake ends the call: " .. name, function()
        server:play { { "drain" } }
        open { base_url = server.https_url, [name] = TIMEOUT }
        times_out(0)
      end)
    end

    it("while waiting for the answer ends the call", function()
      server:play { { "drain" } }
      open { base_url = server.url, timeout = TIMEOUT, connect_timeout = 0.1 }
      times_out(1)
    end)

    for _, name in ipairs { "url", "h2_url" } do
      it("while waiting for the head leaves the client usable: " .. name, function()
        open { base_url = simulator[name] }
        works_afterwards()
        space:fault { delay = 1, times = 3 }
        times_out(1, { timeout = TIMEOUT })
        space:control { faults = false }
        works_afterwards()
      end)

      it("within the body leaves the client usable: " .. name, function()
        open { base_url = simulator[name] }
        space:fault { trickle = { bytes = 5, every = 0.05 }, times = 3 }
        times_out(1, { timeout = TIMEOUT })
        space:control { faults = false }
        works_afterwards()
      end)
    end

    it("is tried again, each attempt with a time of its own", function()
      open {}
      space:control { faults = { { delay = 0.5, times = 1 } } }
      assert.equal(2, #assert(client:alert_ips(ALERT, { timeout = TIMEOUT, max_attempts = 2 })))
      assert.equal(2, #space:requests())
    end)

    if on_linux then
      describe("while the name is looked up", function()
        local directory

        setup(function() directory = compile "slow_resolver" end)
        teardown(function() shell.must("rm -rf " .. directory) end)

        for _, option in ipairs { "timeout", "connect_timeout", "budget" } do
          it("ends the call, and neither closing nor leaving waits for the resolver: " .. option, function()
            local environment = {
              LD_PRELOAD = directory .. "/slow_resolver.so",
              ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0", -- in a sanitized run
            }
            local whole, got = stopwatch.time(function()
              return child.run([[
                local given = ...
                local stopwatch = require "spec.support.stopwatch"
                local client = require("mde").client {
                  base_url = "https://mde.invalid", token = "token-of-spec", proxy = "", max_attempts = 1,
                  [given.option] = given.timeout,
                }
                local seconds, _, err = stopwatch.time(function() return client:alert_ips "da1" end)
                local _, second = client:alert_ips "da1"
                local closing = stopwatch.time(function() client:close() end)
                return {
                  seconds = seconds, kind = err.kind, attempts = err.attempts, second = second.kind, closing = closing,
                }
              ]], { timeout = TIMEOUT, option = option }, environment)
            end)
            assert.same({ "timeout", 0, "network" }, { got.kind, got.attempts, got.second })
            assert.is_true(got.seconds > TIMEOUT - 0.01 and got.seconds <= TIMEOUT + 3 * GRACE, got.seconds .. " s")
            assert.is_true(got.closing < 0.5, got.closing .. " s to close")
            assert.is_true(whole < 3, whole .. " s")
          end)
        end
      end)
    else
      pending "while the name is looked up ends the call (this needs LD_PRELOAD)"
    end
  end)

  describe("a service that stops in the middle", function()
    local faults = {
      ["of the body"] = { truncate = 20 }, ["before the answer"] = { reset = "before" },
      ["of the body, with a reset"] = { reset = "middle" },
    }
    for name, fault in pairs(faults) do
      for _, url in ipairs { "url", "h2_url", "http_url" } do
        it(name .. " is of kind network: " .. url, function()
          open { base_url = simulator[url] }
          works_afterwards()
          space:fault(fault)
          local err = failure()
          assert.same({ "network", 1 }, { err.kind, err.attempts })
          assert.is_nil(err.status)
          works_afterwards()
        end)
      end

      it(name .. " is tried again", function()
        open { max_attempts = 2 }
        space:fault(fault)
        works_afterwards()
        assert.equal(2, #space:requests())
        assert.equal(1, client:stats().retries)
      end)
    end

    describe("of a compressed body", function()
      local packed, headers = nil, { ["Content-Encoding"] = "gzip" }

      setup(function()
        local path = os.tmpname()
        shell.must(([[printf '{"value":[{"id":"192.0.2.1"}]}' | gzip -9n >%s]]):format(path))
        packed = shell.read(path)
        os.remove(path)
      end)

      it("is of kind network", function()
        open {}
        space:fault { body = packed, headers = headers, truncate = 30 }
        local err = failure()
        assert.same({ "network", 1 }, { err.kind, err.attempts })
        space:fault { body = packed, headers = headers }
        assert.same({ { id = "192.0.2.1" } }, client:alert_ips(ALERT))
      end)

      it("without admitting it is of kind json", function()
        open { max_attempts = 3 }
        for length = 0, 40, 10 do
          space:fault { body = packed:sub(1, length), headers = headers }
          local result, err = client:alert_ips(ALERT)
          assert.is_nil(result)
          assert.same({ "json", 1 }, { err.kind, err.attempts })
        end
      end)

      it("in bytes that were never compressed is of kind json, and leaves another status its own", function()
        open { max_attempts = 3 }
        space:fault { body = '{"value":[]}', headers = headers }
        local result, err = client:alert_ips(ALERT)
        assert.is_nil(result)
        assert.same({ "json", 200, 1 }, { err.kind, err.status, err.attempts })
        space:fault { status = 403, body = "<html>", headers = headers }
        result, err = client:alert_ips(ALERT)
        assert.is_nil(result)
        assert.same({ "auth", 403, 1 }, { err.kind, err.status, err.attempts })
      end)
    end)

  end)

  describe("an answer whose head is too large", function()
    -- The bug: libcurl calls a header line of 100 KiB "out of memory", and the client raised that.
    for name, url in pairs { ["HTTP/1.1"] = "url", ["HTTP/2"] = "h2_url" } do
      it("because of one line is refused, and the client stays usable: " .. name, function()
        open { base_url = simulator[url], max_attempts = 3 }
        space:fault { headers = { ["X-Filler"] = ("x"):rep(300000) }, times = 3 }
        local result, err = client:alert_ips(ALERT)
        assert.is_nil(result)
        assert.is_true(err.kind == "too_large" or err.kind == "network", err.kind)
        space:control { faults = false }
        works_afterwards()
      end)
    end

    it("because of many lines is refused, and not asked for again", function()
      open { max_attempts = 3 }
      local headers = {}
      for i = 1, 300 do headers["X-Filler-" .. i] = ("x"):rep(1000) end
      space:fault { headers = headers }
      local result, err = client:alert_ips(ALERT)
      assert.is_nil(result)
      assert.same({ "too_large", 1, false }, { err.kind, err.attempts, err.retryable })
      works_afterwards()
    end)
  end)

  describe("proxy", function()
    before_each(function()
      server:play { { "expect" }, { "send", "HTTP/1.1 200 Connection established\r\n\r\n" }, { "tunnel" } }
    end)

    local TOKEN_OF_CHILD = [[
      local given = ...
      local options = { base_url = given.url, token = given.token, ca_file = given.ca_file, max_attempts = 1 }
      for _, name in ipairs { "proxy", "no_proxy" } do options[name] = given[name] end
      local client = require("mde").client(options)
      local ips, err = client:alert_ips(given.id)
      return ips and #ips or tostring(err)
    ]]

    -- What the call comes to in a process with nothing else of proxies in its environment.
    local function outcome(given, environment)
      for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY",
        "no_proxy", "NO_PROXY" } do
        environment[name] = environment[name] or false
      end
      given.url = given.url or simulator.url
      given.token, given.ca_file, given.id = space.token, simulator.ca_file, ALERT
      return child.run(TOKEN_OF_CHILD, given, environment)
    end

    local function was_used()
      -- Before it there may be the last bytes of another spec's connection.
      return server:received():find("CONNECT 127.0.0.1:%d+ HTTP/1.1\r\n") ~= nil
    end

    it("of the option is used, and never sees the token", function()
      for _, url in ipairs { "url", "h2_url" } do
        open { base_url = simulator[url], proxy = server.url }
        works_afterwards()
        client:close()
      end
      assert.is_true(was_used())
      assert.equal(2, server:connections())
      assert.falsy(server:received():find(space.token, 1, true))
      assert.falsy(server:received():find("Authorization", 1, true))
      assert.falsy(server:received():find(ALERT, 1, true))
      assert.equal(2, #space:requests())
    end)

    it("is given its own user and password, and the service is not", function()
      open { proxy = server.url:gsub("//", "//alice:pa55word@") }
      works_afterwards()
      assert.truthy(server:received():find("Proxy-Authorization: Basic YWxpY2U6cGE1NXdvcmQ=", 1, true))
    end)

    for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } do
      it("of the environment is used: " .. name, function()
        assert.equal(2, outcome({}, { [name] = server.url }))
        assert.is_true(was_used())
      end)
    end

    it("of the environment is not used for plain http, which is for loopback", function()
      assert.equal(2, outcome({ url = simulator.http_url }, { http_proxy = server.url, https_proxy = server.url }))
      assert.equal(0, server:connections())
    end)

    it("of the option wins over the environment's; an empty one means none", function()
      assert.equal(2, outcome({ proxy = server.url }, { https_proxy = "http://127.0.0.1:1" }))
      assert.equal(1, server:connections())
      assert.equal(2, outcome({ proxy = "" }, { https_proxy = "http://127.0.0.1:1" }))
      assert.equal(1, server:connections())
    end)

    for _, name in ipairs { "no_proxy", "NO_PROXY" } do
      it("is not used where the environment's " .. name .. " has the host", function()
        assert.equal(2, outcome({}, { https_proxy = server.url, [name] = "example.com,127.0.0.1" }))
        assert.equal(2, outcome({}, { https_proxy = server.url, [name] = "*" }))
        assert.equal(0, server:connections())
      end)
    end

    it("is not used where the option no_proxy has the host, which wins over the environment's", function()
      assert.equal(2, outcome({ proxy = server.url, no_proxy = "127.0.0.1" }, {}))
      assert.equal(0, server:connections())
      assert.equal(2, outcome({ proxy = server.url, no_proxy = "" }, { no_proxy = "127.0.0.1" }))
      assert.equal(1, server:connections())
    end)

    it("is read from the environment when the client is made, not later", function()
      local directory = compile "environment"
      local got = child.run([[
        local given = ...
        package.cpath = given.directory .. "/?.so;" .. package.cpath
        local environment = require "environment"
        local options = { base_url = given.url, token = given.token, ca_file = given.ca_file }
        environment.set("https_proxy", "")
        environment.set("no_proxy", "")
        local early = require("mde").client(options)
        environment.set("https_proxy", given.proxy)
        local late = require("mde").client(options)
        environment.set("https_proxy", "http://127.0.0.1:1")
        return { early = #early:alert_ips(given.id), late = #late:alert_ips(given.id) }
      ]], {
        directory = directory, url = simulator.url, token = space.token, ca_file = simulator.ca_file, id = ALERT,
        proxy = server.url,
      }, { HTTPS_PROXY = false, all_proxy = false, ALL_PROXY = false, NO_PROXY = false })
      shell.must("rm -rf " .. directory)
      assert.same({ early = 2, late = 2 }, got)
      assert.equal(1, server:connections())
    end)

    it("that refuses is of kind network, and nothing was sent", function()
      server:play { { "expect" }, { "send", "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot here\n" } }
      open { proxy = server.url }
      local err = failure()
      assert.same({ "network", 0 }, { err.kind, err.attempts })
      assert.truthy(err.message:find("403", 1, true), err.message)
      assert.truthy(err.message:find "proxy")
      assert.is_nil(err.status) -- it is not the service's
      assert.same({}, space:requests())
    end)

    it("that is not there is of kind network, and nothing was sent", function()
      for _, proxy in ipairs { "http://127.0.0.1:1", "http://proxy.invalid:8080" } do
        open { proxy = proxy }
        local err = failure()
        assert.same({ "network", 0 }, { err.kind, err.attempts })
        client:close()
      end
    end)

    it("that never answers is a time-out", function()
      server:play { { "drain" } }
      open { proxy = server.url, timeout = 0.2 }
      local seconds, err = stopwatch.best(0.2 + GRACE, failure)
      assert.same({ "timeout", 0 }, { err.kind, err.attempts })
      assert.is_true(seconds <= 0.2 + GRACE)
    end)

    it("is not shown with its password in any message", function()
      for _, proxy in ipairs {
        "http://alice:pa55word@127.0.0.1:1", "ftp://alice:pa55word@127.0.0.1:1", "http://alice:pa55word@proxy.invalid",
        "http://alice:pa55word@127.0.0.1:port", "http://alice:pa55word@[::1", "socks9://alice:pa55word@127.0.0.1:1",
      } do
        local ok, result = pcall(connect, space, { proxy = proxy, max_attempts = 1 })
        local message = tostring(result)
        if ok then
          client = result
          assert.falsy(tostring(client):find("pa55word", 1, true))
          message = tostring(select(2, client:alert_ips(ALERT)))
          client:close()
        end
        assert.falsy(message:find("pa55word", 1, true), message)
      end
    end)

    it("for plain http must be on this machine, since it sees the token", function()
      for _, proxy in ipairs { "http://192.0.2.1:3128", "http://proxy.example", "socks5://192.0.2.1", "garbage" } do
        assert.has_error(function()
          mde.client { token = "token-of-spec", base_url = "http://127.0.0.1:1", proxy = proxy }
        end)
      end
    end)
  end)

  describe("after a fork", function()
    local directory

    setup(function() directory = compile "fork" end)
    teardown(function() shell.must("rm -rf " .. directory) end)

    -- Runs code with `client`, `fork` and `given`. Returns what it returns.
    local function forking(url, code)
      return child.run([[
        local given = ...
        package.cpath = given.directory .. "/?.so;" .. package.cpath
        local fork = require "fork"
        local client = require("mde").client {
          base_url = given.url, token = given.token, ca_file = given.ca_file, proxy = "", rate_limit = false,
          http_version = given.http_version,
        }
      ]] .. code, {
        http_version = url == "h2_url" and "2" or "1.1",
        directory = directory, url = simulator[url], token = space.token, ca_file = simulator.ca_file, id = ALERT,
      })
    end

    -- operation -> the serial numbers of its connections, in order
    local function connections_of(operation)
      local numbers = {}
      for _, request in ipairs(space:requests()) do
        if request.operation == operation then numbers[#numbers + 1] = request.connection end
      end
      return numbers
    end

    for _, url in ipairs { "url", "h2_url", "http_url" } do
      it("the child has connections of its own, and the parent keeps its own: " .. url, function()
        local got = forking(url, [[
          assert(#client:alert_ips(given.id) == 2)
          local pid = fork.fork()
          if pid == 0 then
            local domains = client:alert_domains(given.id)
            fork.exit(domains and domains[1].host == "cdn.contoso.example" and 0 or 1)
          end
          local code = fork.wait(pid)
          assert(#client:alert_files(given.id) == 1)
          return { code = code, connections = client:stats().connections }
        ]])
        assert.same({ code = 0, connections = 1 }, got)
        local before, within, after =
          connections_of "alert_ips"[1], connections_of "alert_domains"[1], connections_of "alert_files"[1]
        assert.equal(before, after)
        assert.is_true(within > before)
        assert.equal(3, #space:requests())
      end)

      it("closing the child's client says nothing on the parent's connections: " .. url, function()
        local got = forking(url, [[
          assert(#client:alert_ips(given.id) == 2)
          local pid = fork.fork()
          if pid == 0 then
            client:close()
            client = nil
            collectgarbage()
            fork.exit(0)
          end
          local code = fork.wait(pid)
          assert(#client:alert_files(given.id) == 1)
          return code
        ]])
        assert.equal(0, got)
        assert.same(connections_of "alert_ips", connections_of "alert_files")
      end)

      it("parent and child may call at the same time, and nothing is mixed up: " .. url, function()
        space:control { limits = false }
        local got = forking(url, [[
          assert(client:alert(given.id))
          local pid = fork.fork()
          local name = pid == 0 and "alert_domains" or "alert_files"
          local good = 0
          for _ = 1, 50 do
            local items = client[name](client, given.id)
            if pid == 0 then
              good = good + (items and items[2].host == "updates.contoso.example" and 1 or 0)
            else
              good = good + (items and items[1].fileProductName == "invoice.ps1" and 1 or 0)
            end
          end
          if pid == 0 then fork.exit(good) end
          return { parent = good, child = fork.wait(pid) }
        ]])
        assert.same({ parent = 50, child = 50 }, got)
        local parents = {}
        for _, connection in ipairs(connections_of "alert_files") do parents[connection] = true end
        for _, connection in ipairs(connections_of "alert_domains") do assert.is_nil(parents[connection]) end
        assert.equal(connections_of "alert"[1], connections_of "alert_files"[50])
      end)
    end

    it("the child's child works, too", function()
      assert.equal(0, forking("url", [[
        assert(client:alert(given.id))
        local pid = fork.fork()
        if pid == 0 then
          assert(client:alert_ips(given.id))
          local second = fork.fork()
          if second == 0 then fork.exit(client:alert_files(given.id) and 0 or 1) end
          local code = fork.wait(second)
          fork.exit(client:alert_ips(given.id) and code or 2)
        end
        return fork.wait(pid)
      ]]))
      local numbers = connections_of "alert_ips"
      assert.equal(numbers[1], numbers[2])
      assert.not_equal(numbers[1], connections_of "alert_files"[1])
    end)

    it("a client made before its first call works in both", function()
      assert.equal(0, forking("h2_url", [[
        local pid = fork.fork()
        if pid == 0 then fork.exit(client:alert_ips(given.id) and 0 or 1) end
        local code = fork.wait(pid)
        assert(client:alert_ips(given.id))
        return code
      ]]))
    end)
  end)

  if on_linux then
    it("a process started meanwhile inherits none of the descriptors", function()
      local got = child.run([[
        local given = ...
        local simulator_urls = { given.url, given.h2_url, given.http_url }
        local function inherited()
          local pipe = io.popen "ls /proc/self/fd | wc -l"
          local count = tonumber(pipe:read "*a")
          pipe:close()
          return count
        end
        local function own()
          local pipe = io.popen "ls /proc/$PPID/fd | wc -l"
          local count = tonumber(pipe:read "*a")
          pipe:close()
          return count
        end
        local counts, clients = { before = inherited(), own_before = own(), during = {} }, {}
        for i, url in ipairs(simulator_urls) do
          clients[i] = require("mde").client {
            base_url = url, token = given.token, ca_file = given.ca_file, proxy = "", http_version = "2",
            on_event = function() counts.during[#counts.during + 1] = inherited() end,
          }
          clients[i]:alert_ips(given.id)
        end
        counts.after, counts.own_after = inherited(), own()
        return counts
      ]], {
        url = simulator.url, h2_url = simulator.h2_url, http_url = simulator.http_url, token = space.token,
        ca_file = simulator.ca_file, id = ALERT,
      })
      assert.is_true(got.own_after >= got.own_before + 3) -- there was something to inherit
      assert.equal(got.before, got.after)
      assert.is_true(#got.during >= 3)
      for _, count in ipairs(got.during) do assert.equal(got.before, count) end
    end)
  else
    pending "a process started meanwhile inherits none of the descriptors (this needs /proc)"
  end
end)

-- What may happen to a connection: it is reset or closed in any phase, it is silent, it dies while it is kept, or
-- speaks unasked. Each time the error is of the right kind, and the client's next call works.
local hostile = require "spec.support.hostile"
local simulator = require "spec.support.simulator"

local OK, LENGTH, ANSWER = hostile.OK, hostile.LENGTH, hostile.ANSWER
local OTHER = 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{"value":[{"id":"198.51.100.1"}]}'
local SETTLED = "sleep 0.1" -- until what the other side does has arrived

describe("a hostile connection", function()
  local network, tls

  -- Under TLS, what is played comes after the handshake.
  local function secure()
    local over_tls = hostile.network()
    over_tls.options = { base_url = over_tls.server.https_url, ca_file = simulator.ca_file }
    over_tls.friend = { tls, { "expect" }, { "send", ANSWER } }
    return over_tls
  end

  setup(function()
    simulator.start()
    tls = { "tls", hostile.certificate "server" }
    network = { http = hostile.network(), https = secure() }
  end)

  teardown(function()
    for _, each in pairs(network) do each:stop() end
  end)

  local function script_of(scheme, ...)
    return scheme == "https" and { tls, ... } or { ... }
  end

  describe("in plain HTTP", function()
    for what, script in pairs {
      ["without a word"] = { { "wait", 0.02 } }, ["after the request"] = { { "expect" } },
      ["in the middle of the request"] = { { "read" } },
    } do
      for _, ending in ipairs { "close", "reset" } do
        it("that ends " .. what .. " is of kind network: " .. ending, function()
          network.http:meets(hostile.joined(script, { { ending } }), "network")
        end)
      end
    end

    it("that is reset after a part of the answer is of kind network", function()
      for _, part in ipairs { OK, OK .. LENGTH .. "\r\n", ANSWER:sub(1, -2) } do
        network.http:meets({ { "expect" }, { "send", part }, { "wait", 0.02 }, { "reset" } }, "network")
      end
    end)
  end)

  describe("in the handshake of TLS", function()
    local HELLO = "\22\3\3\0\100\2\0\0\96\3\3" -- the beginning of a server's

    for what, script in pairs {
      ["closed at once"] = { { "close" } }, ["reset at once"] = { { "reset" } },
      ["closed after the greeting"] = { { "read" }, { "close" } },
      ["reset after the greeting"] = { { "read" }, { "reset" } },
      ["closed within the answer"] = { { "read" }, { "send", HELLO }, { "close" } },
      ["reset within the answer"] = { { "read" }, { "send", HELLO }, { "wait", 0.02 }, { "reset" } },
      -- The bug: this counted as a refusal of the protocol, which is not tried again.
      ["ended with a goodbye"] = { { "read" }, { "send", "\21\3\3\0\2\1\0" }, { "close" } },
    } do
      it("that is " .. what .. " is of kind network, and nothing was sent", function()
        network.https:meets(script, "network", { sent = 0 })
      end)
    end

    for what, words in pairs {
      ["is refused"] = "\21\3\3\0\2\2\40", ["is refused for its version"] = "\21\3\3\0\2\2\70",
      ["is answered with HTTP"] = "HTTP/1.1 400 Bad Request\r\n\r\n", ["is answered with zeros"] = ("\0"):rep(100),
    } do
      it("that " .. what .. " is of kind tls, and nothing was sent", function()
        network.https:meets({ { "read" }, { "send", words }, { "close" } }, "tls", { sent = 0 })
      end)
    end

    it("that is silent, or comes byte by byte, is of kind timeout, and nothing was sent", function()
      local options = { sent = 0, timeout = 0.2 }
      network.https:meets({ { "drain" } }, "timeout", options)
      network.https:meets({ { "read" }, { "send", HELLO }, { "repeat", "\0", -1, 0.01 } }, "timeout", options)
    end)
  end)

  describe("under TLS", function()
    for what, script in pairs {
      ["closed before the request"] = { { "close" } }, ["reset before the request"] = { { "reset" } },
      ["ended before the request"] = { { "goodbye" } },
      ["reset after the request"] = { { "expect" }, { "reset" } },
      ["ended within the head"] = { { "expect" }, { "send", OK }, { "goodbye" } },
      ["closed within the body"] = { { "expect" }, { "send", ANSWER:sub(1, -2) }, { "close" } },
      ["ended within the body"] = { { "expect" }, { "send", ANSWER:sub(1, -2) }, { "goodbye" } },
    } do
      it("that is " .. what .. " is of kind network", function()
        network.https:meets(hostile.joined({ tls }, script), "network")
      end)
    end

    it("that is silent after the request is of kind timeout", function()
      network.https:meets({ tls, { "drain" } }, "timeout", { timeout = 0.2 })
    end)
  end)

  for _, scheme in ipairs { "http", "https" } do
    describe("that is kept: " .. scheme, function()
      -- Calls as often, with a pause in between, which must find the true answer each time.
      local function calls(client, times)
        for _ = 1, times do
          assert.same({ { id = "192.0.2.1" } }, client:alert_ips "da1")
          os.execute(SETTLED)
        end
      end

      local function keeps_to_the_truth(...)
        network[scheme].server:play(script_of(scheme, { "expect" }, ...), network[scheme].friend)
        local client = network[scheme]:client()
        calls(client, 2)
        local stats = client:stats()
        assert.same({ 2, 2 }, { stats.attempts, stats.connections })
        client:close()
      end

      it("and ends meanwhile is replaced, and no attempt is lost", function()
        keeps_to_the_truth({ "send", ANSWER }, { "close" })
        keeps_to_the_truth({ "send", ANSWER }, { "reset" })
      end)

      it("and speaks unasked is replaced, and what it says is nobody's answer", function()
        -- The bug: libcurl 7.88 takes what comes on a kept connection for the next answer.
        for _, size in ipairs { 33, 200000 } do
          local other = OTHER:format(size) .. (" "):rep(size - 33)
          keeps_to_the_truth({ "send", ANSWER }, { "wait", 0.01 }, { "send", other }, { "drain" })
          keeps_to_the_truth({ "send", ANSWER .. other }, { "drain" })
        end
      end)

      it("and says that the client has been idle for too long is replaced", function()
        local late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        keeps_to_the_truth({ "send", ANSWER }, { "wait", 0.01 }, { "send", late }, { "close" })
      end)

      it("and is not alone is replaced, each by one", function()
        local each = network[scheme]
        each.server:play(script_of(scheme, { "expect" }, { "wait", 0.05 }, { "send", ANSWER }, { "close" }))
        local client = each:client()
        for _ = 1, 2 do
          for _, _, err in client:each("alert_ips", { "a", "b", "c", "d" }) do assert.is_nil(err) end
          os.execute(SETTLED)
        end
        assert.same({ 8, 8 }, { client:stats().attempts, client:stats().connections })
        client:close()
      end)
    end)
  end

  describe("that is kept and ends as the next request comes", function()
    for _, ending in ipairs { "close", "reset" } do
      it("loses one attempt, which is counted and repeated: " .. ending, function()
        network.http.server:play({ { "expect" }, { "send", ANSWER }, { "expect" }, { ending } }, network.http.friend)
        local client = network.http:client { max_attempts = 2 }
        for _ = 1, 2 do assert.same({ { id = "192.0.2.1" } }, client:alert_ips "da1") end
        assert.same({ 3, 1 }, { client:stats().attempts, client:stats().retries })
        assert.equal(3, network.http.server:requests "GET") -- none behind our back
        client:close()
      end)

      it("takes a place of the quota for each request: " .. ending, function()
        network.http.server:play({ { "expect" }, { "send", ANSWER }, { "expect" }, { ending } }, network.http.friend)
        local client = network.http:client { max_attempts = 4, rate_limit = { [3600] = 2 }, budget = 5 }
        assert(client:alert_ips "da1")
        local result, err = client:alert_ips "da1"
        assert.is_nil(result)
        assert.equal("rate_limited", err.kind)
        assert.equal(2, network.http.server:requests "GET")
        client:close()
      end)
    end
  end)
end)

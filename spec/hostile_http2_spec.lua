-- What may be done to a client that speaks HTTP/2: streams refused, connections that say goodbye, frames against every
-- rule, frames without an end. Each time the error is of the right kind, and the client's next call works.
local hostile = require "spec.support.hostile"
local http2 = require "spec.support.http2"
local simulator = require "spec.support.simulator"

local BODY = hostile.BODY
local HEAD = { { ":status", "200" }, { "content-type", "application/json" } }
local MIB = 1024 * 1024

local function answer(stream) return http2.head(stream, HEAD) .. http2.data(stream, BODY, http2.END_STREAM) end

local ANSWER = answer(1)

describe("a hostile HTTP/2", function()
  local network, greeting

  setup(function()
    simulator.start()
    network = hostile.network()
    network.options = { base_url = network.server.https_url, ca_file = simulator.ca_file, http_version = "2" }
    greeting = { { "tls", hostile.certificate("server", { alpn = "h2" }) }, { "send", http2.settings() } }
    network.friend = hostile.joined(greeting, { { "frame", http2.HEADERS }, { "send", ANSWER } })
    network.goes_on = { { "frame", http2.HEADERS }, { "send", answer(3) } }
  end)

  teardown(function() network:stop() end)

  local function script_of(...)
    return hostile.joined(greeting, { { "frame", http2.HEADERS }, ... })
  end

  local function answers(frames, outcome, options)
    return network:meets(script_of({ "send", frames }), outcome, options)
  end

  local function with_fields(fields, outcome)
    return answers(http2.head(1, fields) .. http2.data(1, BODY, http2.END_STREAM), outcome)
  end

  -- The answer's head, with one more field.
  local function with_field(name, value, outcome)
    return with_fields({ HEAD[1], HEAD[2], { name, value } }, outcome)
  end

  -- How many requests came on all the connections.
  local function requests()
    local count = 0
    for _, received in ipairs(network.server:report()) do count = count + http2.count(received, http2.HEADERS) end
    return count
  end

  describe("that does not take a request", function()
    local refusals = {
      ["by REFUSED_STREAM"] = http2.reset(1, "REFUSED_STREAM"), ["by CANCEL"] = http2.reset(1, "CANCEL"),
      ["by INTERNAL_ERROR"] = http2.reset(1, "INTERNAL_ERROR"), ["by NO_ERROR"] = http2.reset(1, "NO_ERROR"),
      ["by ENHANCE_YOUR_CALM"] = http2.reset(1, "ENHANCE_YOUR_CALM"), ["by GOAWAY"] = http2.goaway(0, "NO_ERROR"),
      ["by an angry GOAWAY"] = http2.goaway(0, "ENHANCE_YOUR_CALM"),
    }
    for what, frames in pairs(refusals) do
      it(what .. " is of kind network", function() answers(frames, "network") end)
    end

    for _, what in ipairs { "by REFUSED_STREAM", "by GOAWAY" } do
      it(what .. " is asked again, by an attempt that is counted", function()
        network:plays(script_of { "send", refusals[what] })
        local client = network:client { max_attempts = 2 }
        assert.same({ { id = "192.0.2.1" } }, client:alert_ips "da1")
        assert.same({ 2, 1 }, { client:stats().attempts, client:stats().retries })
        assert.equal(2, requests())
        client:close()
      end)

      it(what .. " takes a place of the quota for each request", function()
        network:plays(script_of { "send", refusals[what] })
        local client = network:client { max_attempts = 2, rate_limit = { [3600] = 1 }, budget = 5 }
        local result, err = client:alert_ips "da1"
        assert.is_nil(result)
        assert.same({ "rate_limited", 1 }, { err.kind, err.attempts })
        assert.equal(1, requests())
        client:close()
      end)
    end

    it("because it wants HTTP/1.1 is of kind network, and nothing is sent again behind our back", function()
      network:plays(script_of { "send", http2.reset(1, "HTTP_1_1_REQUIRED") })
      local client = network:client()
      local result, err = client:alert_ips "da1"
      assert.is_nil(result)
      assert.same({ "network", 1, 1 }, { err.kind, err.attempts, requests() })
      client:close()
    end)

    it("because it has said goodbye before is of kind network", function()
      local script = { greeting[1], { "send", http2.settings() .. http2.goaway(0, "NO_ERROR") } }
      network:meets(script, "network")
    end)
  end)

  describe("that says goodbye", function()
    it("and still answers is heard out", function()
      for _, code in ipairs { "NO_ERROR", "ENHANCE_YOUR_CALM" } do
        answers(http2.goaway(1, code) .. ANSWER, "ok")
        answers(ANSWER .. http2.goaway(1, code), "ok")
      end
    end)

    it("and does not answer any more is of kind timeout", function()
      answers(http2.goaway(1, "NO_ERROR"), "timeout", { timeout = 0.2 })
    end)
  end)

  describe("that breaks off", function()
    it("at any byte is of kind network", function()
      for size = 0, #ANSWER - 1 do
        network:meets(script_of({ "send", ANSWER:sub(1, size) }, { "close" }), "network")
      end
    end)

    it("with a reset is of kind network", function()
      for _, size in ipairs { 0, #ANSWER - 1 } do
        network:meets(script_of({ "send", ANSWER:sub(1, size) }, { "wait", 0.02 }, { "reset" }), "network")
      end
    end)

    it("by silence leaves alone what was asked just now", function()
      -- The bug: the connection was ended, and with it a call that was about to be answered.
      network:plays(hostile.joined(greeting, {
        { "frame", http2.HEADERS }, { "frame", http2.HEADERS }, { "wait", 0.3 }, { "send", answer(3) }, { "drain" },
      }))
      local client = network:client()
      local late = client:start("alert_ips", "da1", { timeout = 0.5 })
      for _ = 1, 20 do client:step(0.02) end
      local other = client:start("alert_ips", "da2")
      repeat until client:step(1) == 0
      assert.equal("timeout", select(2, late:result()).kind)
      assert.same({ { id = "192.0.2.1" } }, other:result())
      client:close()
    end)
    it("by silence is of kind timeout #brisk", function()
      -- The bug: the next calls went to the same connection, and timed out, too.
      network:meets({ greeting[1], { "drain" } }, "timeout", { timeout = 0.2 })
      answers(http2.head(1, HEAD), "timeout", { timeout = 0.2 })
    end)

    for what, text in pairs {
      ["HTTP/1.1"] = hostile.ANSWER, ["garbage"] = ("x"):rep(1000), ["zeros"] = ("\0"):rep(1000),
    } do
      it("by " .. what .. " is of kind network", function()
        network:meets({ greeting[1], { "read" }, { "send", text }, { "drain" } }, "network")
      end)
    end
  end)

  describe("with a head", function()
    for what, fields in pairs {
      ["without a status"] = { HEAD[2] }, ["with a status of letters"] = { { ":status", "abc" } },
      ["with a status of four digits"] = { { ":status", "1000" } },
      ["with two statuses"] = { HEAD[1], { ":status", "404" } }, ["with a late status"] = { HEAD[2], HEAD[1] },
    } do
      it(what .. " is of kind network", function() with_fields(fields, "network") end)
    end

    for what, field in pairs {
      ["in upper case"] = { "X-Upper", "x" }, ["of HTTP/1.1's connections"] = { "connection", "close" },
      ["with a zero"] = { "x", "a\0b" }, ["with a line end"] = { "x", "a\r\nretry-after: 5" },
      ["that says too long a length"] = { "content-length", "31" },
      ["that says too short a length"] = { "content-length", "29" },
      ["that says a negative length"] = { "content-length", "-1" },
    } do
      it("with a field " .. what .. " is of kind network", function() with_field(field[1], field[2], "network") end)
    end

    it("with two lengths is of kind network", function()
      with_fields({ HEAD[1], { "content-length", "30" }, { "content-length", "31" } }, "network")
    end)

    it("with other answers before it waits for the one that counts", function()
      answers(http2.head(1, { { ":status", "103" }, { "link", "x" } }):rep(100) .. ANSWER, "ok")
    end)

    it("with trailers is taken", function()
      -- The bug: an answer with trailers counted as one that ended within its head.
      local trailers = http2.head(1, { { "retry-after", "1000" } }, http2.END_STREAM)
      answers(http2.head(1, HEAD) .. http2.data(1, BODY) .. trailers, "ok")
    end)

    it("whose fields cannot be unpacked is of kind network", function()
      for _, block in ipairs { "\255\255\255\255\255", "\190", "\0\127" } do
        answers(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, block), "network")
      end
    end)
  end)

  describe("with frames", function()
    for what, frames in pairs {
      ["of data before the head"] = http2.data(1, BODY, http2.END_STREAM),
      ["of a stream that nobody opened"] = http2.data(5, BODY, http2.END_STREAM),
      ["of a head of stream 0"] = http2.head(0, HEAD), ["of a head of the server's own"] = http2.head(2, HEAD),
      ["of a window that opens too far"] = http2.frame(http2.WINDOW_UPDATE, 0, 1, "\127\255\255\255") .. ANSWER,
      ["of a window that does not open"] = http2.frame(http2.WINDOW_UPDATE, 0, 1, "\0\0\0\0") .. ANSWER,
      ["of one byte of settings"] = http2.settings "x" .. ANSWER,
      ["of settings beyond their bounds"] = http2.settings "\0\4\255\255\255\255" .. ANSWER,
      ["of more padding than there is"] = http2.frame(http2.HEADERS, 8 + http2.END_HEADERS, 1, "\255x"),
      ["that continue what has not begun"] = http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, ""),
      ["of data in the middle of a head"] = http2.frame(http2.HEADERS, 0, 1, http2.fields(HEAD)) .. http2.data(1, BODY),
      ["that are too large, of a body of known length"] =
        http2.head(1, { HEAD[1], { "content-length", "20000" } }) .. http2.data(1, (" "):rep(20000)),
    } do
      it(what .. " is of kind network", function() answers(frames, "network") end)
    end

    it("that are too large, of a body of unknown length, is never an answer", function()
      -- libcurl takes the end of such a connection for that of the body.
      answers(http2.head(1, HEAD) .. http2.data(1, BODY .. (" "):rep(20000)), "json")
    end)

    for what, frames in pairs {
      ["of a kind unknown"] = http2.frame(200, 255, 1, "x"),
      ["of settings that allow no request"] = http2.settings "\0\3\0\0\0\0" .. http2.settings "\0\3\0\0\0\100",
      ["of a ping"] = http2.frame(http2.PING, 0, 0, "12345678"),
      ["that push what nobody wants"] = http2.frame(http2.PUSH_PROMISE, http2.END_HEADERS, 1, http2.number(2, 4)
        .. http2.fields { { ":method", "GET" }, { ":path", "/" }, { ":scheme", "https" }, { ":authority", "x" } }),
    } do
      it(what .. " do no harm", function() answers(frames .. ANSWER, "ok") end)
    end
  end)

  describe("without an end", function()
    -- On a kept connection: the second request is stream 3.
    local head = http2.frame(http2.HEADERS, 0, 3, http2.fields(HEAD))
    local long = http2.fields { { "x", ("x"):rep(10000) } }
    local endless = {
      ["of a head's frames"] = { head, http2.frame(http2.CONTINUATION, 0, 3, long), "network" },
      ["of a head's empty frames"] = { head, http2.frame(http2.CONTINUATION, 0, 3, ""):rep(100), "network" },
      ["of answers before it"] = { "", http2.head(3, { { ":status", "103" }, { "link", "x" } }):rep(100), "network" },
      ["of settings"] = { "", http2.settings():rep(100), "timeout or network" },
      ["of pings"] = { "", http2.frame(http2.PING, 0, 0, "12345678"):rep(100), "timeout or network" },
      ["of unknown frames"] = { "", http2.frame(99, 0, 0, ("x"):rep(10000)), "timeout" },
      ["of empty data"] = { http2.head(3, HEAD), http2.data(3, ""):rep(100), "timeout" },
      ["of data"] = { http2.head(3, HEAD), http2.data(3, (" "):rep(10000)), "too_large" },
    }
    for what, flood in pairs(endless) do
      it(what .. " is of kind " .. flood[3] .. ", and takes hardly any memory #real-memory", function()
        local script = { { "frame", http2.HEADERS }, { "send", flood[1] }, { "repeat", flood[2], -1, 0 } }
        local kind, grown = network:growth(script, { max_body = MIB, timeout = 0.3 })
        assert.truthy(flood[3]:find(kind, 1, true), kind)
        assert.is_true(grown <= 4 * MIB, grown)
      end)
    end

    it("of one field that stands for many is of kind network #real-memory", function()
      local indexed = "\64\1x\127\129\30" .. ("x"):rep(127 + 1 + 30 * 128) -- one field of 4 KiB, into the table
      local block = http2.fields(HEAD) .. indexed .. ("\190"):rep(10000)
      local bomb = http2.frame(http2.HEADERS, http2.END_HEADERS, 3, block)
      local kind, grown = network:growth { { "frame", http2.HEADERS }, { "send", bomb } }
      assert.equal("network", kind)
      assert.is_true(grown <= 4 * MIB, grown)
    end)
  end)
end)

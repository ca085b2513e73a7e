-- What a service, or something that poses as one, may do to the head of an answer: cut it anywhere, break any rule of
-- it, or never end it. Each time the error is of the right kind, and the client's next call works.
local hostile = require "spec.support.hostile"

local OK, LENGTH, BODY = hostile.OK, hostile.LENGTH, hostile.BODY
local MIB = 1024 * 1024

describe("a hostile head", function()
  local network

  setup(function() network = hostile.network() end)
  teardown(function() network:stop() end)

  -- The answer to the request, in so many words.
  local function answers(text, outcome, options)
    return network:meets({ { "expect" }, { "send", text } }, outcome, options)
  end

  -- With that line in the head of an answer that is good otherwise.
  local function with_line(line, outcome)
    return answers(OK .. line .. "\r\n" .. LENGTH .. "\r\n" .. BODY, outcome)
  end

  local function floods(before, text, outcome, options)
    return network:meets({ { "expect" }, { "send", before }, { "repeat", text, -1, 0 } }, outcome, options)
  end

  for _, ending in ipairs { "close", "reset" } do
    it("that is cut at any byte is of kind network: " .. ending, function()
      local head = OK .. LENGTH .. "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Request-Id: 4711\r\nRetry-After: 5\r\n\r\n"
      for size = 0, #head do
        network:meets({ { "expect" }, { "send", head:sub(1, size) }, { ending } }, "network")
      end
    end)
  end

  it("that is cut at any byte is of kind network though nothing says how long the body is", function()
    local head = OK .. "\r\n"
    for size = 0, #head - 1 do
      network:meets({ { "expect" }, { "send", head:sub(1, size) }, { "close" } }, "network")
    end
  end)

  describe("with a status line", function()
    for what, line in pairs {
      ["of two digits"] = "HTTP/1.1 20 OK", ["of four digits"] = "HTTP/1.1 2000 OK",
      ["of letters"] = "HTTP/1.1 abc OK", ["below 100"] = "HTTP/1.1 099 OK",
      ["that is negative"] = "HTTP/1.1 -200 OK", ["of HTTP/0.9"] = "HTTP/0.9 200 OK",
      ["of a version to come"] = "HTTP/9.9 200 OK", ["of another protocol"] = "SSH-2.0-OpenSSH",
      ["of zeros"] = "\0\0\0", ["that is missing"] = BODY,
    } do
      it(what .. " is of kind network", function()
        answers(line .. "\r\n" .. LENGTH .. "\r\n" .. BODY, "network")
      end)
    end

    it("without words, or of HTTP/1.0, is taken", function()
      answers("HTTP/1.1 200\r\n" .. LENGTH .. "\r\n" .. BODY, "ok")
      network:meets({ { "expect" }, { "send", "HTTP/1.0 200 OK\r\n" .. LENGTH .. "\r\n" .. BODY }, { "close" } }, "ok")
    end)

    it("that switches to another protocol is of kind http, and is not asked for again", function()
      local client = network:client { max_attempts = 4 }
      network.server:play({ { "expect" }, { "send", "HTTP/1.1 101 No\r\nUpgrade: x\r\n" .. LENGTH .. "\r\n" .. BODY } })
      local result, err = client:alert_ips "da1"
      assert.is_nil(result)
      assert.same({ "http", 101, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
      client:close()
    end)
  end)

  describe("with a header", function()
    for what, line in pairs {
      ["without a colon"] = "no colon",
      ["with a zero in its value"] = "X: a\0b", ["with a zero in its name"] = "X\0: a",
      ["of more codings than anybody needs"] = "Content-Encoding: " .. ("gzip, "):rep(6) .. "gzip",
    } do
      it(what .. " is of kind network", function() with_line(line, "network") end)
    end

    for what, line in pairs {
      ["without a name"] = ": x", ["with a blank in its name"] = "A B: x", ["with high bytes"] = "X: \255\254\128",
      ["that is folded"] = "X: a\r\n b", ["that is only folded"] = " b", ["with a bare CR"] = "X: a\rb",
      ["of 60000 bytes"] = "X: " .. ("x"):rep(60000), ["without a value"] = "X:",
      ["that offers another server"] = 'Alt-Svc: h2="192.0.2.1:1"; ma=9', ["that sets a cookie"] = "Set-Cookie: a=b",
      ["that names another address"] = "Location: https://192.0.2.1/",
      ["of a garbled wait"] = "Retry-After: \1\255 -1", ["of a very long wait"] = "Retry-After: " .. ("9"):rep(60000),
      ["of a coding that is none"] = "Content-Encoding: identity",
    } do
      it(what .. " does no harm", function() with_line(line, "ok") end)
    end

    for _, coding in ipairs { "br", "bogus", "zstd" } do
      it("of a coding that nobody asked for is of kind json: " .. coding, function()
        with_line("Content-Encoding: " .. coding, "json")
      end)
    end

    it("of a transfer coding that nobody asked for is of kind json", function()
      answers(OK .. "Transfer-Encoding: bogus\r\n\r\n" .. BODY, "json")
    end)

    it("that is too long is of kind too_large", function()
      local err = with_line("X: " .. ("x"):rep(300000), "too_large")
      assert.truthy(err.message:find("its head is too long", 1, true), err.message)
      -- The bug: the sentence advised to allow more with max_body.
      assert.falsy(err.message:find "max_body")
    end)
  end)

  describe("with other answers before it", function()
    it("waits for the one that counts", function()
      answers(("HTTP/1.1 100 Continue\r\n\r\n"):rep(100) .. "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        .. hostile.ANSWER, "ok")
    end)

    it("heeds nothing of them", function()
      local early = "HTTP/1.1 103 Early Hints\r\nRetry-After: 1000\r\n\r\n"
      network:heeds_no_retry_after { { "expect" }, { "send", early .. "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" } }
    end)

    it("that is cut after them is of kind network", function()
      for _, rest in ipairs { "", "H", "HTTP/1.1 200 OK\r\n" } do
        network:meets({ { "expect" }, { "send", "HTTP/1.1 100 Continue\r\n\r\n" .. rest }, { "close" } }, "network")
      end
    end)
  end)

  describe("without an end", function()
    local endless = {
      ["of many lines"] = { OK, "X-Filler: x\r\n" }, ["of one line"] = { OK .. "X: ", "x" },
      ["of a status line"] = { "HTTP/1.1 200 ", "x" },
      ["of answers before it"] = { "", "HTTP/1.1 100 Continue\r\n\r\n" },
      ["of hints before it"] = { "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" },
    }
    for what, texts in pairs(endless) do
      it(what .. " is of kind too_large, long before the time is up", function()
        local err = floods(texts[1], texts[2]:rep(100), "too_large")
        assert.truthy(err.message:find("its head is too long", 1, true), err.message)
      end)

      it(what .. " takes hardly any memory #real-memory", function()
        local script = { { "expect" }, { "send", texts[1] }, { "repeat", texts[2]:rep(100), -1, 0 } }
        local kind, grown = network:growth(script)
        assert.equal("too_large", kind)
        assert.is_true(grown <= 2 * MIB, grown)
      end)
    end

    it("of bytes or line ends that are no HTTP is of kind network", function()
      for _, text in ipairs { "x", "\0", "\r\n" } do floods("", text:rep(1000), "network") end
    end)

    it("that comes byte by byte is of kind timeout", function()
      network:meets({ { "expect" }, { "send", OK }, { "repeat", "X: x\r\n", -1, 0.01 } }, "timeout", { timeout = 0.2 })
      network:meets({ { "expect" }, { "send", "H" }, { "drain" } }, "timeout", { timeout = 0.2 })
    end)
  end)
end)

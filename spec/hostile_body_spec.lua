-- What may be done to the body of an answer: cut it anywhere, lie about its length, break its chunks or its
-- compression, or never end it. Each time the error is of the right kind, and the client's next call works.
local hostile = require "spec.support.hostile"
local shell = require "spec.support.shell"

local OK, LENGTH, BODY = hostile.OK, hostile.LENGTH, hostile.BODY
local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"
local LAST = "0\r\n\r\n"
local MIB = 1024 * 1024

local function chunk(text, extension) return ("%x%s\r\n%s\r\n"):format(#text, extension or "", text) end

local function gzip(text)
  local path = os.tmpname()
  shell.write(path, text)
  local packed = shell.must(("gzip -9nc %s | od -An -v -tx1"):format(path))
  os.remove(path)
  return (packed:gsub("%s", ""):gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

describe("a hostile body", function()
  local network

  setup(function() network = hostile.network() end)
  teardown(function() network:stop() end)

  -- The answer to the request, in so many words. `ending`: what then happens to the connection; otherwise it is kept.
  local function answers(text, outcome, ending, options)
    return network:meets({ { "expect" }, { "send", text }, ending and { ending } }, outcome, options)
  end

  local function of_length(length, outcome, ending)
    return answers(OK .. "Content-Length: " .. length .. "\r\n\r\n" .. BODY, outcome, ending)
  end

  local function floods(before, text, outcome, options)
    return network:meets({ { "expect" }, { "send", before }, { "repeat", text, -1, 0 } }, outcome, options)
  end

  describe("that is cut at any byte", function()
    -- At a cut of the whole text there is nothing left to be cut.
    local function is_cut(head, body, outcome, ending)
      for size = 0, #body - 1 do answers(head .. body:sub(1, size), outcome, ending) end
    end

    for _, ending in ipairs { "close", "reset" } do
      it("is of kind network: " .. ending, function() is_cut(OK .. LENGTH .. "\r\n", BODY, "network", ending) end)

      it("of its chunks is of kind network: " .. ending, function()
        local chunks = chunk(BODY:sub(1, 5), ";a=b") .. chunk(BODY:sub(6))
        for _, last in ipairs { LAST, "0\r\nX-Trailer: x\r\n\r\n" } do
          is_cut(CHUNKED, chunks .. last:sub(1, -2), "network", ending) -- the very last byte is not missed
        end
      end)
    end

    it("of what is compressed is of kind network", function()
      local packed = gzip(BODY)
      local head = OK .. "Content-Encoding: gzip\r\nContent-Length: " .. #packed .. "\r\n\r\n"
      answers(head .. packed, "ok")
      is_cut(head, packed, "network", "close")
    end)

    it("and whose end nothing else would tell is of kind json, or network if it is reset", function()
      answers(OK .. "\r\n" .. BODY, "ok", "close")
      is_cut(OK .. "\r\n", BODY, "json", "close")
      network:meets({ { "expect" }, { "send", OK .. "\r\n" .. BODY }, { "wait", 0.02 }, { "reset" } }, "network")
    end)
  end)

  describe("with a Content-Length", function()
    it("that is too long is of kind network, or timeout where the connection is kept", function()
      for _, length in ipairs { #BODY + 1, 1000000, "9223372036854775807" } do of_length(length, "network", "close") end
      network:meets({ { "expect" }, { "send", OK .. "Content-Length: 31\r\n\r\n" .. BODY }, { "drain" } }, "timeout",
        { timeout = 0.2 })
    end)

    it("that is too short is of kind json", function()
      for _, length in ipairs { #BODY - 1, 1, 0 } do of_length(length, "json") end
    end)

    for what, length in pairs {
      ["that is negative"] = "-1", ["that is as negative as can be"] = "-9223372036854775808",
      ["that is no number"] = "x", ["that is empty"] = "",
    } do
      it(what .. " is of kind network", function() of_length(length, "network") end)
    end

    it("in hexadecimal digits is of kind json, for it is zero", function() of_length("0x1e", "json") end)

    it("in a floating point is of kind json, for it is short", function() of_length("3e1", "json") end)

    it("beyond all numbers is as none", function() of_length("99999999999999999999999", "ok", "close") end)

    it("given twice is taken", function() answers(OK .. LENGTH .. LENGTH .. "\r\n" .. BODY, "ok") end)

    it("given twice, not the same, never makes one answer of two", function()
      -- The bug: what was left of the first answer became the second one.
      local other = 'HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{"value":[{"id":"198.51.100.1"}]}'
      local head = OK .. ("Content-Length: %d\r\n"):format(#BODY + #other) .. LENGTH .. "\r\n"
      local script = { { "expect" }, { "send", head .. BODY }, { "wait", 0.02 }, { "send", other } }
      network.server:play(script, network.friend)
      local client = network:client()
      for _ = 1, 2 do
        assert.same({ { id = "192.0.2.1" } }, client:alert_ips "da1")
        os.execute "sleep 0.1"
      end
      client:close()
    end)

    it("beside chunks is not heeded", function()
      for _, length in ipairs { 3, 30, 300 } do
        local line = "Content-Length: " .. length .. "\r\n"
        answers(OK .. "Transfer-Encoding: chunked\r\n" .. line .. "\r\n" .. chunk(BODY) .. LAST, "ok")
        answers(OK .. line .. "Transfer-Encoding: chunked\r\n\r\n" .. chunk(BODY) .. LAST, "ok")
      end
    end)
  end)

  describe("in chunks", function()
    for what, size in pairs {
      ["negative"] = "-1e", ["missing"] = "", ["no number"] = "zz", ["marked as hexadecimal"] = "0x1e",
      ["after a blank"] = " 1e", ["beyond all numbers"] = ("f"):rep(20),
      ["behind many zeros"] = ("0"):rep(1000) .. "1e", ["too short"] = "1d",
    } do
      it("whose size is " .. what .. " is of kind network", function()
        answers(CHUNKED .. size .. "\r\n" .. BODY .. "\r\n" .. LAST, "network")
      end)
    end

    it("whose size is too long is of kind network", function()
      answers(CHUNKED .. "7fffffffffffffff\r\n" .. BODY .. "\r\n" .. LAST, "network", "close")
    end)

    it("with extensions is taken", function()
      answers(CHUNKED .. chunk(BODY, ";a=b;c") .. LAST, "ok")
      answers(CHUNKED .. chunk(BODY, ";" .. ("x"):rep(100000)) .. LAST, "ok")
    end)

    it("of one byte each is taken", function()
      answers(CHUNKED .. BODY:gsub(".", chunk) .. LAST, "ok")
    end)

    it("with trailers is taken, and they are no part of its head", function()
      -- The bug: an answer with trailers counted as one that ended within its head.
      answers(CHUNKED .. chunk(BODY) .. "0\r\nX-Checksum: 4711\r\nHTTP: x\r\n\r\n", "ok")
      local head = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n"
      network:heeds_no_retry_after { { "expect" }, { "send", head .. "0\r\nRetry-After: 1000\r\n\r\n" } }
    end)

    it("with a status line among its trailers is of kind network", function()
      answers(CHUNKED .. chunk(BODY) .. "0\r\nHTTP/1.1 503 No\r\n\r\n", "network", "close")
    end)
  end)

  describe("that is compressed", function()
    local function packed(bytes, outcome)
      return answers(("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"):format(OK, #bytes) .. bytes, outcome)
    end

    it("and cut without a word is of kind json", function()
      local whole = gzip(BODY)
      -- The last eight bytes are a check, and before them is the mark of an end.
      for size = 0, #whole - 11 do packed(whole:sub(1, size), "json") end
    end)

    it("with a wrong check, or none of gzip's marks, is of kind json", function()
      local whole = gzip(BODY)
      packed(whole:sub(1, -9) .. ("\0"):rep(8), "json")
      for _, bytes in ipairs { "\31\139", "\31\139\8\255" .. ("\255"):rep(20), BODY, ("\0"):rep(100) } do
        packed(bytes, "json")
      end
    end)

    it("ten times over is of kind network", function()
      local codings = "Content-Encoding: " .. ("gzip, "):rep(9) .. "gzip\r\n"
      answers(OK .. codings .. LENGTH .. "\r\n" .. BODY, "network")
    end)

    it("to a bomb in a bomb is of kind too_large, within the memory of max_body #real-memory", function()
      local bomb = gzip(gzip((" "):rep(16 * MIB)))
      local head = ("%sContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n"):format(OK, #bomb)
      local kind, grown = network:growth({ { "expect" }, { "send", head .. bomb } }, { max_body = 100000 })
      assert.equal("too_large", kind)
      assert.is_true(grown <= 4 * MIB, grown)
    end)
  end)

  describe("without an end", function()
    local endless = {
      ["of blanks"] = { OK .. "\r\n", " ", "too_large" },
      ["of chunks"] = { CHUNKED, chunk((" "):rep(100)), "too_large" },
      ["of trailers"] = { CHUNKED .. chunk(BODY) .. "0\r\n", "X-Trailer: x\r\n", "too_large" },
      ["of one trailer"] = { CHUNKED .. chunk(BODY) .. "0\r\nX-Trailer: ", "x", "network" },
      ["of a chunk's extension"] = { CHUNKED .. "1e;", "x", "timeout" },
      ["of chunks with extensions"] = { CHUNKED, chunk(" ", ";" .. ("x"):rep(10000)), "timeout" },
    }
    for what, flood in pairs(endless) do
      it(what .. " is of kind " .. flood[3], function()
        local timeout = flood[3] == "timeout" and 0.2 or nil
        floods(flood[1], flood[2]:rep(100), flood[3], { max_body = MIB, timeout = timeout })
      end)

      it(what .. " takes hardly any memory #real-memory", function()
        local script = { { "expect" }, { "send", flood[1] }, { "repeat", flood[2]:rep(100), -1, 0 } }
        local kind, grown = network:growth(script, { max_body = MIB, timeout = flood[3] == "timeout" and 0.5 or nil })
        assert.equal(flood[3], kind)
        assert.is_true(grown <= 4 * MIB, grown)
      end)
    end

    it("that comes byte by byte is of kind timeout", function()
      for head, step in pairs { [OK .. "\r\n"] = " ", [CHUNKED] = chunk " " } do
        network:meets({ { "expect" }, { "send", head }, { "repeat", step, -1, 0.01 } }, "timeout", { timeout = 0.2 })
      end
    end)
  end)
end)

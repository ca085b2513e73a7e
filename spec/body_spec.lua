-- What a body may be: how large, and what counts as the JSON that was asked for.

local child = require "spec.support.child"
local connect = require "spec.support.connect"
local growth = require "spec.support.growth"
local mde = require "mde"
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"
local MIB = 1024 * 1024

describe("max_body", function()
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

  local function is_too_large(result, err)
    assert.is_nil(result)
    assert.same({ "too_large", 1, false }, { err.kind, err.attempts, err.retryable })
    assert.truthy(err.message:find("max_body", 1, true))
  end

  for what, fault in pairs {
    ["a plain body"] = { huge = 10000 }, ["a body in chunks"] = { huge = 10000, chunked = true },
    ["a gzip body, decoded,"] = { gzip_bomb = 10000 },
  } do
    it("lets " .. what .. " of exactly so many bytes through, and not one more", function()
      fault.times = 4
      space:fault(fault)
      for _, url in ipairs { simulator.url, simulator.h2_url } do
        reconnect { base_url = url }
        assert.is_table(client:alert_ips(ALERT, { max_body = 10000 }))
        is_too_large(client:alert_ips(ALERT, { max_body = 9999 }))
      end
      assert.equal(4, #space:requests())
    end)
  end

  it("of a call stands above the client's", function()
    reconnect { max_body = 1000 }
    space:fault { huge = 5000, times = 3 }
    is_too_large(client:alert_ips(ALERT))
    assert.is_table(client:alert_ips(ALERT, { max_body = 5000 }))
    is_too_large(client:alert_ips(ALERT))
  end)

  it("is about one response, not all pages", function()
    space:control { page_size = 10 }
    local largest = 0
    reconnect { on_event = function(event)
      if event.kind == "attempt" then largest = math.max(largest, event.bytes) end
    end }
    assert.equal(100, #client:alerts { max_items = 100 })
    assert.equal(100, #client:alerts { max_items = 100, max_body = largest })
    is_too_large(client:alerts { max_items = 100, max_body = 100 })
  end)

  it("holds for the body of an error, too", function()
    space:fault { status = 400, message = ("x"):rep(5000), times = 2 }
    is_too_large(client:alert_ips(ALERT, { max_body = 5000 }))
    local _, err = client:alert_ips(ALERT, { max_body = 10000 })
    assert.equal("http", err.kind)
  end)

  it("leaves the client usable", function()
    space:fault { huge = 10 * MIB }
    is_too_large(client:alert_ips(ALERT, { max_body = MIB }))
    assert.equal(2, #client:alert_ips(ALERT))
    assert.equal(0, client:stats().in_flight)
  end)

  it("is 64 MiB unless set", function()
    space:control { faults = { { gzip_bomb = 64 * MIB }, { gzip_bomb = 64 * MIB + 1 } } }
    assert.same({ { id = "192.0.2.1" } }, client:alert_ips(ALERT))
    is_too_large(client:alert_ips(ALERT))
  end)

  it("may be more, for a body of 100 MB", function()
    space:fault { gzip_bomb = 100000000 }
    assert.same({ { id = "192.0.2.1" } }, client:alert_ips(ALERT, { max_body = 100000000 }))
  end)

  describe("bounds the memory of the process", function()
    local function grow(fault, max_body)
      space:fault(fault)
      local client_options = { base_url = simulator.url, ca_file = simulator.ca_file, token = space.token }
      local got = growth.of_call(client_options, { max_body = max_body })
      assert.equal("too_large", got.kind)
      return got.grown
    end

    -- Twice the maximum: when a buffer grows, the old and the new one may be there at once. The rest is libcurl's.
    for what, fault in pairs {
      ["a gzip bomb of 1 GB"] = { operation = "alert_ips", gzip_bomb = 1000000000 },
      ["a plain body of 100 MB"] = { operation = "alert_ips", huge = 100000000 },
    } do
      it("against " .. what .. " #real-memory", function()
        local grown = grow(fault)
        assert.is_true(grown <= 2 * 64 * MIB + 8 * MIB, grown)
        assert.is_true(grown >= 32 * MIB, grown) -- else nothing was measured
      end)

      it("against " .. what .. " with a small maximum #real-memory", function()
        local grown = grow(fault, 100000)
        assert.is_true(grown <= 8 * MIB, grown)
      end)
    end
  end)
end)

describe("a body", function()
  local function list(items) return '{"value":[' .. items .. "]}" end

  local function nested(depth) return list(("["):rep(depth - 2) .. ("]"):rep(depth - 2)) end

  local JSON = list '{"id":"192.0.2.1"}'

  -- What neither operation may take for an answer; json_spec.lua has the grammar as a whole.
  local never = {
    ["that is empty"] = "",
    ["of blanks"] = " \t\r\n ",
    ["of HTML"] = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Proxy</body></html>",
    ["of text"] = "OK",
    ["that ends in the middle"] = JSON:sub(1, 20),
    ["without its last byte"] = JSON:sub(1, -2),
    ["with a byte-order mark"] = "\239\187\191" .. JSON,
    ["in UTF-16"] = "\255\254" .. JSON:gsub(".", "%0\0"),
    ["in UTF-16 without a mark"] = JSON:gsub(".", "\0%0"),
    ["like the documentation's sample"] = [[
{
    "@odata.context": "https://api.securitycenter.microsoft.com/$metadata#Ips",
    "value": [
                {
                    "id": "104.80.104.128"
                },
                {
                    "id": "23.203.232.228
                }
				...
    ]
}
]],
    ["with an ellipsis"] = list '{"id":"192.0.2.1"}, ...',
    ["with another one after it"] = JSON .. JSON,
    ["with NUL after it"] = JSON .. "\0",
    ["with NUL and more after it"] = JSON .. "\0<html>",
    ["with NUL before it"] = "\0" .. JSON,
    ["with NUL in it"] = '{"value":\0[]}',
    ["with NUL in a string"] = list '{"id":"192.0.2.1\0"}',
    ["that is nested 65 deep"] = nested(65),
    ["that is nested a million deep"] = nested(1000000),
    ["of opening brackets"] = ("["):rep(100000),
    ["of opening braces"] = ('{"value":'):rep(100000),
    ["that is a string"] = '"192.0.2.1"',
    ["that is a number"] = "42",
    ["that is true"] = "true",
    ["that is null"] = "null",
    ["that is an array"] = '[{"id":"192.0.2.1"}]',
    ["that is an empty array"] = "[]",
    ["that is an empty array among blanks"] = "\r\n\t []",
  }

  -- What only an entity may look like.
  local no_collection = {
    ["without `value`"] = '{"@odata.context":"x","values":[]}',
    ["that is an empty object"] = "{}",
    ["that is an error"] = '{"error":{"code":"InternalServerError","message":"late"}}',
    ["whose `value` is null"] = '{"value":null}',
    ["whose `value` is an object"] = '{"value":{"id":"192.0.2.1"}}',
    ["whose `value` is a string"] = '{"value":"192.0.2.1"}',
    ["whose `value` is a number"] = '{"value":1}',
    ["whose `value` is false"] = '{"value":false}',
    ["whose `Value` has a capital"] = '{"Value":[]}',
    ["whose `value` is deeper"] = '{"d":{"value":[]}}',
  }

  local kinds = { [400] = "http", [401] = "auth", [403] = "auth", [404] = "not_found", [418] = "http",
    [429] = "rate_limited", [500] = "http", [503] = "http" }

  describe("over HTTP", function()
    local space, client

    setup(function()
      simulator.start()
      space = simulator.namespace()
      space:control { limits = false }
      client = connect(space, { rate_limit = false })
    end)

    teardown(function() client:close() end)

    local function refuses(operation, body, status)
      space:fault { operation = operation, body = body, status = status }
      local before = client:stats().attempts
      local result, err = client[operation](client, ALERT)
      assert.is_nil(result)
      assert.same({ "json", status or 200, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
      assert.is_nil(err.retry_after)
      assert.equal(operation .. ": the answer (" .. (status or 200) .. ") is not the JSON that the API sends",
        err.message:match "^[^)]*%)[^:]*")
      assert.equal(before + 1, client:stats().attempts)
    end

    local function keeps_kind(operation, body)
      for status, kind in pairs(kinds) do
        local other = scripted.client({ { status = status, body = body } }, { max_attempts = 1 })
        local result, err = other[operation](other, ALERT)
        assert.is_nil(result)
        assert.same({ kind, status }, { err.kind, err.status })
        other:close()
      end
    end

    for what, body in pairs(never) do
      it(what .. " is refused, and leaves an error status its kind", function()
        refuses("alert_ips", body)
        refuses("alert", body)
        keeps_kind("alert_ips", body)
      end)
    end

    for what, body in pairs(no_collection) do
      it(what .. " is no collection, and leaves an error status its kind", function()
        refuses("alert_ips", body)
        keeps_kind("alert_ips", body)
      end)
    end

    it("is refused with any other 2xx, too", function()
      for _, status in ipairs { 201, 202, 203, 299 } do refuses("alert_ips", "<html>", status) end
    end)

    it("is refused when a later page brings it, and the pages before are not given out", function()
      space:fault { operation = "alerts", next_link = "/api/alerts?$skip=100" }
      space:fault { operation = "alerts", body = "<html>" }
      local result, err = client:alerts()
      assert.is_nil(result)
      assert.same({ "json", 200, 2 }, { err.kind, err.status, err.attempts })
    end)

    it("that was refused leaves the client usable", function()
      refuses("alert_ips", "<html>")
      assert.equal(2, #client:alert_ips(ALERT))
      assert.equal(1, client:stats().connections)
      assert.equal(0, client:stats().retries)
    end)
  end)

  describe("is read", function()
    local function read(body)
      local client = scripted.client { body }
      local result, err = client:alert_ips "da1"
      client:close()
      return assert(result, err)
    end

    it("with blanks around it", function()
      assert.same({ { id = "x" } }, read "\r\n\t { \"value\" : [ { \"id\" : \"x\" } ] } \n\n")
    end)

    it("when it is nested 64 deep", function()
      local value, depth = read(nested(64)), 1
      while value do
        value, depth = value[1], depth + 1
      end
      assert.equal(64, depth)
    end)

    it("with numbers of every form", function()
      assert.same({ 0, 0, 1, -1, 0.5, -0.5, 1500, 0.015, 1e300, 2 ^ 53 },
        read(list "0, -0, 1, -1, 0.5, -0.5, 1.5e3, 1.5E-2, 1e+300, 9007199254740992"))
    end)

    it("with numbers beyond what a double holds as the nearest that it holds", function()
      assert.same({ math.huge, -math.huge, 0, 1e29 }, read(list("1e999, -1e999, 1e-999, 1" .. ("0"):rep(29))))
    end)

    it("with strings of every form", function()
      assert.same({ "", 'a"b\\c/d', "\b\f\n\r\t", "é日", "😀", "a\0b", "\127" },
        read(list [["", "a\"b\\c\/d", "\b\f\n\r\t", "\u00e9日", "\ud83d\ude00", "a\u0000b", "\u007f"]]))
    end)

    it("with true, false and null, which is mde.null", function()
      assert.same({ true, false, mde.null, { a = mde.null } }, read(list 'true, false, null, {"a":null}'))
    end)

    it("with names of every form", function()
      assert.same({ { [""] = 1, ["@odata.type"] = 2, ["1"] = 3, ["é"] = 4 } },
        read(list '{"":1,"@odata.type":2,"1":3,"\\u00e9":4}'))
    end)
  end)
end)

describe("under a locale with a decimal comma", function()
  local space, locales

  setup(function()
    simulator.start()
    locales = shell.temporary_directory()
    shell.must("localedef -i da_DK -f UTF-8 " .. locales .. "/da_DK.UTF-8")
  end)

  teardown(function() shell.must("rm -rf " .. locales) end)

  before_each(function()
    space = simulator.namespace()
    space:fault { operation = "alert", times = -1,
      body = '{"half":0.5,"minus":-2.25,"exponent":1.5e3,"pair":[1,5],"mixed":[0.25,3,1e-2,7.5]}' }
  end)

  -- Runs the code with `danish()` and `plain()`, which set the locale, `connect()`, and `check(client)`, which calls.
  local function run(code)
    local got = child.run([[
      local given = ...
      local function same(wanted, got)
        if type(wanted) ~= "table" then
          if wanted ~= got then error(("%s instead of %s"):format(tostring(got), tostring(wanted)), 3) end
          return
        end
        for key, value in pairs(wanted) do same(value, got[key]) end
      end
      local env = setmetatable({}, { __index = _G })
      function env.danish()
        assert(os.setlocale(given.locale, "numeric") == given.locale)
        assert(("%.1f"):format(0.5) == (rawget(_G, "jit") and "0.5" or "0,5")) -- LuaJIT writes numbers by itself
      end
      function env.plain() assert(os.setlocale("C", "numeric") == "C") end
      function env.connect()
        return require("mde").client { base_url = given.url, ca_file = given.ca_file, token = given.token, proxy = "" }
      end
      local checks = 0
      function env.check(client)
        checks = checks + 1
        local alert = assert(client:alert "da1")
        same({ half = 0.5, minus = -2.25, exponent = 1500, pair = { 1, 5 }, mixed = { 0.25, 3, 0.01, 7.5 } }, alert)
      end
      local chunk
      if setfenv then
        chunk = setfenv(assert(loadstring(given.code)), env)
      else
        chunk = assert(load(given.code, "=code", "t", env))
      end
      chunk()
      return { checks = checks }
    ]], { url = simulator.url, ca_file = simulator.ca_file, token = space.token, locale = "da_DK.UTF-8", code = code },
      { LOCPATH = locales, LC_ALL = false })
    assert.equal(select(2, code:gsub("check%(", "")), got.checks)
    assert.is_true(got.checks > 0)
  end

  for what, code in pairs {
    ["when it is set before mde is loaded"] = [[
      danish()
      check(connect())
    ]],
    ["when it is set after mde is loaded"] = [[
      require "mde"
      danish()
      check(connect())
    ]],
    ["when it is set between calls, there and back"] = [[
      local client = connect()
      check(client)
      danish() check(client) check(client)
      plain() check(client)
      danish() check(client)
      plain() check(client)
    ]],
    ["when it is given up again before the first call"] = [[
      danish()
      local client = connect()
      plain()
      check(client)
    ]],
    ["while another user of cjson makes an instance under it"] = [[
      local cjson = require "cjson"
      local client = connect()
      danish()
      cjson.new()
      check(client)
      plain() check(client)
      cjson.new()
      danish() check(client)
    ]],
    ["when another user of cjson has seen it before mde"] = [[
      danish()
      local other = require("cjson").new()
      plain()
      check(connect())
      danish()
      check(connect())
      assert(other.decode("[0.5]")[1] == 0.5)
    ]],
    ["when another user of cjson makes instances under it and without it"] = [[
      local cjson = require "cjson"
      local client = connect()
      check(client)
      danish() cjson.new() plain()
      check(client)
      cjson.new() danish()
      check(client)
      assert(cjson.decode("[0.5]")[1] == 0.5)
    ]],
  } do
    it("numbers are read rightly " .. what, function() run(code) end)
  end

  it("is set by LC_NUMERIC of the environment", function()
    local got = child.run([[
      local given = ...
      assert(os.setlocale("") and os.setlocale(nil, "numeric") == "da_DK.UTF-8")
      local client = require("mde").client {
        base_url = given.url, ca_file = given.ca_file, token = given.token, proxy = "" }
      return { half = client:alert("da1").half, pair = #client:alert("da1").pair }
    ]], { url = simulator.url, ca_file = simulator.ca_file, token = space.token },
      { LOCPATH = locales, LC_ALL = false, LANG = "C", LC_NUMERIC = "da_DK.UTF-8" })
    assert.same({ half = 0.5, pair = 2 }, got)
  end)

  it("Retry-After and times are read and written as ever", function()
    space:control { faults = false }
    space:fault { status = 429, headers = { ["retry-after-ms"] = "1500" } }
    local got = child.run([[
      local given = ...
      assert(os.setlocale("da_DK.UTF-8", "numeric"))
      local client = require("mde").client {
        base_url = given.url, ca_file = given.ca_file, token = given.token, proxy = "", rate_limit = { [0.5] = 3 } }
      local result, err = client:alert("da1", { max_attempts = 1, timeout = 2.5 })
      return { retry_after = err.retry_after, message = err.message }
    ]], { url = simulator.url, ca_file = simulator.ca_file, token = space.token },
      { LOCPATH = locales, LC_ALL = false })
    assert.equal(1.5, got.retry_after)
    assert.truthy(got.message:find("1.5 s", 1, true))
  end)
end)

describe("the host's cjson", function()
  -- Runs the code with `read(body)`, which gives the result of one call, or its error's kind.
  local function run(code)
    local got = child.run([[
      local given = ...
      function read(body) -- luacheck: ignore
        local client = require("mde.testing").client { token = "any", answers = { body } }
        local result, err = client:alert_ips "da1"
        return result or err.kind
      end
      function nested(depth) -- luacheck: ignore
        return '{"value":[' .. ("["):rep(depth - 2) .. ("]"):rep(depth - 2) .. "]}"
      end
      function check() -- luacheck: ignore
        assert(read('{"value":[NaN]}') == "json")
        assert(read('{"value":[0x10]}') == "json")
        assert(read('{"value":[null]}')[1] == require("mde").null)
        assert(read("<html>") == "json")
        assert(type(read(nested(64))) == "table")
        assert(read(nested(65)) == "json")
      end
      return assert((loadstring or load)(given.code))()
    ]], { code = code })
    return got
  end

  local SETTINGS = [[
    local cjson = require "cjson"
    local function configure()
      cjson.decode_invalid_numbers(true)
      cjson.encode_invalid_numbers(true)
      cjson.decode_max_depth(3)
      cjson.encode_max_depth(5)
      cjson.encode_sparse_array(true, 7, 11)
      cjson.encode_number_precision(3)
      cjson.encode_keep_buffer(false)
    end
    local function settings()
      return {
        cjson.decode_invalid_numbers(), cjson.encode_invalid_numbers(), cjson.decode_max_depth(),
        cjson.encode_max_depth(), cjson.encode_number_precision(), cjson.encode_keep_buffer(),
        cjson.encode_sparse_array()
      }
    end
  ]]

  local CONFIGURED = { true, true, 3, 5, 3, false, true, 7, 11 }

  it("does not matter when it was set up before mde is loaded, and stays as it is", function()
    assert.same(CONFIGURED, run(SETTINGS .. "configure() check() return settings()"))
  end)

  it("does not matter when it is set up later, and stays as it is", function()
    assert.same(CONFIGURED, run(SETTINGS .. "check() configure() check() return settings()"))
  end)

  it("keeps its defaults", function()
    local got = run(SETTINGS .. [[
      local before = settings()
      check()
      return { before = before, after = settings() }
    ]])
    assert.same(got.before, got.after)
    assert.equal(1000, got.after[3])
  end)

  it("may be cjson.safe, before or after", function()
    run [[
      local safe = require "cjson.safe"
      check()
      local value, message = safe.decode "<html>"
      assert(value == nil and message)
      assert(safe.null == require("mde").null)
    ]]
    run [[
      check()
      assert(require("cjson.safe").decode "<html>" == nil)
      check()
    ]]
  end)

  it("may be cjson.safe under the name of cjson", function()
    run [[
      package.loaded.cjson = require "cjson.safe"
      check()
      assert(require("cjson").decode "<html>" == nil)
    ]]
  end)

  it("may be broken or gone once mde is loaded", function()
    run [[
      local cjson = require "cjson"
      check()
      local decode, new, null = cjson.decode, cjson.new, cjson.null
      local function broken() error "the host's own" end
      cjson.decode, cjson.new, cjson.null = broken, broken, nil
      check()
      package.loaded.cjson = nil
      check()
      package.loaded.cjson, cjson.decode, cjson.new, cjson.null = cjson, decode, new, null
    ]]
  end)
end)

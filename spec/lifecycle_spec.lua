-- How the module and its clients come and go.
local cjson = require "cjson"
local mde = require "mde"
local testing = require "mde.testing"
local child = require "spec.support.child"
local connect = require "spec.support.connect"
local process = require "spec.support.process"
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local EMPTY = scripted.EMPTY
local METHODS = {
  "alert_ips", "alert", "alert_domains", "alert_files", "alert_machine", "alert_user", "alerts", "stats",
}

local version = tonumber(_VERSION:match "%d%.%d")

local jit = rawget(_G, "jit")

local function collect()
  if jit then jit.flush() end -- compiled code holds the functions that it was made from
  collectgarbage()
  collectgarbage()
end

--- Runs it on a stack of its own, which goes when it ends: no register is left that still shows an object.
local function aside(run) coroutine.wrap(run)() end

--- The kilobytes that Lua holds when all garbage is gone: an object is freed one collection after its finalizer has
--- run, and 5.1 may need another one for what it held.
local function kilobytes()
  local before
  repeat
    before = collectgarbage "count"
    collect()
  until collectgarbage "count" >= before
  return collectgarbage "count"
end

describe("require 'mde'", function()
  it("opens no descriptor, sets no global and starts nothing", function()
    local got = child.run [[
      local process = require "spec.support.process"
      require "cjson"
      local names, descriptors, threads = {}, process.descriptors(), process.threads()
      for name in pairs(_G) do names[name] = true end
      local metatables = { getmetatable "", getmetatable(io.stdout) }
      require "mde"
      require "mde.testing"
      local new = {}
      for name in pairs(_G) do if not names[name] then new[#new + 1] = tostring(name) end end
      return { same_descriptors = descriptors == process.descriptors(), same_threads = threads == process.threads(),
               new = #new,
               same_metatables = metatables[1] == getmetatable "" and metatables[2] == getmetatable(io.stdout) }
    ]]
    assert.same({ same_descriptors = true, same_threads = true, new = 0, same_metatables = true }, got)
  end)

  it("returns the same table each time, and from any coroutine", function()
    local got = child.run [[
      local first = coroutine.wrap(function() return require "mde" end)()
      collectgarbage()
      local second = coroutine.wrap(function() return require "mde" end)()
      local client = coroutine.wrap(function() return second.client{ token = "t" } end)()
      collectgarbage()
      return { same = first == second and first == require "mde", text = tostring(client) }
    ]]
    assert.is_true(got.same)
    assert.matches("open", got.text)
  end)

  it("can be done twice in one state, and clients of both times live together", function()
    local old = scripted.client(scripted.always '{"value":[null]}')
    local cpath, name = assert(package.searchpath or function(module, path)
      for template in path:gmatch "[^;]+" do
        local file = template:gsub("?", module)
        local handle = io.open(file)
        if handle then
          handle:close()
          return file
        end
      end
    end)("mde", package.cpath), "luaopen_mde"
    local again = assert(package.loadlib(cpath, name))("mde")
    local new = again.client{ token = "token" }
    collect()
    assert.same({ mde.null }, old:alert_ips "da1")
    assert.equal(again.null, mde.null)
    assert.matches("open", tostring(new))
    new:close()
  end)

  it("says clearly that lua-cjson is missing", function()
    local got = child.run [[
      package.preload.cjson = function() error("no cjson here", 0) end
      local ok, err = pcall(require, "mde")
      package.preload.cjson, package.loaded.cjson = nil, nil
      return { ok = ok, err = tostring(err) }
    ]]
    assert.is_false(got.ok)
    assert.matches("cjson", got.err)
  end)
end)

describe("the module", function()
  it("has a version of three numbers", function()
    assert.matches("^%d+%.%d+%.%d+$", mde._VERSION)
  end)

  it("has cjson's null", function()
    assert.equal(cjson.null, mde.null)
    assert.equal(cjson.null, (scripted.client{ '{"id":null}' }:alert "da1").id)
  end)

  it("has nothing else than it documents", function()
    local names = {}
    for name in pairs(mde) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "_VERSION", "_clock", "_hosted", "_testing", "client", "null", "quota", "windows" }, names)
  end)
end)

describe("client:close", function()
  it("may be called again and again", function()
    local client = mde.client{ token = "token" }
    for _ = 1, 3 do assert.equal(0, select("#", client:close())) end
  end)

  it("makes every method return nil and an error of kind closed", function()
    local client = scripted.client()
    client:alert_ips "da1"
    client:close()
    for _, method in ipairs(METHODS) do
      local value, err = client[method](client, method ~= "alerts" and "da1" or nil)
      assert.is_nil(value)
      assert.equal("closed", err.kind)
      assert.equal(method, err.operation)
      assert.equal(0, err.attempts)
      assert.is_false(err.retryable)
      assert.equal(method .. ": the client is closed", tostring(err))
    end
    assert.equal(1, #testing.requests(client))
  end)

  it("does not make bad arguments good", function()
    local client = scripted.client()
    client:close()
    assert.is_false(pcall(client.alert_ips, client))
    assert.is_false(pcall(client.alert_ips, client, "da1", { timeuot = 1 }))
  end)

  it("leaves other clients and earlier results alone", function()
    local one, other = scripted.client{ '{"value":[{"id":"1"}]}' }, scripted.client()
    local ips = one:alert_ips "da1"
    one:close()
    collect()
    assert.same({ { id = "1" } }, ips)
    assert.same({}, other:alert_ips "da1")
  end)

  if version >= 5.4 then
    it("happens by itself at the end of a block with <close>", function()
      -- a string: other versions could not read it
      local run = assert(load([[
        local make, fail = ...
        local kept
        pcall(function()
          local client <close> = make()
          kept = client
          assert(client:alert_ips "da1")
          if fail then error "no" end
        end)
        return kept
      ]]))
      for _, fail in ipairs{ false, true } do
        local client = run(scripted.client, fail)
        assert.matches("closed", tostring(client))
        assert.equal("closed", select(2, client:alert_ips "da1").kind)
      end
    end)
  end
end)

describe("a client", function()
  it("prints its host and its state, open and closed", function()
    local client = scripted.client(nil, { base_url = "https://api-eu.security.microsoft.com" })
    assert.equal("mde.client (https://api-eu.security.microsoft.com, open)", tostring(client))
    client:close()
    assert.equal("mde.client (https://api-eu.security.microsoft.com, closed)", tostring(client))
  end)

  it("prints its own host, whatever has become of the option's string", function()
    local client = mde.client{ token = "token", base_url = "https://h" .. math.floor(1e6) .. ".example.org" }
    client:close()
    for _ = 1, 100 do
      local _ = ("x"):rep(math.random(20, 60))
    end
    collect()
    assert.equal("mde.client (https://h1000000.example.org, closed)", tostring(client))
  end)

  it("has a metatable that cannot be had or changed", function()
    local client = scripted.client()
    assert.is_false(getmetatable(client))
    assert.is_false(pcall(setmetatable, client, {}))
    assert.is_false(pcall(function() client.alert_ips = print end))
  end)

  it("knows no unknown method", function()
    local client = scripted.client()
    assert.is_nil(client.alert_ip)
    assert.is_nil(client[1])
    assert.is_nil(client.__gc)
    assert.is_false(pcall(function() return client:alert_ip "da1" end))
  end)

  it("is equal to itself only, and may be a table's key", function()
    local one, other = scripted.client(), scripted.client()
    local set = { [one] = true }
    assert.is_true(set[one])
    assert.is_nil(set[other])
    assert.are_not.equal(one, other)
  end)

  it("has methods that refuse any other object", function()
    local client = scripted.client()
    local wrong = { io.stdout, {}, "client", 5, true, print, coroutine.create(function() end) }
    for _, method in ipairs{ "close", "alert_ips", "alerts", "stats" } do
      for _, object in ipairs(wrong) do
        local message = scripted.raised(client[method], object, "da1")
        assert.matches("mde.client expected, got", message)
      end
      assert.is_false(pcall(client[method]))
    end
    assert.matches("calling 'alert_ips' on bad self", scripted.raised(function()
      local object = setmetatable({}, { __index = { alert_ips = client.alert_ips } })
      object:alert_ips "da1"
    end))
    assert.equal("file", io.type(io.stdout))
  end)

  it("has metamethods that harm no other object", function()
    local metatable = debug.getmetatable(scripted.client())
    for _, name in ipairs{ "__gc", "__close" } do
      for _, object in ipairs{ io.stdout, {}, "client", 5 } do
        assert.has_no.errors(function() metatable[name](object) end)
      end
      assert.has_no.errors(function() metatable[name]() end)
    end
    assert.is_false(pcall(metatable.__tostring, io.stdout))
    assert.equal("file", io.type(io.stdout))
  end)

  it("survives that its finalizer is called by hand, and twice", function()
    local client = scripted.client()
    local finalize = debug.getmetatable(client).__gc
    finalize(client)
    finalize(client)
    assert.equal("closed", select(2, client:alert_ips "da1").kind)
    client:close()
  end)

  it("survives that its finalizer is called while it works", function()
    local client
    client = scripted.client({ { status = 500 }, EMPTY }, { on_event = function()
      debug.getmetatable(client).__gc(client)
    end })
    assert.equal("closed", select(2, client:alert_ips "da1").kind)
  end)

  it("is collected when nobody holds it, with its functions and what they hold", function()
    local witness = setmetatable({}, { __mode = "k" })
    aside(function()
      local held = {}
      witness[held] = true
      local client = scripted.client(nil, {
        token = function() return held and "token" end,
        on_event = function() return held end,
      })
      client:alert_ips "da1"
    end)
    collect()
    assert.is_nil(next(witness))
  end)

  it("is collected although its own functions hold it", function()
    local witness = setmetatable({}, { __mode = "k" })
    local function make()
      local client
      client = scripted.client(nil, { on_event = function() return client end })
      witness[client] = true
      client:alert_ips "da1"
    end
    aside(make)
    collect()
    assert.is_nil(next(witness))
  end)

  it("is not collected in the middle of a call that is all that holds it", function()
    local sum = 0
    for _ = 1, 20 do
      sum = sum + #scripted.client({ { status = 500 }, '{"value":[{"id":"1"}]}' }, { on_event = collect })
        :alert_ips "da1"
    end
    assert.equal(20, sum)
  end)

  it("is usable from any coroutine", function()
    local client = scripted.client()
    for _ = 1, 5 do
      local got = coroutine.wrap(function() return client:alert_ips "da1" end)()
      assert.same({}, got)
      collect()
    end
  end)

  it("outlives the coroutine that made it", function()
    local client = coroutine.wrap(function() return (scripted.client()) end)()
    collect()
    assert.same({}, client:alert_ips "da1")
  end)
end)

describe("garbage collection", function()
  --- A whole call with everything in it, while the collector runs at every chance.
  local function everything()
    local function work()
      collectgarbage "step"
      return ("x"):rep(30) .. tostring({})
    end
    local count = 0
    local client = testing.client{
      token = function()
        work()
        return "token", 3600
      end,
      on_event = work,
      answers = function()
        work()
        count = count + 1
        if count == 1 then return { status = 401, body = '{"error":{"code":"a","message":"b","target":"c"}}' } end
        if count == 2 then return { status = 429, headers = { ["Retry-After"] = 1 } } end
        if count == 3 then return { error = "timeout" } end
        if count == 4 then
          return '{"value":[{"id":"1"},{"id":"2"}],"@odata.nextLink":"https://h/api/alerts?$skip=2"}'
        end
        if count == 5 then return '{"value":[{"id":"3","null":null}]}' end
        return { status = 404, body = '{"error":{"code":"ResourceNotFound","message":"no","target":"c"}}' }
      end,
    }
    local alerts = assert(client:alerts{ filter = "severity eq 'High'" })
    assert.equal(3, #alerts)
    assert.equal("3", alerts[3].id)
    local _, err = client:alert_ips "da1"
    assert.equal("not_found", err.kind)
    assert.equal("ResourceNotFound", err.code)
    assert.matches("ResourceNotFound", tostring(err))
    return client
  end

  after_each(function()
    if version >= 5.4 then collectgarbage "incremental" end
    collectgarbage("setpause", 200)
    collectgarbage("setstepmul", version < 5.4 and 200 or 100)
    collectgarbage "restart"
  end)

  it("may step at every moment", function()
    for _ = 1, 20 do everything() end
  end)

  it("may run all the time", function()
    collectgarbage("setpause", 0)
    collectgarbage("setstepmul", 1000)
    for _ = 1, 2 do everything() end -- each one collects all that the specs hold, again and again
  end)

  it("may be stopped", function()
    collectgarbage "stop"
    for _ = 1, 20 do everything():close() end
  end)

  if version >= 5.4 then
    it("may be generational", function()
      collectgarbage "generational"
      for _ = 1, 20 do everything() end
    end)
  end

  it("brings memory back to where it was, with and without close #real-memory", function()
    local function churn(times)
      for i = 1, times do
        local client = everything()
        if i % 2 == 0 then client:close() end
      end
    end
    churn(20)
    local least = math.huge -- Lua's own tables grow now and then; what leaks grows each time
    for _ = 1, 3 do
      local before = kilobytes()
      churn(100)
      least = math.min(least, kilobytes() - before)
    end
    assert.is_true(least < 60, "Lua's memory grows") -- a client alone is larger than 1
  end)

  it("keeps one client's memory flat over thousands of calls", function()
    local client = testing.client{ token = "token", answers = scripted.always(EMPTY), rate_limit = false }
    local function calls(count)
      local requests = testing.requests(client)
      for i = 1, count do
        client:alert_ips "da1"
        requests[1] = nil
        if i % 100 == 0 then collectgarbage() end
      end
    end
    calls(1000)
    local before = kilobytes()
    calls(3000)
    assert.is_true(kilobytes() - before < 60, "Lua's memory grows") -- a client alone is larger than 1
  end)
end)

describe("what a method has returned", function()
  local function answers(request)
    local id = request.path:match "/alerts/([^/?]+)"
    if id == "bad" then return { status = 404, body = '{"error":{"code":"ResourceNotFound","message":"no"}}' } end
    return { body = ('{"value":[{"id":"%s"}]}'):format(id) }
  end

  it("is not touched by the client's next call", function()
    local client = testing.client{ token = "token", answers = answers }
    local first = client:alert_ips "one"
    local _, first_error = client:alert_ips "bad"
    local message = first_error.message
    local second = client:alert_ips "two"
    local _, second_error = client:alert_ips "bad"
    assert.same({ { id = "one" } }, first)
    assert.same({ { id = "two" } }, second)
    assert.equal(message, first_error.message)
    assert.are_not.equal(first_error, second_error)
    assert.equal(1, second_error.attempts)
  end)

  it("is not held by the client", function()
    local client = testing.client{ token = "token", answers = answers }
    local held = setmetatable({}, { __mode = "v" })
    aside(function()
      held.value = client:alert_ips "one"
      held.err = select(2, client:alert_ips "bad")
      held.last = client:alert_ips "two"
    end)
    collect()
    assert.same({}, held)
    assert.equal(3, client:stats().calls)
  end)

  it("leaves nothing behind when the call is broken off", function()
    local armed = false
    local client = testing.client{ token = "token", answers = answers, on_event = function(event)
      if armed and event.kind == "attempt" then error "stop" end
    end }
    assert.same({ { id = "one" } }, client:alert_ips "one")
    armed = true
    assert.is_false(pcall(client.alert_ips, client, "two"))
    assert.is_false(pcall(client.alert_ips, client, ("x"):rep(40000)))
    armed = false
    assert.same({ { id = "three" } }, client:alert_ips "three")
    assert.equal(0, client:stats().in_flight)
    assert.equal(0, client:step())
  end)
end)

describe("descriptors and memory of real clients", function()
  local space

  setup(function() simulator.start() end)
  before_each(function() space = simulator.namespace() end)

  local function descriptors() return #shell.lines(process.descriptors()) end

  it("counts the right process", function()
    local before = descriptors()
    local file = io.open "/dev/null"
    assert.equal(before + 1, descriptors())
    file:close()
  end)

  it("are given back by close, and by collection", function()
    collect()
    local before = descriptors()
    local clients = {}
    for i = 1, 10 do
      clients[i] = connect(space)
      assert(clients[i]:alert_ips "da637472900382838869_1364969609")
    end
    assert.is_true(descriptors() >= before + 10)
    for i = 1, 5 do clients[i]:close() end
    clients = nil -- luacheck: ignore
    collect()
    assert.equal(before, descriptors())
  end)

  it("are given back by a call that was broken off", function()
    collect()
    local before = descriptors()
    for _ = 1, 5 do
      local client = connect(space, { on_event = function() error "no" end })
      assert.is_false(pcall(client.alert_ips, client, "da637472900382838869_1364969609"))
    end
    collect()
    assert.equal(before, descriptors())
  end)

  it("stay flat when many clients come and go #real-memory", function()
    local function churn(times)
      for i = 1, times do
        local client = connect(space, { rate_limit = false })
        if i % 10 == 0 then client:alert_ips "da637472900382838869_1364969609" end
        if i % 2 == 0 then client:close() end
        if i % 50 == 0 then collect() end
      end
      collect()
    end
    space:control{ limits = false }
    churn(100)
    local before, memory = descriptors(), process.resident_kilobytes()
    churn(200)
    assert.equal(before, descriptors())
    assert.is_true(process.resident_kilobytes() - memory < 3000, "the process grows")
  end)
end)

describe("an error", function()
  local function an_error()
    local body = { error = { code = "ResourceNotFound", message = "Alert was not found", target = "7f1e" } }
    return select(2, scripted.client{ { status = 404, body = body } }:alert_ips "da1")
  end

  it("is a table with the documented fields", function()
    local err = an_error()
    assert.equal("table", type(err))
    assert.same({ "attempts", "code", "kind", "message", "operation", "retryable", "status", "target" }, (function()
      local names = {}
      for name in pairs(err) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
    assert.equal("not_found", err.kind)
    assert.equal("alert_ips", err.operation)
    assert.equal(404, err.status)
    assert.equal("ResourceNotFound", err.code)
    assert.equal("7f1e", err.target)
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
  end)

  it("prints its message", function()
    local err = an_error()
    assert.equal(err.message, tostring(err))
    assert.matches("^alert_ips: the alert was not found %(404 ResourceNotFound%): Alert was not found", err.message)
  end)

  it("prints a message that the script has put in its place, and does not fail without one", function()
    local err = an_error()
    err.message = "mine"
    assert.equal("mine", tostring(err))
    err.message = nil
    assert.is_string(tostring(err))
    err.message = {}
    assert.is_string(tostring(err))
  end)

  it("is a new table each time, and outlives its client", function()
    local err = an_error()
    collect()
    assert.are_not.equal(err, an_error())
    assert.matches("not found", tostring(err))
  end)

  it("passes through error and pcall as it is", function()
    local err = an_error()
    local ok, caught = pcall(error, err)
    assert.is_false(ok)
    assert.equal(err, caught)
  end)

  -- The interpreter of 5.1 prints strings only.
  for _, raised in ipairs{ "tostring(err)", (version >= 5.2 or rawget(_G, "jit")) and "err" or nil } do
    it("prints itself when a script dies of error(" .. raised .. ")", function()
      local ok, output = shell.run(shell.interpreter() .. " -e " .. shell.quote(([[
        local client = require("mde.testing").client{ token = "token", answers = { { status = 404 } } }
        local ips, err = client:alert_ips "da1"
        if not ips then error(%s) end]]):format(raised)))
      assert.is_false(ok)
      assert.matches("alert_ips: the alert was not found %(404%)", output)
    end)
  end

  if version >= 5.3 then -- before, assert wanted a string
    it("fits assert, which hands it on", function()
      -- busted's assert is another
      local kind = child.run [[
        local client = require("mde.testing").client{ token = "token", answers = { { status = 404 } } }
        local _, err = pcall(function() assert(client:alert_ips "da1") end)
        return err.kind
      ]]
      assert.equal("not_found", kind)
    end)
  end
end)

describe("a result", function()
  it("is a plain table that holds no client", function()
    local witness, ips = setmetatable({}, { __mode = "k" }), nil
    aside(function()
      local client = scripted.client{ '{"value":[{"id":"1","tags":["a"]}]}' }
      witness[client] = true
      ips = client:alert_ips "da1"
    end)
    assert.is_nil(getmetatable(ips))
    assert.is_nil(getmetatable(ips[1]))
    assert.is_nil(getmetatable(ips[1].tags))
    collect()
    assert.is_nil(next(witness))
    assert.equal("a", ips[1].tags[1])
  end)

  it("is the caller's own: changing it changes no later one", function()
    local client = scripted.client(scripted.always '{"value":[{"id":"1"}]}')
    client:alert_ips("da1")[1].id = "changed"
    assert.equal("1", client:alert_ips("da1")[1].id)
  end)
end)

-- A client that is at work when its script ends is not freed: the process gives its memory back.
it("a script that ends without close ends well, and quickly #as-built", function()
  local ok, output = shell.run(shell.interpreter() .. " -e " .. shell.quote [[
    local mde = require "mde"
    local testing = require "mde.testing"
    kept = {}
    for i = 1, 50 do kept[i] = mde.client{ token = "token", on_event = function() return kept end } end
    last = testing.client{ token = "token", answers = function() return '{"value":[]}' end,
      on_event = function(event) if event.kind == "page" then os.exit(0, true) end end }
    last:alert_ips "da1"]])
  assert.equal("", output)
  assert.is_true(ok)
end)

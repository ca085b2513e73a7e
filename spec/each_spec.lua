-- client:each: one operation for many ids, several at once.
local mde = require "mde"
local testing = require "mde.testing"
local child = require "spec.support.child"
local connect = require "spec.support.connect"
local scripted = require "spec.support.scripted"
local simulator = require "spec.support.simulator"

local EMPTY = scripted.EMPTY
local ALERT = "da637472900382838869_1364969609"

local version = tonumber(_VERSION:match "%d%.%d")

local function collect()
  local jit = rawget(_G, "jit")
  if jit then jit.flush() end -- compiled code holds the functions that it was made from
  collectgarbage()
  collectgarbage()
end

--- Runs it on a stack of its own, which goes when it ends: no register is left that still shows an object.
local function aside(run) coroutine.wrap(run)() end

local function id_of(request) return request.path:match "/alerts/([^/?]+)" end

--- Answers with the id that was asked for; `seconds` may be a function of the id.
local function echo(seconds)
  return function(request)
    local id = id_of(request)
    local takes = type(seconds) == "function" and seconds(id) or seconds or 0
    return { seconds = takes, body = ('{"value":[{"id":"%s"}]}'):format(id) }
  end
end

local function many(count)
  local ids = {}
  for i = 1, count do ids[i] = "da" .. i end
  return ids
end

--- The ids in a row, and how many were asked for.
local function stream(count)
  local taken = { count = 0 }
  return function()
    if taken.count < count then
      taken.count = taken.count + 1
      return "da" .. taken.count
    end
  end, taken
end

--- { id, first address or the error's kind } for each turn of the loop.
local function all(client, ids, options, operation)
  local list = {}
  for id, value, err in client:each(operation or "alert_ips", ids, options) do
    assert(value == nil or err == nil)
    list[#list + 1] = { id, value and (value[1] and value[1].id or "none") or err.kind }
  end
  return list
end

local function ids_of(list)
  local ids = {}
  for i, one in ipairs(list) do ids[i] = one[1] end
  return ids
end

local function sorted(list)
  table.sort(list)
  return list
end

local function paths(client)
  local list = {}
  for i, request in ipairs(testing.requests(client)) do list[i] = id_of(request) end
  return list
end

describe("client:each", function()
  it("hands each id out with its own result, once", function()
    local client = scripted.client(echo(1), { rate_limit = false })
    local seen = {}
    for id, ips, err in client:each("alert_ips", many(100)) do
      assert.is_nil(err)
      assert.is_nil(seen[id])
      assert.same({ { id = id } }, ips)
      seen[id] = true
    end
    for _, id in ipairs(many(100)) do assert.is_true(seen[id]) end
    assert.equal(100, #testing.requests(client))
    assert.equal(0, client:step())
  end)

  it("takes an iterator function, and its end is the end", function()
    local client = scripted.client(echo(1))
    local next_id, taken = stream(20)
    assert.equal(20, #all(client, next_id))
    assert.equal(20, taken.count)
  end)

  it("takes the iterator of gmatch and of coroutine.wrap", function()
    local client = scripted.client(echo())
    assert.same({ "a", "b", "c" }, ids_of(all(client, ("a b c"):gmatch "%a", { ordered = true })))
    local wrapped = coroutine.wrap(function() for _, id in ipairs{ "x", "y" } do coroutine.yield(id) end end)
    assert.same({ "x", "y" }, ids_of(all(client, wrapped, { ordered = true })))
  end)

  it("does not ask an iterator again after its end", function()
    local client, ended = scripted.client(echo(1)), 0
    local next_id = stream(5)
    local function once()
      local id = next_id()
      if not id then ended = ended + 1 end
      return id
    end
    assert.equal(5, #all(client, once, { concurrency = 3 }))
    assert.equal(1, ended)
  end)

  it("sends nothing and does not turn for no ids", function()
    local client = scripted.client()
    assert.same({}, all(client, {}))
    assert.same({}, all(client, function() end))
    assert.equal(0, #testing.requests(client))
  end)

  it("sends nothing before the loop begins", function()
    local client = scripted.client()
    local next_id, taken = stream(5)
    client:each("alert_ips", next_id)
    assert.equal(0, taken.count)
    assert.equal(0, #testing.requests(client))
    assert.equal(0, client:step())
  end)

  it("stays at its end when it is called once more", function()
    local client = scripted.client(echo())
    local next_result = client:each("alert_ips", { "da1" })
    assert.equal("da1", (next_result()))
    for _ = 1, 3 do assert.is_nil((next_result())) end
  end)

  it("works for every operation with an id", function()
    local client = scripted.client(scripted.always '{"id":"x","value":[]}', { rate_limit = false })
    for _, name in ipairs{ "alert_ips", "alert", "alert_domains", "alert_files", "alert_machine", "alert_user" } do
      assert.equal(10, #all(client, many(10), nil, name))
      assert.equal(name, testing.requests(client)[#testing.requests(client)].operation)
    end
    assert.equal(60, #testing.requests(client))
  end)

  it("has as many in flight as the client's concurrency, or its own", function()
    for _, case in ipairs{ { nil, nil, 8 }, { 3, nil, 3 }, { 8, 2, 2 }, { 2, 16, 16 }, { nil, 1, 1 } } do
      local client = scripted.client(echo(1), { concurrency = case[1], rate_limit = false })
      local start = testing.now()
      all(client, many(48), { concurrency = case[2] })
      assert.equal(48 / case[3], scripted.rounded(testing.now() - start))
      local requests = testing.requests(client)
      for i, request in ipairs(requests) do
        assert.equal(math.floor((i - 1) / case[3]), scripted.rounded(request.at - start))
      end
    end
  end)

  it("asks in the order of the ids", function()
    local client = scripted.client(echo(1), { rate_limit = false })
    all(client, many(50), { concurrency = 7 })
    assert.same(many(50), paths(client))
  end)

  it("hands out what is done first, first", function()
    local delays = { da1 = 9, da2 = 1, da3 = 5, da4 = 2 }
    local client = scripted.client(echo(function(id) return delays[id] end))
    assert.same({ "da2", "da4", "da3", "da1" }, ids_of(all(client, many(4))))
  end)

  it("fills a place as soon as it is free", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 10 or 1 end))
    local start = testing.now()
    all(client, many(11), { concurrency = 2 })
    assert.equal(10, scripted.rounded(testing.now() - start))
  end)

  it("sends for the next ids before the loop's body works on a result", function()
    local client, sent = scripted.client(echo(), { rate_limit = false }), {}
    for _ in client:each("alert_ips", many(9), { concurrency = 3 }) do sent[#sent + 1] = #testing.requests(client) end
    assert.same({ 3, 4, 5 }, { sent[1], sent[2], sent[3] })
    assert.equal(9, sent[9])
  end)

  it("holds no result that was handed out", function()
    local client, held = scripted.client(echo()), setmetatable({}, { __mode = "k" })
    local alive
    aside(function()
      local count = 0
      for _, ips in client:each("alert_ips", many(40), { concurrency = 8 }) do
        count, held[ips] = count + 1, true
        if count == 24 then
          collect()
          alive = 0
          for _ in pairs(held) do alive = alive + 1 end
        end
      end
    end)
    assert.is_true(alive <= 2, alive .. " are held") -- the loop's own, and what a register may show
  end)

  it("keeps the order of the ids if it is told to", function()
    local client = scripted.client(echo(function(id) return tonumber(id:match "%d+") * 7 % 10 end),
      { rate_limit = false })
    assert.same(many(60), ids_of(all(client, many(60), { ordered = true })))
    for _, one in ipairs(all(client, many(60), { ordered = true })) do assert.equal(one[1], one[2]) end
  end)

  it("goes on behind one that takes long, though ordered", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 10 or 1 end), { rate_limit = false })
    local start = testing.now()
    local list = all(client, many(12), { ordered = true, concurrency = 4 })
    assert.same(many(12), ids_of(list))
    assert.equal(10, scripted.rounded(testing.now() - start))
  end)

  it("pulls no more ids ahead than the concurrency, and four times that if ordered", function()
    for _, case in ipairs{ { false, 5 }, { true, 20 } } do
      local client = scripted.client(echo(function(id) return id == "da1" and 100 or 1 end), { rate_limit = false })
      local next_id, taken = stream(200)
      local out, most = 0, 0
      for _ in client:each("alert_ips", next_id, { concurrency = 5, ordered = case[1] }) do
        most = math.max(most, taken.count - out)
        out = out + 1
      end
      assert.equal(200, out)
      assert.equal(case[2], most)
    end
  end)

  it("goes on when one id fails", function()
    local client = scripted.client(function(request)
      if id_of(request) == "da3" then return { status = 404 } end
      if id_of(request) == "da5" then return { status = 400 } end
      return EMPTY
    end)
    local list = all(client, many(10), { ordered = true })
    for i, one in ipairs(list) do
      assert.equal("da" .. i, one[1])
      assert.equal(i == 3 and "not_found" or i == 5 and "http" or "none", one[2])
    end
    assert.equal(10, #list)
    assert.equal(2, client:stats().errors)
  end)

  it("tries each id again as a single call would", function()
    local asked = {}
    local client = scripted.client(function(request)
      local id = id_of(request)
      asked[id] = (asked[id] or 0) + 1
      return { status = asked[id] < 3 and 503 or 200, body = EMPTY }
    end)
    for _, one in ipairs(all(client, many(6))) do assert.equal("none", one[2]) end
    assert.equal(18, #testing.requests(client))
  end)

  it("keeps within the quota", function()
    local client, events = scripted.client(echo(), { rate_limit = { [10] = 5 } })
    local start = testing.now()
    assert.equal(20, #all(client, many(20)))
    local took = testing.now() - start
    assert.is_true(took > 30 and took < 31, took)
    assert.is_true(#scripted.of_kind(events, "wait") < 100)
    assert.same(many(20), paths(client))
  end)

  it("gives each call the options that are not its own", function()
    local client = scripted.client(function() return { seconds = 5, body = EMPTY } end)
    local start = testing.now()
    local list = all(client, many(3), { timeout = 2, max_attempts = 1 })
    assert.equal(2, scripted.rounded(testing.now() - start))
    for _, one in ipairs(list) do assert.equal("timeout", one[2]) end
    list = all(client, many(3), { budget = 1 })
    assert.equal(3, scripted.rounded(testing.now() - start))
    for _, one in ipairs(list) do assert.equal("timeout", one[2]) end
    list = all(scripted.client(), many(2), { max_body = 3 })
    for _, one in ipairs(list) do assert.equal("too_large", one[2]) end
  end)

  it("does not change its options", function()
    local options = { concurrency = 2, ordered = true, stop_on = {}, timeout = 3 }
    all(scripted.client(), many(3), options)
    assert.same({ concurrency = 2, ordered = true, stop_on = {}, timeout = 3 }, options)
  end)

  it("asks once for an id that is twice in flight, and hands it out twice", function()
    for _, ordered in ipairs{ false, true } do
      local client = scripted.client(echo(1))
      local ids = { "a", "b", "a", "a", "c", "b" }
      local list = ids_of(all(client, ids, { ordered = ordered }))
      if ordered then assert.same(ids, list) end
      assert.same(sorted{ "a", "a", "a", "b", "b", "c" }, sorted(list))
      assert.same({ "a", "b", "c" }, paths(client))
    end
  end)

  it("gives the same result to both, and the same error", function()
    local client = scripted.client(function(request)
      return { seconds = 1, status = id_of(request) == "a" and 200 or 404, body = EMPTY }
    end)
    local got = {}
    for id, value, err in client:each("alert_ips", { "a", "b", "a", "b" }) do
      got[id] = got[id] or {}
      table.insert(got[id], value or err)
    end
    assert.equal(2, #got.a)
    assert.equal(2, #got.b)
    assert.is_true(rawequal(got.a[1], got.a[2]))
    assert.is_true(rawequal(got.b[1], got.b[2]))
  end)

  it("asks again for an id that comes after it was answered", function()
    local client = scripted.client(echo(1))
    assert.same({ "a", "a", "a" }, ids_of(all(client, { "a", "a", "a" }, { concurrency = 1 })))
    assert.equal(3, #testing.requests(client))
    local others = scripted.client(echo(1))
    all(others, { "a", "b", "c", "a" }, { concurrency = 2 })
    assert.equal(4, #testing.requests(others))
  end)

  it("pulls no more of the same id ahead than of others", function()
    local client = scripted.client(echo(1))
    local pulled, out, most = 0, 0, 0
    local function same()
      pulled = pulled + 1
      return pulled <= 100 and "a" or nil
    end
    for _ in client:each("alert_ips", same, { concurrency = 4 }) do
      most = math.max(most, pulled - out)
      out = out + 1
    end
    assert.equal(100, out)
    assert.equal(4, most)
  end)
end)

describe("client:each, left early,", function()
  local function leave(client, ids, after, options)
    local out = 0
    for _ in client:each("alert_ips", ids, options) do
      out = out + 1
      if out == after then break end
    end
  end

  it("cancels what is in flight and starts nothing more", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 1 or 5 end))
    local next_id, taken = stream(100)
    aside(function() leave(client, next_id, 1) end)
    if version < 5.4 then collect() end
    assert.equal(0, client:step())
    assert.equal(0, client:stats().in_flight)
    assert.equal(8, taken.count)
    assert.equal(8, #testing.requests(client))
    assert.is_table((client:alert_ips "then"))
  end)

  it("by an error in its body leaves the client usable", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 1 or 5 end))
    aside(function()
      assert.matches("my own mistake", scripted.raised(function()
        for _ in client:each("alert_ips", many(20)) do error "my own mistake" end
      end))
    end)
    assert.same({ { id = "then" } }, client:alert_ips "then")
    collect()
    assert.equal(0, client:step())
    assert.equal(0, client:stats().in_flight)
    assert.equal(5, #all(client, many(5)))
  end)

  it("by return does the same", function()
    local client = scripted.client(echo(1))
    local function first()
      for id in client:each("alert_ips", many(20)) do return id end -- luacheck: ignore 512
    end
    aside(function() assert.equal("da1", first()) end)
    if version < 5.4 then collect() end
    assert.equal(0, client:step())
    assert.same({ { id = "then" } }, client:alert_ips "then")
  end)

  it("counts what was sent against the quota", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 1 or 5 end),
      { rate_limit = { [60] = 10 } })
    aside(function() leave(client, many(100), 1, { concurrency = 4 }) end)
    collect()
    assert.equal(6, #all(client, many(6), { budget = 30 }))
    local _, err = client:alert_ips("da1", { budget = 1 })
    assert.equal("rate_limited", err.kind)
  end)

  it("may be called on in vain after the client was closed", function()
    local client = scripted.client(echo(function(id) return id == "da1" and 1 or 5 end))
    local next_result = client:each("alert_ips", many(20))
    next_result()
    client:close()
    local id, value, err = next_result()
    assert.is_string(id)
    assert.is_nil(value)
    assert.equal("closed", err.kind)
    assert.is_nil((next_result()))
  end)
end)

describe("client:each with stop_on", function()
  --- Refuses one id, which is asked for before, with and behind others.
  local function refusing(status, seconds)
    return scripted.client(function(request)
      local id = id_of(request)
      return { seconds = id == "da5" and 1 or seconds or 2, status = id == "da5" and status or 200, body = EMPTY }
    end, { rate_limit = false })
  end

  it("ends by itself when the token is refused for good, and sends nothing more", function()
    for _, status in ipairs{ 401, 403 } do
      local client = refusing(status)
      assert.same({ { "da5", "auth" } }, all(client, many(100)))
      assert.equal(8, #testing.requests(client))
      assert.equal(0, client:step(5))
      assert.equal(8, #testing.requests(client))
      assert.equal(0, client:stats().in_flight)
    end
  end)

  it("hands out what was done before that", function()
    local client = refusing(403, 0.25)
    local list = all(client, many(100), { concurrency = 5, ordered = true })
    assert.same({ "da1", "da2", "da3", "da4", "da5" }, ids_of(list))
    assert.equal("auth", list[5][2])
  end)

  it("sends one request for each place when all are refused", function()
    local client = scripted.client(scripted.always{ seconds = 1, status = 401 })
    local next_id, taken = stream(1000)
    local list = all(client, next_id, { concurrency = 6 })
    assert.equal(1, #list)
    assert.equal("auth", list[1][2])
    assert.equal(6, #testing.requests(client))
    assert.equal(6, taken.count)
  end)

  it("sends nothing when the token function has none", function()
    local client = scripted.client(nil, { token = function() return nil, "no token today" end })
    local list = all(client, many(50))
    assert.equal(1, #list)
    assert.equal("auth", list[1][2])
    assert.equal(0, #testing.requests(client))
  end)

  it("goes on after a token that could be renewed", function()
    local renewed = false
    local client = scripted.client(function()
      return { seconds = 1, status = renewed and 200 or 401, body = EMPTY }
    end, { token = (function()
      local asked = 0
      return function()
        asked = asked + 1
        renewed = asked > 1
        return "token" .. asked
      end
    end)() })
    local list = all(client, many(30))
    assert.equal(30, #list)
    for _, one in ipairs(list) do assert.equal("none", one[2]) end
  end)

  it("= {} goes on whatever comes", function()
    local client = refusing(403)
    local list = all(client, many(20), { stop_on = {} })
    assert.equal(20, #list)
    local failed = {}
    for _, one in ipairs(list) do if one[2] ~= "none" then failed[#failed + 1] = one end end
    assert.same({ { "da5", "auth" } }, failed)
  end)

  it("= { not_found = true } ends there, and not for others", function()
    assert.same({ { "da5", "not_found" } }, all(refusing(404), many(20), { stop_on = { not_found = true } }))
    assert.equal(20, #all(refusing(403), many(20), { stop_on = { not_found = true } }))
    assert.equal(20, #all(refusing(404), many(20)))
    assert.equal(20, #all(refusing(403), many(20), { stop_on = { auth = false } }))
  end)

  it("takes no kind that no error has", function()
    local client = scripted.client()
    for _, unknown in ipairs{ { ratelimited = true }, { "auth" }, { [true] = true }, { Auth = false } } do
      assert.matches("option 'stop_on': no error has the kind '",
        scripted.raised(client.each, client, "alert_ips", many(1), { stop_on = unknown }))
    end
  end)
end)

describe("client:each of a closed client", function()
  it("hands out the first id as closed and ends", function()
    for _, ordered in ipairs{ false, true } do
      local client = scripted.client()
      client:close()
      assert.same({ { "da1", "closed" } }, all(client, many(20), { ordered = ordered, stop_on = {} }))
      assert.same({}, all(client, {}))
      local next_id, taken = stream(20)
      assert.same({ { "da1", "closed" } }, all(client, next_id, { ordered = ordered }))
      assert.equal(1, taken.count)
      assert.equal(0, #testing.requests(client))
    end
  end)

  it("ends when the client is closed in its body", function()
    local client = scripted.client(echo(1))
    local list = {}
    for id, ips, err in client:each("alert_ips", many(20)) do
      list[#list + 1] = ips and id or err.kind
      if #list == 1 then client:close() end
    end
    assert.equal("da1", list[1])
    assert.equal("closed", list[#list])
    assert.is_true(#list <= 9)
  end)

  it("ends when a callback closes it", function()
    local client
    client = scripted.client(echo(1), { on_event = function() client:close() end })
    local list = all(client, many(20))
    assert.equal("closed", list[#list][2])
    assert.equal(1, #list)
  end)
end)

describe("client:each raises", function()
  local client

  before_each(function() client = scripted.client(echo(1)) end)

  local function refused(...)
    local message = scripted.raised(client.each, client, ...)
    assert.equal(0, #testing.requests(client))
    return message
  end

  it("for what is no operation with an id", function()
    assert.matches("bad argument #1 to 'each' %(there is no operation 'alert_ip'%)", refused("alert_ip", {}))
    assert.matches("bad argument #1 to 'each' .*an id expected", refused("alerts", {}))
    assert.matches("bad argument #1 to 'each'", refused(nil, {}))
    assert.matches("bad argument #1 to 'each'", refused(5, {}))
  end)

  it("for what are no ids", function()
    for _, ids in ipairs{ "da1", 5, true, client } do
      assert.matches("bad argument #2 to 'each' .array or function expected", refused("alert_ips", ids))
    end
    assert.matches("array or function expected, got nil", refused("alert_ips"))
  end)

  it("for an unknown option, naming the nearest, though there be no ids", function()
    for name, nearest in pairs{ concurency = "concurrency", order = "ordered", stopon = "stop_on",
        timeuot = "timeout", bugdet = "budget", max_atempts = "max_attempts" } do
      local message = refused("alert_ips", {}, { [name] = 1 })
      assert.matches("bad argument #3 to 'each'", message, 1, true)
      assert.matches(("unknown option '%s'; did you mean '%s'?"):format(name, nearest), message, 1, true)
    end
    assert.matches("unknown option 'filter'", refused("alert_ips", {}, { filter = "x" }))
    assert.matches("options are named", refused("alert_ips", {}, { 5 }))
  end)

  it("for a wrong value of an option", function()
    for name, values in pairs{ concurrency = { 0, -1, 1.5, 1001, "x", true, 0 / 0 }, ordered = { 1, "yes" },
        stop_on = { "auth", true }, timeout = { 0, "x" }, budget = { -1 }, max_attempts = { 0.5 } } do
      for _, value in ipairs(values) do
        local message = refused("alert_ips", {}, { [name] = value })
        assert.matches(("bad argument #3 to 'each' (option '%s'"):format(name), message, 1, true)
      end
    end
    assert.matches("bad argument #3 to 'each' .table expected", refused("alert_ips", {}, "ordered"))
  end)

  it("and blames the line that called it", function()
    assert.matches("each_spec.lua:%d+:", scripted.raised(function()
      for _ in client:each("alert_ips", {}, { concurency = 1 }) do error "not reached" end
    end))
  end)

  it("for an id that is no string, when its turn comes", function()
    for _, bad in ipairs{ 5, {}, true, "", ".", "..", "a\nb" } do
      client = scripted.client(echo(1))
      local message = scripted.raised(all, client, { "da1", bad }, { concurrency = 1 })
      assert.matches("bad argument #2 to 'each' %(an id", message)
      collect()
      assert.same({ { id = "then" } }, client:alert_ips "then")
    end
  end)

  it("what the iterator raises, as it is, and the client stays usable", function()
    local thrown = {}
    local count = 0
    local function ids()
      count = count + 1
      if count > 3 then error(thrown) end
      return "da" .. count
    end
    local ok, err = pcall(all, client, ids)
    assert.is_false(ok)
    assert.is_true(rawequal(thrown, err))
    collect()
    assert.equal(0, client:step())
    assert.same({ { id = "then" } }, client:alert_ips "then")
  end)

  it("what on_event raises, and the client stays usable", function()
    local armed, thrown = true, {}
    client = scripted.client(echo(1), { on_event = function()
      if armed then
        armed = false
        error(thrown)
      end
    end })
    local ok, err = pcall(all, client, many(20))
    assert.is_false(ok)
    assert.is_true(rawequal(thrown, err))
    assert.equal(20, #all(client, many(20)))
    collect()
    assert.equal(0, client:step())
  end)

  it("what on_event raises, and the loop's own iterator can go on after it", function()
    local raise_at = 5
    local count = 0
    client = scripted.client(echo(1), { on_event = function()
      count = count + 1
      if count == raise_at then error "not now" end
    end })
    local next_result, list = client:each("alert_ips", many(20)), {}
    repeat
      local ok, id = pcall(next_result)
      if ok and id then list[#list + 1] = id end
    until ok and not id
    assert.is_true(#list >= 19)
    assert.equal(#list, #testing.requests(client))
  end)
end)

describe("client:each, whose call is cancelled by an error from elsewhere,", function()
  it("hands its id out as cancelled and goes on, whatever else is in flight", function()
    local armed
    local client = scripted.client({ { status = 503 }, '{"value":[]}', '{"value":[]}' }, { max_attempts = 2,
      rate_limit = { [100] = 2 }, on_event = function(event)
        if armed and event.kind == "wait" and event.reason == "quota" then
          armed = false
          error "not now"
        end
      end })
    local next_result = client:each("alert_ips", { "da1", "da2" }, { concurrency = 1 })
    assert.equal("da1", (next_result()))
    armed = true
    assert.matches("not now", scripted.raised(next_result))
    local other = client:start("alert_ips", "other")
    local now = testing.now()
    local id, value, err = next_result()
    assert.equal("da2", id)
    assert.is_nil(value)
    assert.equal("cancelled", err.kind)
    assert.equal(now, testing.now())
    assert.is_nil((next_result()))
    assert.is_false(other:done())
  end)
end)

describe("client:each", function()
  it("lets its body use the client", function()
    local client = scripted.client(echo(1), { rate_limit = false })
    local out = 0
    for id in client:each("alert_ips", many(20), { concurrency = 4 }) do
      assert.same({ { id = "x" .. id } }, client:alert_domains("x" .. id))
      out = out + 1
    end
    assert.equal(20, out)
  end)

  it("lets loops nest on one client", function()
    for _, ordered in ipairs{ false, true } do
      local client = scripted.client(echo(1), { rate_limit = false })
      local outer, inner = {}, 0
      for id in client:each("alert_ips", many(6), { concurrency = 3, ordered = ordered }) do
        outer[#outer + 1] = id
        for other, ips in client:each("alert_domains", many(5), { concurrency = 2, ordered = ordered }) do
          assert.same({ { id = other } }, ips)
          inner = inner + 1
        end
      end
      assert.same(many(6), sorted(outer))
      assert.equal(30, inner)
      assert.equal(0, client:step())
    end
  end)

  it("runs beside calls that the script has started", function()
    local client = scripted.client(echo(function(id) return id == "slow" and 25 or 1 end))
    local call = client:start("alert_ips", "slow")
    assert.equal(20, #all(client, many(20)))
    assert.is_false(call:done())
    while client:step(60) > 0 do assert(true) end
    assert.same({ { id = "slow" } }, call:result())
  end)

  it("runs in several coroutines that take turns", function()
    local client = scripted.client(echo(1), { rate_limit = false })
    local threads, seen = {}, {}
    for i = 1, 4 do
      threads[i] = coroutine.create(function()
        for id, ips in client:each("alert_ips", many(10), { concurrency = i }) do
          assert.same({ { id = id } }, ips)
          seen[i] = (seen[i] or 0) + 1
          coroutine.yield()
        end
      end)
    end
    local alive = true
    while alive do
      alive = false
      for _, thread in ipairs(threads) do
        if coroutine.status(thread) ~= "dead" then
          assert(coroutine.resume(thread))
          alive = true
        end
      end
    end
    assert.same({ 10, 10, 10, 10 }, seen)
  end)

  it("lets its iterator yield", function()
    local client = scripted.client(echo(1))
    local list
    local thread = coroutine.create(function()
      local next_id = stream(5)
      local next_result = client:each("alert_ips", function()
        coroutine.yield()
        return next_id()
      end, { ordered = true })
      list = {}
      for i = 1, 5 do list[i] = next_result() end -- by hand: on 5.1 no `for` may yield in its iterator
      assert(next_result() == nil)
    end)
    while coroutine.status(thread) ~= "dead" do assert(coroutine.resume(thread)) end
    assert.same(many(5), list)
  end)

  it("lets its iterator use the client", function()
    local client = scripted.client(echo(1))
    local next_id = stream(5)
    local list = all(client, function()
      local id = next_id()
      if id then client:alert_domains(id) end
      return id
    end, { ordered = true })
    assert.same(many(5), ids_of(list))
  end)

  it("may be handed to another coroutine in the middle", function()
    local client = scripted.client(echo(1))
    local next_result = coroutine.wrap(function()
      local iterate = client:each("alert_ips", many(10), { ordered = true })
      iterate()
      return iterate
    end)()
    collect()
    for i = 2, 10 do assert.equal("da" .. i, (next_result())) end
    assert.is_nil((next_result()))
  end)

  it("keeps its client alive, and lets go of it", function()
    local witness = setmetatable({}, { __mode = "k" })
    aside(function()
      local next_result
      aside(function()
        local client = scripted.client(echo(1))
        witness[client] = true
        next_result = client:each("alert_ips", many(10))
      end)
      collect()
      for _ = 1, 10 do assert.is_string((next_result())) end
      assert.is_nil((next_result()))
    end)
    collect()
    assert.is_nil(next(witness))
  end)

  it("survives a collector that runs at every chance", function()
    local client = scripted.client(function(request)
      collectgarbage "step"
      return echo(1)(request)
    end, { rate_limit = false, on_event = collect })
    local list = all(client, many(30), { concurrency = 5 })
    assert.equal(30, #list)
    for _, one in ipairs(list) do assert.equal(one[1], one[2]) end
  end)

  -- In a process of its own: here Lua's tables of strings grow with what other specs leave.
  for name, ordered in pairs{ ["as they come"] = false, ["in order"] = true } do
    it("keeps memory flat over 20 000 ids, " .. name, function()
      local got = child.run([[
        local given = ...
        local testing = require "mde.testing"
        local client = testing.client{ token = "token", rate_limit = false, answers = function()
          return '{"value":[]}'
        end }
        local requests, made, out, early = testing.requests(client), 0, 0, nil
        local function next_id()
          made = made + 1
          return made <= 20000 and "da" .. made or nil
        end
        local function kilobytes()
          for _ = 1, 3 do collectgarbage() end
          return collectgarbage "count"
        end
        for _, ips in client:each("alert_ips", next_id, { concurrency = 16, ordered = given.ordered }) do
          assert(ips)
          out = out + 1
          for i = #requests, 1, -1 do requests[i] = nil end
          if out == 2000 then early = kilobytes() end
        end
        return { out = out, grown = kilobytes() - early }
      ]], { ordered = ordered })
      assert.equal(20000, got.out)
      assert.is_true(got.grown < 100, got.grown .. " kilobytes more") -- 20 000 results or calls would be thousands
    end)
  end
end)

if version >= 5.4 then
  describe("client:each, closed", function()
    it("cancels at once what is in flight, without a collection", function()
      collectgarbage "stop"
      local client = scripted.client(echo(function(id) return id == "da1" and 1 or 5 end))
      for _ in client:each("alert_ips", many(20)) do break end -- luacheck: ignore 512
      local in_flight, unfinished = client:stats().in_flight, client:step()
      collectgarbage "restart"
      assert.equal(0, in_flight)
      assert.equal(0, unfinished)
    end)
  end)
end

describe("client:each over the network", function()
  local space, client, alerts

  setup(function()
    simulator.start()
    local all_client = connect(simulator.namespace())
    alerts = {}
    for i, alert in ipairs(assert(all_client:alerts())) do alerts[i] = alert.id end
    all_client:close()
  end)
  before_each(function()
    space = simulator.namespace()
    space:control{ limits = false }
  end)
  after_each(function() client:close() end)

  for http, protocol in pairs{ ["1.1"] = "HTTP/1.1", ["2"] = "HTTP/2.0" } do
    describe("by " .. protocol, function()
      before_each(function()
        local url = http == "2" and simulator.h2_url or simulator.url
        client = connect(space, { base_url = url, http_version = http, rate_limit = false })
      end)

      it("gives each alert its own answer, and reaches its concurrency #brisk", function()
        space:fault{ delay = 0.2, times = 32 }
        local seen, count = {}, 0
        for id, alert, err in client:each("alert", alerts, { concurrency = 16 }) do
          assert.is_nil(err)
          assert.equal(id, alert.id)
          assert.is_nil(seen[id])
          seen[id], count = true, count + 1
        end
        assert.equal(#alerts, count)
        local report = space:report()
        assert.equal(16, report.largest_in_flight)
        assert.equal(#alerts, report.operations.alert.requests)
        for _, request in ipairs(report.requests) do assert.equal(protocol, request.http_version) end
        assert.equal(http == "2" and 1 or 16, client:stats().connections)
      end)

      it("leaves a healthy client behind when it is left early", function()
        space:fault{ id = alerts[1], delay = 0.05 }
        space:fault{ delay = 0.3, times = 7 }
        aside(function()
          for id in client:each("alert", alerts) do -- luacheck: ignore 512
            assert.equal(alerts[1], id)
            break
          end
        end)
        collect()
        assert.equal(0, client:step())
        assert.equal(0, client:stats().in_flight)
        for i = 1, 5 do assert.equal(alerts[i], assert(client:alert(alerts[i])).id) end
      end)

      it("survives resets, slow answers and strange ones", function()
        space:control{ faults = {
          { reset = "before", times = 2 }, { status = 503, times = 2 }, { delay = 0.2, times = 2 },
          { truncate = 5, times = 2 },
        } }
        local count = 0
        for id, alert in client:each("alert", alerts, { concurrency = 12, ordered = true }) do
          count = count + 1
          assert.equal(alerts[count], id)
          assert.equal(id, assert(alert).id)
        end
        assert.equal(#alerts, count)
      end)
    end)
  end

  it("ends when the token is revoked in the middle", function()
    client = connect(space, { rate_limit = false, token = space:token_numbered(1) })
    local count, kind = 0, nil
    for _, alert, err in client:each("alert", alerts, { concurrency = 4 }) do
      count = count + 1
      if alert == nil then kind = err.kind end
      if count == 20 then space:control{ revoked = { space:token_numbered(1) } } end
    end
    assert.equal("auth", kind)
    local requests = #space:requests()
    assert.is_true(requests <= count + 8, requests .. " requests for " .. count)
  end)

  it("asks twice for nobody", function()
    client = connect(space)
    space:fault{ delay = 0.2 }
    local count = 0
    for _, ips in client:each("alert_ips", { ALERT, ALERT, ALERT }) do
      assert.equal(2, #ips)
      count = count + 1
    end
    assert.equal(3, count)
    assert.equal(1, #space:requests())
  end)
end)

-- A bug: these crashed the process when a script that had found them called them with anything but what each.lua
-- passes.
describe("the module's steps of each", function()
  local steps = mde._hosted.each

  it("refuse what is no operation and no call of theirs", function()
    local client = testing.client{ token = "token", answers = function() return '{"value":[]}' end }
    for _, value in ipairs{ false, mde.null, io.stdout, client, client:start("alert_ips", "da1"), {} } do
      assert.is_false(pcall(steps.options, value, {}))
      assert.is_false(pcall(steps.take, value))
      assert.is_false(pcall(steps.start, client, value, "da1", nil, {}, false))
      if value then assert.is_false(pcall(steps.start, client, "alert_ips", "da1", nil, {}, value)) end
    end
  end)

  it("look at no wire where there is none", function()
    local client = testing.client{ token = "token", answers = {} }
    assert.is_false(mde._hosted.moves(client))
  end)
end)

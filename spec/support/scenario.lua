--- Goes every way through the module, for a run under valgrind or the sanitizers: under the collector's usual pace, at
-- its most eager, and with a full collection in every callback. Says how many scenarios there were, and ends with 0 if
-- all went as it must.
--
--     valgrind --leak-check=full --error-exitcode=9 lua5.4 spec/support/scenario.lua
--
-- Without a network; with MDE_SIMULATOR_DIR (a running simulator's) it talks HTTP and TLS besides.
local mde = require "mde"
local eager = require "spec.support.eager"
local testing = require "mde.testing"

local EMPTY = '{"value":[]}'
local LINK = '{"value":[{"id":"%d"}],"@odata.nextLink":"https://h/api/alerts?$skip=%d"}'

local function collect()
  collectgarbage()
  collectgarbage()
end

local collects_in_callbacks = false

local function collecting(run)
  return function(...)
    collect()
    return run(...)
  end
end

--- The same answers, one at a time and by a function.
local function one_by_one(answers)
  local count = 0
  return function(request)
    count = count + 1
    if type(answers) == "function" then return answers(request) end
    return answers[count]
  end
end

--- The options, with a full collection in every function that the module calls.
local function with_collections(all)
  local token = all.token
  if token then all.token = collecting(type(token) == "function" and token or function() return token end) end
  all.token_answers = all.token_answers and collecting(one_by_one(all.token_answers))
  all.on_event = collecting(all.on_event or function() end)
  all.answers = all.answers and collecting(one_by_one(all.answers))
  return all
end

local function scripted(answers, options)
  local all = { answers = answers }
  for name, value in pairs(options or {}) do all[name] = value end
  if not all.client_id and not all.token_file then all.token = all.token or "a-token-that-is-long-enough" end
  return testing.client(collects_in_callbacks and with_collections(all) or all)
end

local function fails(kind, value, err)
  assert(value == nil and err.kind == kind, ("%s expected, got %s"):format(kind, tostring(err)))
  assert(#tostring(err) > 0)
end

local function raises(run, ...)
  assert(not pcall(run, ...), "an error expected")
end

-- --- options ---

local function options()
  local wrong = {
    { nonsense = 1 }, { timeout = 0 }, { timeout = "5" }, { rate_limit = {} }, { rate_limit = { [60] = 0 } },
    { base_url = "http://example.org" }, { base_url = "x" }, { on_event = 5 }, { user_agent = "a\nb" }, { 5 },
    { proxy = "http://example.org", base_url = "http://127.0.0.1" },
  }
  for _, one in ipairs(wrong) do
    one.token = "token"
    raises(mde.client, one)
  end
  raises(mde.client)
  raises(mde.client, {})
  raises(mde.client, { token = "a\n" })
  mde.client{ token = "token", user_agent = "u", proxy = "http://h:1", no_proxy = "a,b", ca_file = "/none",
              base_url = "https://h/prefix", rate_limit = { [1] = 1 }, concurrency = 2 }:close()
end

-- --- answers ---

local function successes()
  local client = scripted{ EMPTY, '{"value":[{"id":"1","x":null}]}', '{"id":"da1"}',
                           LINK:format(1, 1), LINK:format(2, 2), EMPTY, '{"value":[{},{}]}', EMPTY }
  assert(#client:alert_ips "da1" == 0)
  assert(client:alert_ips("da 2/ø")[1].x == mde.null)
  assert(client:alert("da1").id == "da1")
  assert(#client:alerts{ filter = "severity eq 'High'", expand = "evidence" } == 2)
  assert(#client:alerts{ top = 2, skip = 1 } == 2)
  client:stats()
  tostring(client)
end

local function failures()
  local body = '{"error":{"code":"C","message":"Bearer a-token-that-is-long-enough","target":"t"}}'
  local kinds = { [301] = "http", [400] = "http", [401] = "auth", [403] = "auth", [404] = "not_found",
                  [429] = "rate_limited", [500] = "http", [503] = "http" }
  for status, kind in pairs(kinds) do
    fails(kind, scripted(function() return { status = status, body = body } end):alert_ips "da1")
  end
  for _, text in ipairs{ "", "<html>", "[", '{"value":1}', '{"value":{"a":1}}', "[]", "5", '{"value":[1],"value":2}',
                         ("["):rep(100), '{"value":[],"@odata.nextLink":5}', '{"value":[],"@odata.nextLink":"?"}' } do
    fails("json", scripted{ text }:alerts())
  end
  fails("json", scripted(function() return LINK:format(1, 1) end):alerts())
  fails("json", scripted{ "[1]" }:alert "da1")
  fails("too_large", scripted({ EMPTY }, { max_body = 3 }):alert_ips "da1")
  for outcome, kind in pairs{ timeout = "timeout", broken = "network", unreachable = "network", tls = "tls" } do
    fails(kind, scripted(function() return { error = outcome } end):alert_ips "da1")
  end
  fails("rate_limited", scripted({ { status = 429, headers = { ["Retry-After"] = 60 } } }, { budget = 5 })
    :alert_ips "da1")
  fails("timeout", scripted({}, { budget = 0 }):alert_ips "da1")
end

local function arguments()
  local client = scripted{}
  for _, id in ipairs{ "", ".", "..", "a\0b", 5 } do raises(client.alert_ips, client, id) end
  raises(client.alert_ips, client)
  raises(client.alert_ips, client, ("x"):rep(1e5))
  raises(client.alert_ips, client, "da1", { nonsense = 1 })
  raises(client.alert_ips, io.stdout, "da1")
  raises(client.alert_ips, client, "da1") -- no answer is left
end

local function quota()
  local client = scripted(function() return EMPTY end, { rate_limit = { [1] = 40, [60] = 50 } })
  for _ = 1, 200 do assert(client:alert_ips "da1") end
  fails("rate_limited", client:alert_ips("da1", { budget = 0.001 }))
end

-- --- quotas, private and in a file, on the moved clock ---

local refusal = { status = 429, headers = { ["Retry-After"] = 2 },
                  body = { error = { message = "maximum allowed 4 per 00:00:01" } } }

local function quota_options()
  local wrong = {
    { nonsense = 1 }, { rate_limit = {} }, { pace = "slow" }, { burst = 5 }, { pace = "smooth", burst = 0 },
    { key = "k" }, { path = "" }, { path = "/nowhere/quota" }, { path = "/tmp" }, { path = 5 }, { 5 },
    { path = "/nowhere/quota", key = ("k"):rep(72) }, { path = "/nowhere/quota", rate_limit = { [1] = 10001 } },
    { path = ("/x"):rep(10000) },
  }
  for _, one in ipairs(wrong) do
    raises(mde.quota, one)
    raises(testing.quota, one)
  end
  for _, one in ipairs{ 5, {}, mde.quota() } do raises(testing.client, { token = "t", answers = {}, quota = one }) end
  raises(mde.client, { token = "t", quota = mde.quota(), rate_limit = false })
end

--- Everything that one can be asked.
local function ask(one)
  local slot = assert(one:reserve("alert_ips", 10))
  for _, how in ipairs{ "answered", "unsent", "abandoned" } do one:settle("alert_ips", slot, how) end
  testing.advance(1) -- a smooth pace has no second one at once
  one:settle("alert_ips", assert(one:reserve "alert_ips"), "abandoned")
  one:penalize("alert_ips", 1, { 60, 1000 })
  assert(one:remaining "alert_ips" and one:status() and tostring(one))
  raises(one.reserve, one, "nonsense")
  raises(one.settle, one, "alert_ips", {}, "answered")
  raises(one.settle, one, "alert_ips", slot, "nonsense")
  testing.advance(2)
end

local function use_by_clients(one)
  local count = 0
  local function answer()
    count = count + 1
    return count % 20 == 5 and refusal or EMPTY
  end
  local clients = { scripted(answer, { quota = one }), scripted(answer, { quota = one }) }
  for i = 1, 60 do assert(clients[i % 2 + 1]:alert_ips "da1") end
  raises(function() scripted(function() error "broken off" end, { quota = one }):alert_ips "da1" end)
  collect()
  one:close()
  one:close()
  fails("closed", clients[1]:alert_ips "da1")
  fails("closed", one:remaining "alert_ips")
  fails("closed", one:status())
  assert(not one:reserve "alert_ips" and tostring(one))
end

local function private_quotas()
  for _, pace in ipairs{ "burst", "smooth" } do
    local one = testing.quota{ rate_limit = { [1] = 20, [60] = 400 }, pace = pace }
    ask(one)
    use_by_clients(one)
  end
  mde.quota():reserve "alert_ips"
end

local function write_at(path, offset, bytes)
  local file = assert(io.open(path, "r+b"))
  file:seek("set", offset)
  file:write(bytes)
  file:close()
end

local function quota_files()
  local path = os.tmpname()
  raises(testing.quota, { path = path }) -- an empty one
  os.remove(path)
  for _, pace in ipairs{ "burst", "smooth" } do
    local all = { path = path, key = pace, rate_limit = { [1] = 20, [60] = 400 }, pace = pace }
    local one, other = testing.quota(all), testing.quota(all)
    ask(one)
    ask(other)
    raises(mde.quota, { path = path }) -- of another clock
    raises(testing.quota, { path = path, rate_limit = { [1] = 9000 } })
    use_by_clients(one)
    other:reserve("alert_ips", 100)
  end
  collect()
  testing.quota{ path = path, rate_limit = { [1] = 9000 } }:close() -- made anew
  local one = mde.quota{ path = path } -- by a reboot
  one:reserve "alert_ips"
  -- Removed, scribbled over, cut off: while it is open.
  os.remove(path)
  one:reserve "alert_ips"
  write_at(path, 4096, ("garbage!"):rep(150000))
  for _ = 1, 50 do one:reserve "alert_ips" end
  assert(one:status())
  io.open(path, "w"):close()
  assert(select(3, one:reserve "alert_ips") and tostring(select(2, one:remaining "alert_ips")))
  one:status()
  os.remove(path)
  one:reserve "alert_ips"
  one:close()
  Left = mde.quota{ path = path } -- luacheck: ignore 111
  os.remove(path)
end

--- Each method in turn answers, refuses, raises, closes or says nonsense.
local function script_quotas()
  local acts = {
    function() return true end, function() return {} end, function() return nil, 0.5 end, function() end,
    function() return nil, 0.5, "sealed" end, function() return nil, 1, {}, true end, function() error "thrown" end,
    function() error{} end, coroutine.yield, function(client) client:close() end, collect,
    function(client) client:alert_ips "da2" end,
  }
  for _, act in ipairs(acts) do
    for _, method in ipairs{ "reserve", "settle", "penalize" } do
      local client
      local one = { settle = collect, penalize = collect, remaining = error, reserve = function() return {} end }
      one[method] = function()
        collect()
        return act(client)
      end
      client = scripted({ refusal, { error = "unreachable" }, EMPTY, EMPTY }, { quota = one, budget = 20 })
      one.client = client
      pcall(client.alert_ips, client, "da1")
      pcall(client.alert_ips, client, "da1")
    end
    collect()
  end
end

-- --- the script's own functions ---

local function tokens()
  local results = {
    { nil, "sealed" }, {}, { 5 }, { "a\n" }, { "token", "life" }, { nil, setmetatable({}, { __tostring = error }) },
  }
  for _, result in ipairs(results) do
    fails("auth", scripted({}, { token = function() return result[1], result[2] end }):alert_ips "da1")
  end
  for _, thrown in ipairs{ "words", {}, setmetatable({}, { __tostring = function() return "words" end }) } do
    fails("auth", scripted({}, { token = function() error(thrown) end }):alert_ips "da1")
  end
  fails("auth", scripted({}, { token = coroutine.yield }):alert_ips "da1")
  local client = scripted({ { status = 401 }, EMPTY, EMPTY }, { token = function() return ("x"):rep(5000), 5 end })
  assert(client:alert_ips "da1")
  testing.advance(6)
  assert(client:alert_ips "da1")
end

--- Throws, yields or closes at each event in turn.
-- --- credentials ---

local SECRET = { tenant_id = "tenant", client_id = "app", client_secret = ("s"):rep(40) }

local function by_secret(token_answers, answers, more)
  local all = { token_answers = token_answers }
  for name, value in pairs(SECRET) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  return scripted(answers or function() return EMPTY end, all)
end

local function grant(token, life)
  return { body = ('{"access_token":"%s","expires_in":%s}'):format(token or ("t"):rep(3000), life or 3600) }
end

local function credentials()
  for _, one in ipairs{ {}, SECRET, { token = "t" }, { credential = {} }, { managed_identity = 5 } } do
    raises(mde.client, { credential = one, token = "t", client_secret = "s" })
  end
  raises(mde.client, { cloud = "moon", token = "t" })
  raises(mde.client, { cloud = "gcc-high", authority = "https://login.microsoftonline.com", credential = SECRET })
  mde.client{ credential = SECRET, cloud = "dod", scope = "api://x/.default" }:close()

  local client = by_secret(function() return grant() end, { EMPTY, { status = 401 }, EMPTY, EMPTY, EMPTY })
  for _ = 1, 3 do assert(client:alert_ips "da1") end
  testing.advance(3400)
  assert(client:alert_ips "da1")
  client:close()
  for _, answer in ipairs{
    { error = "unreachable" }, { status = 503 }, { status = 429 }, { status = 401, body = "{}" }, { status = 200 },
    { body = '{"access_token":"' .. ("x"):rep(70000) .. '"}' }, { body = '{"access_token":"x"' }, { body = "[]" },
    { status = 400, body = '{"error":"e","error_description":"AADSTS7000215: ' .. SECRET.client_secret .. '"}' },
  } do
    fails("auth", by_secret(function() return answer end, nil, { max_attempts = 2 }):alert_ips "da1")
  end
  raises(function()
    by_secret(nil, nil, { on_event = function(event) if event.kind == "token" then error "no" end end }):alert_ips "da1"
  end)

  local many = by_secret(function() return { seconds = 1, body = grant().body } end)
  for _ = 1, 20 do many:start("alert_ips", "da1") end
  many:step()
  many:close()
  for _, claims in ipairs{ "a.b.c", "a.e30.c", "a.eyJhdWQiOiJ4IiwiZXhwIjoxLCJyb2xlcyI6WyJhIiwiYiJdfQ.c" } do
    client = scripted(function() return { status = 401 } end, { token = claims })
    fails("auth", client:alert_ips "da1")
  end
  fails("auth", scripted({}, { token_file = "/nonexistent/token" }):alert_ips "da1")
  fails("auth", scripted({}, { tenant_id = "t", client_id = "c", certificate = "/nonexistent" }):alert_ips "da1")
end

local function events()
  local acts = {
    function() error "thrown" end,
    coroutine.yield,
    function(client) client:close() end,
    function(client) client:alert_ips "da2" end,
    function(client)
      client:close()
      error{}
    end,
    collect,
  }
  for _, act in ipairs(acts) do
    for n = 1, 7 do
      local count = 0
      local client
      client = scripted({ { status = 401 }, { status = 500 }, LINK:format(1, 1), EMPTY, EMPTY }, {
        token = function() return "token" end,
        on_event = function()
          count = count + 1
          if count == n then act(client) end
        end,
      })
      pcall(client.alerts, client)
      pcall(client.alert_ips, client, "da1")
      if n % 2 == 0 then client:close() end
    end
    collect()
  end
end

--- A hook is what Ctrl-C is: it strikes at each call of a function in turn.
local function interruptions()
  local nth, struck = 0, true
  while struck do
    nth, struck = nth + 1, false
    local client = scripted({ { status = 401 }, { status = 500 }, LINK:format(1, 1), EMPTY },
      { token = function() return tostring "token" end })
    local calls = 0
    local function strike()
      calls = calls + 1
      if calls < nth then return end
      debug.sethook()
      struck = true
      error "interrupted!"
    end
    pcall(function()
      debug.sethook(strike, "c")
      client:alerts()
      debug.sethook()
    end)
  end
  assert(nth > 20)
end

local SLOW = { seconds = 1, body = EMPTY }

--- Started, cancelled, dropped, broken off, closed: at every stage of a call.
local function steps()
  for stage = 0, 3 do
    for _, ending in ipairs{ "cancel", "drop", "close", "finish", "raise" } do
      local armed = false
      local client = scripted({ SLOW, { status = 503 }, SLOW, SLOW, SLOW, SLOW, SLOW }, { on_event = function()
        if armed then error "no" end
      end })
      local calls = { client:start("alert_ips", "da1"), client:start("alert_ips", "da2", { budget = 60 }) }
      for _ = 1, stage do client:step(0.5) end
      client:pollable()
      if ending == "cancel" then for _, call in ipairs(calls) do call:cancel() end end
      if ending == "drop" then calls = {} end
      if ending == "close" then client:close() end
      armed = ending == "raise"
      collect()
      for _ = 1, 10 do pcall(client.step, client, 60) end
      for _, call in ipairs(calls) do
        tostring(call)
        assert(select("#", call:result()) > 0)
      end
    end
  end
end

local function bulk()
  for _, ordered in ipairs{ false, true } do
    local client = scripted(function(request)
      return { seconds = 1, status = request.path:find "da7" and 404 or 200, body = EMPTY }
    end)
    local count = 0
    for _, ips, err in client:each("alert_ips", { "da1", "da2", "da1", "da7" }, { ordered = ordered }) do
      assert(ips or err)
      count = count + 1
    end
    assert(count == 4)
    for _ in client:each("alert_ips", { "da1", "da2", "da3" }, { concurrency = 2 }) do
      for _ in client:each("alert_domains", { "da1", "da2", "da3" }) do count = count + 1 end
      if count > 8 then break end
    end
    raises(function() for _ in client:each("alert_ips", { "da1", "" }) do count = count + 1 end end)
    collect()
    local ids = { "da1", "da2", "da7" }
    for _ in client:each("alert_ips", ids, { stop_on = { not_found = true } }) do count = count + 1 end
    client:close()
    for _, _, err in client:each("alert_ips", { "da1" }) do assert(err.kind == "closed") end
  end
end

local function closing()
  local client = scripted{ EMPTY }
  client:close()
  client:close()
  fails("closed", client:alert_ips "da1")
  fails("closed", client:stats())
  tostring(client)
  for _ = 1, 5 do mde.client{ token = "token" } end
  collect()
end

--- Everything is called on each object with what is right for something else.
local function abused()
  local abuse = require "spec.support.abuse"
  for _, one in ipairs(abuse.objects()) do assert(#abuse.call_all(one.class, one.object) == 0) end
  abuse.clean_up()
end

-- --- a network ---

local function network()
  local simulator = require("spec.support.simulator").start()
  local ID = "da637472900382838869_1364969609"
  local space = simulator.namespace()
  space:control{ limits = false }

  local function real(changes)
    local all = { base_url = simulator.url, ca_file = simulator.ca_file, token = space.token, proxy = "",
                  rate_limit = false, http_version = "2" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return mde.client(collects_in_callbacks and with_collections(all) or all)
  end

  for _, url in ipairs{ simulator.url, simulator.h2_url, simulator.http_url } do
    local client = real{ base_url = url, timeout = 60 }
    assert(client:alert_ips(ID))
    assert(client:alert_ips(ID))
    assert(#client:alerts{ max_items = 150 } == 150)
    fails("not_found", client:alert_ips "da000000000000000000_0")
    space:fault{ status = 503, headers = { ["Retry-After"] = "0" } }
    assert(client:alert_ips(ID))
    space:fault{ huge = 100000 }
    fails("too_large", client:alert_ips(ID, { max_body = 5000 }))
    space:fault{ gzip_bomb = 100000 }
    fails("too_large", client:alert_ips(ID, { max_body = 5000 }))
    space:fault{ truncate = 10 }
    fails("network", client:alert_ips(ID, { max_attempts = 1 }))
    space:fault{ reset = "middle" }
    fails("network", client:alert_ips(ID, { max_attempts = 1 }))
    space:fault{ body = "<html>" }
    fails("json", client:alert_ips(ID))
    space:fault{ delay = 5 }
    fails("timeout", client:alert_ips(ID, { timeout = 0.2, max_attempts = 1 }))
    local first, second, dropped = client:start("alert_ips", ID), client:start("alert_ips", ID), -- luacheck: ignore
      client:start("alert_ips", ID)
    client:step(0.01)
    client:pollable()
    first:cancel()
    dropped = nil -- luacheck: ignore
    collect()
    while client:step(10) > 0 do collect() end
    assert(second:result())
    for _, ips in client:each("alert_ips", { ID, "da637308392288907382_-880718168", ID }) do assert(ips) end
    client:start("alert_ips", ID)
    client:step(0.01)
    client:close()
  end
  fails("tls", real{ base_url = simulator.expired_url }:alert_ips(ID))
  fails("tls", real{ base_url = simulator.unknown_ca_url }:alert_ips(ID))
  fails("network", real{ base_url = "http://127.0.0.1:1", max_attempts = 1 }:alert_ips(ID))
  fails("auth", real{ token = "not-a-token-of-the-simulator" }:alert_ips(ID))
  local function fetching(changes)
    local all = { base_url = simulator.url, ca_file = simulator.ca_file, authority = space:authority(), proxy = "",
                  tenant_id = space.tenant_id, client_id = space.client_id, client_secret = space.client_secret }
    for name, value in pairs(changes or {}) do all[name] = value end
    return mde.client(all)
  end
  local renewing = fetching()
  assert(renewing:alert_ips(ID))
  space:control{ expire_tokens = true }
  assert(renewing:alert_ips(ID))
  renewing:start("alert_ips", ID)
  renewing:close()
  fails("auth", fetching{ client_secret = "wrong-secret" }:alert_ips(ID))
  local pair = require("spec.support.key_pair").new()
  space:register{ certificates = { pair.certificate } }
  assert(mde.client{ base_url = simulator.url, ca_file = simulator.ca_file, authority = space:authority(),
    proxy = "", tenant_id = space.tenant_id, client_id = space.client_id, certificate = pair.certificate_file,
    private_key = pair.key_file }:alert_ips(ID))
  pair:remove()

  -- Left open, broken off, closed within: whatever is on the wire must go.
  for _ = 1, 3 do assert(real():alert_ips(ID)) end
  local client
  client = real{ on_event = function() client:close() end }
  fails("closed", client:alert_ips(ID))
  raises(function() real{ on_event = error }:alert_ips(ID) end)

  -- A hook is what Ctrl-C is: it strikes while the request travels.
  client = real()
  space:fault{ delay = 5 }
  local slices = 0
  debug.sethook(function()
    slices = slices + 1
    if slices == 12 then
      debug.sethook()
      error "interrupted!"
    end
  end, "c")
  raises(client.alert_ips, client, ID)
  debug.sethook()
  assert(client:alert_ips(ID))
  collect()
end

-- --- the collector's ways ---

local function usual()
  if _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 0, 13) end
  collectgarbage("setpause", 200)
  collectgarbage("setstepmul", 200)
  collects_in_callbacks = false
end

local function wholly_eager() eager(true) end

local function generational()
  if _VERSION == "Lua 5.4" then collectgarbage "generational" end
end

local function in_callbacks() collects_in_callbacks = true end

local count = 0

local function go(way, parts)
  way()
  for _, part in ipairs(parts) do
    part()
    collect()
    count = count + 1
  end
  usual()
end

local parts = {
  options, successes, failures, arguments, quota, quota_options, private_quotas, quota_files, script_quotas, tokens,
  credentials, events, interruptions, steps, bulk, closing,
}
for _, way in ipairs{ usual, wholly_eager, generational, in_callbacks } do go(way, parts) end
go(usual, { abused })
if os.getenv "MDE_SIMULATOR_DIR" then
  for _, way in ipairs{ usual, in_callbacks } do go(way, { network }) end
end
print(count .. " scenarios")

-- Some are left for the end of the state.
local shared = testing.quota()
Kept = { scripted{ EMPTY }, mde.client{ token = "token" }, shared } -- luacheck: ignore 111
table.insert(Kept, scripted({ EMPTY }, { quota = shared })) -- luacheck: ignore 113

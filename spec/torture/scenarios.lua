--- What is done while something fails: the victim's side. Each scenario is
--
--     name = { make = function() -> the context, use = function(context), close = function(context) }
--
-- `close` may be missing. Each returns if all went as it must. It raises a string or an error of the module for what
-- failed, and "WRONG: ..." for what never may be.
local mde = require "mde"
local testing = require "mde.testing"
local answers = require "spec.torture.answers"

-- A trace is compiled whenever it has been run often: no two runs would be alike.
if jit then jit.off() end -- luacheck: ignore 113

local scenarios = {}

local function wrong(words, ...) error("WRONG: " .. words:format(...), 0) end

--- The value, or what the module says.
local function must(value, err)
  if value == nil then error(err, 0) end
  return value
end

--- Refused as it must be; or as whatever failed has it.
local function fails(kind, value, err)
  if value ~= nil then wrong("%s expected, got a value", kind) end
  if err.kind ~= kind then error(err, 0) end
end

local function raises(words, run, ...)
  local ok, err = pcall(run, ...)
  if ok then wrong("nothing was raised, '%s' expected", words) end
  if not tostring(err):find(words, 1, true) then error(err, 0) end
end

local function scripted(options)
  options.token = options.token or not options.client_id and not options.token_file and "a-token-that-is-long" or nil
  options.answers = options.answers or answers.service
  return testing.client(options)
end

local function close(client) client:close() end

--- Nothing is left on the wire, once the calls of a use that broke off are collected.
local function check_rest(client)
  if must(client:stats()).in_flight > 0 then collectgarbage() end
  local in_flight = must(client:stats()).in_flight
  if in_flight ~= 0 then wrong("%d are in flight", in_flight) end
end

local function one_client(make, use)
  return {
    make = make,
    use = function(client)
      check_rest(client)
      use(client)
      check_rest(client)
    end,
  }
end

-- --- calls ---

scenarios.shapes = one_client(function() return scripted{} end, function(client)
  for _, operation in ipairs{ "alert", "alert_machine", "alert_user" } do
    if must(client[operation](client, "da1")).id ~= "1" then wrong "another entity" end
  end
  for _, operation in ipairs{ "alert_ips", "alert_domains", "alert_files" } do
    if #must(client[operation](client, "da/\195\184 1")) ~= 2 then wrong "another collection" end
  end
end)

scenarios.failures = one_client(function() return scripted{ max_attempts = 2, max_body = 5000 } end, function(client)
  testing.advance(200)
  for id, kind in pairs(answers.failures) do
    local value, err = client:alert_ips(id, { budget = 70 })
    fails(kind, value, err)
    tostring(err)
    testing.advance(200)
  end
  fails("timeout", client:alert("da1", { budget = 0 }))
end)

scenarios.retries = one_client(function()
  return scripted{ token = function() return "a-token" end }
end, function(client)
  for _, id in ipairs{ "503-once", "429-once", "401-once", "broken-once" } do must(client:alert_ips(id)) end
end)

scenarios.pages = one_client(function() return scripted{} end, function(client)
  local all = must(client:alerts{ filter = "severity eq 'High'", expand = "evidence" })
  if #all ~= answers.PAGES * 2 then wrong("%d items", #all) end
  if #must(client:alerts{ max_items = 3 }) ~= 3 then wrong "max_items" end
  if #must(client:alerts{ top = 4, skip = 1 }) ~= 2 then wrong "top" end
end)

local IDS = { "da1", "da2", "da1", "404", "da3", "da4", "da5" }

local function each(client, options)
  local found = 0
  for id, value, err in client:each("alert_ips", IDS, options) do
    if id == "404" then fails("not_found", value, err) else must(value, err) end
    found = found + 1
  end
  if found ~= #IDS then wrong("%d of %d", found, #IDS) end
end

scenarios.each = one_client(function() return scripted{ concurrency = 2 } end, function(client)
  each(client, { concurrency = 3 })
  each(client, { ordered = true, stop_on = { auth = true }, timeout = 5 })
  local _, first, why = client:each("alert", IDS)() -- and no more of them
  must(first, why)
end)

scenarios.steps = one_client(function() return scripted{ concurrency = 2 } end, function(client)
  local calls = {}
  for i, id in ipairs(IDS) do calls[i] = must(client:start("alert_ips", id)) end
  calls[1]:cancel()
  repeat
    must(client:pollable())
  until must(client:step(1)) == 0
  fails("cancelled", calls[1]:result())
  for i = 2, #calls do
    if not calls[i]:done() then wrong "not done" end
    if IDS[i] == "404" then fails("not_found", calls[i]:result()) else must(calls[i]:result()) end
    tostring(calls[i])
  end
end)

scenarios.abandoned_calls = {
  make = function() return scripted{ concurrency = 2 } end,
  use = function(client)
    local call = must(client:start("alert_ips", "da1"))
    must(client:start("alert_ips", "slow"))
    must(client:start("alerts"))
    must(client:step())
    if call:done() then must(call:result()) end
    tostring(client)
  end,
}

scenarios.events = one_client(function()
  return scripted{
    token = function() return "a-token", 60 end,
    on_event = function(event) if not event.kind then wrong "an event without a kind" end end,
  }
end, function(client)
  testing.advance(61)
  must(client:alert_ips "503-once")
  must(client:alerts())
  raises("thrown", function()
    local thrower = scripted{ on_event = function() error "thrown" end }
    thrower:alert_ips "da1"
  end)
end)

-- --- tokens ---

scenarios.token_function = one_client(function()
  return scripted{ token = function() return ("t"):rep(500), 60 end }
end, function(client)
  must(client:alert_ips "da1")
  testing.advance(61)
  must(client:alert_ips "401-once")
  fails("auth", scripted{ token = function() return nil, "sealed" end }:alert_ips "da1")
  fails("auth", scripted{ token = function() error(setmetatable({}, { __tostring = function() return "w" end })) end }
    :alert_ips "da1")
end)

scenarios.token_file = one_client(function() return scripted{ token_file = answers.token_file } end, function(client)
  must(client:alert_ips "da1")
  testing.advance(100) -- then it is looked whether the file has changed
  must(client:alert_ips "da1")
end)

local function by_secret(more)
  local options = { tenant_id = "tenant", client_id = "app", client_secret = ("s"):rep(40) }
  for name, value in pairs(more or {}) do options[name] = value or nil end
  return scripted(options)
end

scenarios.secret = one_client(by_secret, function(client)
  must(client:alert_ips "da1")
  testing.advance(3500)
  must(client:alert_ips "401-once")
  fails("auth", by_secret{ token_answers = function() return { status = 401, body = answers.REFUSED } end }:alert "da1")
end)

scenarios.certificate = one_client(function()
  return by_secret{ client_secret = false, certificate = answers.certificate_file,
                    private_key = answers.key_file }
end, function(client)
  must(client:alert_ips "da1")
  testing.advance(3700)
  must(client:alert_ips "da1")
end)

-- --- quotas ---

--- A file that was lost in use counts as full for the longest window.
local function reserve(quota)
  local slot, seconds, reason = quota:reserve("alert", 10)
  return slot or error(reason or ("rate_limited: no slot for %g seconds"):format(seconds), 0)
end

local function use_quota(quota)
  testing.advance(4000)
  for _, how in ipairs{ "answered", "unsent", "abandoned" } do
    quota:settle("alert", reserve(quota), how)
    testing.advance(30)
  end
  quota:penalize("alert", 1, { 60, 1000 })
  testing.advance(2)
  must(quota:remaining "alert")
  must(quota:status())
  tostring(quota)
end

--- Of one call a second: a slot that is lost is missed. In the end all are free.
local function quota_scenario(options)
  return {
    make = function()
      local quota = testing.quota(options)
      return { quota = quota, client = scripted{ quota = quota, max_attempts = 2 } }
    end,
    use = function(context)
      testing.advance(4000)
      local client = context.client
      must(client:alert_ips "da1")
      must(client:alert_ips "broken-once")
      fails("http", client:alert_ips "500")
      use_quota(context.quota)
      check_rest(client)
      testing.advance(60)
      if must(context.quota:remaining "alert_ips")[1] ~= 1 then error("rate_limited: a slot is held", 0) end
    end,
    close = function(context)
      context.client:close()
      context.quota:close()
    end,
  }
end

local LIMIT = { [1] = 1, [60] = 400 }

scenarios.private_quota = quota_scenario{ rate_limit = LIMIT }
scenarios.smooth_quota = quota_scenario{ rate_limit = LIMIT, pace = "smooth", burst = 1 }
os.remove(answers.folder .. "/quota") -- made when this clock stood elsewhere
scenarios.quota_file = quota_scenario{ rate_limit = LIMIT, path = answers.folder .. "/quota" }

local RELATIVE = ("../"):rep(50) .. answers.folder .. "/relative"

scenarios.relative_quota_file = {
  make = function() return testing.quota{ path = RELATIVE } end,
  use = function(quota) must(quota:remaining "alert") end,
}

scenarios.new_quota_file = {
  make = function()
    os.remove(answers.folder .. "/new")
    return testing.quota{ path = answers.folder .. "/new" }
  end,
  use = use_quota,
}

scenarios.larger_quota_file = {
  make = function()
    os.remove(answers.folder .. "/larger")
    testing.quota{ path = answers.folder .. "/larger" }:close()
    return testing.quota{ path = answers.folder .. "/larger", rate_limit = { [60] = 1600 } }
  end,
  use = function(quota) must(quota:remaining "alert") end,
}

scenarios.quota_of_a_script = one_client(function()
  local held = 0
  return scripted{ quota = {
    reserve = function()
      held = held + 1
      return {}
    end,
    settle = function() held = held - 1 end,
    penalize = function() end,
    remaining = function() return {}, 0 end,
  } }
end, function(client)
  must(client:alert_ips "da1")
  must(client:alert_ips "429-once")
end)

-- --- options ---

local FULL = {
  tenant_id = "tenant", client_id = "app", client_secret = "secret", base_url = "https://mde.example/prefix",
  authority = "https://login.example", scope = "api://mde/.default", rate_limit = { [60] = 10 }, timeout = 1,
  connect_timeout = 1, budget = 1, max_attempts = 1, max_body = 100, concurrency = 2, http_version = "2",
  proxy = "http://user:password@proxy.example:8080", no_proxy = "a.example,b.example", ca_file = "/none",
  user_agent = "torture/1",
}

local function full()
  local options = {}
  for name, value in pairs(FULL) do options[name] = value end
  options.on_event = function() end
  return mde.client(options)
end

scenarios.options = { make = full, use = function(client) must(client:stats()) end }

scenarios.misuse = one_client(full, function(client)
  raises("did you mean 'timeout'", mde.client, { token = "t", timeou = 1 })
  raises("exactly one credential", mde.client, { token = "t", client_secret = "s" })
  raises("no credential", mde.client, {})
  raises("needs 'tenant_id', too", mde.client, { client_secret = "s" })
  raises("option 'cloud': one of", mde.client, { token = "t", cloud = "moon" })
  raises("would show the token", mde.client, { token = "t", base_url = "http://mde.example" })
  raises("option 'rate_limit'", mde.client, { token = "t", rate_limit = { [60] = 0 } })
  raises("bad argument", client.alert_ips, client, "..")
  raises("bad argument", client.alert_ips, client, "da1", { nonsense = true })
  raises("bad argument", client.start, client, "nonsense")
  raises("Make the folder first", mde.quota, { path = "/nowhere/quota" })
  raises("there is no operation", client.each, client, "nonsense", {})
end)

--- Once more, over what has been registered before.
scenarios.module = {
  make = function()
    package.loaded.mde, package.loaded["mde.testing"] = nil, nil
    require "mde"
    return require "mde.testing".client{ token = "a-token", answers = answers.service }
  end,
  use = function(client) must(client:alert_ips "da1") end,
}

-- --- over the wire; nothing is tried twice there, so that no pause is real ---

if answers.simulator then
  for name, scenario in pairs(require "spec.torture.wire"(one_client, must, fails)) do
    scenarios[name] = scenario
  end
end

-- --- what the torturer calls ---

local current, context

function choose(name) current = scenarios[name] or wrong("no scenario '%s'", name) end -- luacheck: ignore 111

function make() context = current.make() end -- luacheck: ignore 111

function use() current.use(context) end -- luacheck: ignore 111

function finish() (current.close or close)(context) end -- luacheck: ignore 111

function drop() -- luacheck: ignore 111
  context = nil
  for _ = 1, 4 do collectgarbage() end
end

function describe(err) -- luacheck: ignore 111 121
  if type(err) == "table" and err.kind and err.message then return err.kind .. ": " .. tostring(err) end
  return type(err) == "string" and err or "WRONG: an error that is a " .. type(err)
end

--- Told by an error, since only errors have words.
function names() -- luacheck: ignore 111
  local list = {}
  for name in pairs(scenarios) do list[#list + 1] = name end
  table.sort(list)
  error(table.concat(list, " "), 0)
end

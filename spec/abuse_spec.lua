-- Whatever a script does to the module, it is told: an error, or nil and an error; never a crash, never a hang.
-- What is called is taken from the module's own tables, so that what is new is covered: spec/support/abuse.lua.
local abuse = require "spec.support.abuse"
local child = require "spec.support.child"
local compile = require "spec.support.compile"
local connect = require "spec.support.connect"
local mde = require "mde"
local nginx = require "spec.support.nginx"
local odd = require "spec.support.odd"
local redis = require "mde.redis"
local rows = require "spec.support.rows"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local testing = require "mde.testing"

local EMPTY = '{"value":[]}'

local function keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

teardown(abuse.clean_up)

describe("the module, called with odd values in each place, #odd", function()
  local needed = {}

  for _, target in ipairs(abuse.targets()) do
    it("takes no harm by " .. target.label, function()
      local report = abuse.try(target)
      assert.same({}, report.complaints)
      assert.is_true(report.cases > odd.count)
      assert.is_truthy(next(report.good), "no argument list of spec/support/abuse.lua is right for it")
      for list in pairs(report.refused > 0 and report.good or {}) do needed[list] = true end
    end)
  end

  it("needs each of the argument lists", function()
    for i, list in ipairs(abuse.lists) do assert.is_true(i == 1 or needed[list], "list " .. i) end
  end)

  it("has no class of which no object is tried", function()
    local found, tried = abuse.class_names()
    assert.same(keys(found), keys(tried))
  end)
end)

-- --- options ------------------------------------------------------------------------------------------------

--- Where something else is wrong first.
local OTHERWISE = { "options are named", "unknown option", "no credential: give", "quota file '" }

local function names(message, option)
  for _, words in ipairs(OTHERWISE) do
    if message:find(words, 1, true) then return true end
  end
  return message:find(option, 1, true) ~= nil
end

--- What is wrong with an option that was given an odd value, or nil; what was made is closed again.
local function complaint_of_option(name, make, value)
  local ok, made, err = pcall(make, name, value)
  local complaint = abuse.fault(ok, made, err)
  if ok and made and type(made) ~= "function" and made.close then made:close() end
  if complaint or ok or made:sub(-#odd.ERROR) == odd.ERROR then return complaint end
  return not names(made, name) and "does not name the option: " .. made or nil
end

local function with(base, name, value)
  local all = {}
  for known, one in pairs(base) do all[known] = one end
  all[name] = value
  return all
end

local SECRET = { tenant_id = "tenant", client_id = "app", client_secret = "a-secret" }

local function of_testing(options)
  options.answers = options.answers or function() return EMPTY end
  return testing.client(options)
end

--- Where the options of each set can be given.
local givers = {
  client = {
    ["mde.client"] = function(name, value) return mde.client(with({ token = "token" }, name, value)) end,
    ["testing.client"] = function(name, value) return of_testing(with({ token = "token" }, name, value)) end,
  },
  credential = {
    alone = function(name, value) return mde.client{ [name] = value } end,
    ["with a secret"] = function(name, value) return mde.client(with(SECRET, name, value)) end,
    ["with a certificate"] = function(name, value)
      return mde.client(with({ tenant_id = "t", client_id = "c", certificate = "/nonexistent" }, name, value))
    end,
    ["within credential"] = function(name, value) return mde.client{ credential = with(SECRET, name, value) } end,
  },
  call = { alert_ips = function(name, value)
    return of_testing{ token = "t" }:alert_ips("da1", { [name] = value })
  end },
  query = { alerts = function(name, value) return of_testing{ token = "t" }:alerts{ [name] = value } end },
  quota = {
    ["mde.quota"] = function(name, value) return mde.quota{ [name] = value } end,
    ["testing.quota"] = function(name, value) return testing.quota{ [name] = value } end,
  },
  redis = { ["redis.quota"] = function(name, value) return redis.quota(with({ eval = print }, name, value)) end },
  each = { each = function(name, value)
    return of_testing{ token = "t" }:each("alert_ips", { "da1" }, { [name] = value })
  end },
  testing = { ["testing.client"] = function(name, value)
    return testing.client(with({ token = "t", answers = { EMPTY } }, name, value))
  end },
  answer = { ["an answer"] = function(name, value)
    return testing.client{ token = "t", max_attempts = 1, answers = { { [name] = value } } }:alert_ips "da1"
  end },
}

describe("an option with an odd value #odd", function()
  for set, ways in pairs(givers) do
    for way, make in pairs(ways) do
      it(("is refused by its name, or taken: of %s, %s"):format(set, way), function()
        local complaints = {}
        for name in pairs(rows[set]) do
          for i = 1, odd.count do
            local complaint = complaint_of_option(name, make, odd.values[i])
            if complaint then complaints[#complaints + 1] = ("%s = %s: %s"):format(name, odd.names[i], complaint) end
          end
        end
        assert.same({}, complaints)
      end)
    end
  end

  it("under an odd name is refused", function()
    for set, ways in pairs(givers) do
      for way, make in pairs(ways) do
        for i = 1, odd.count do
          local name = odd.values[i]
          if name ~= nil and name == name then
            local ok, message, err = pcall(make, name, 1)
            assert.is_nil(abuse.fault(ok, message, err), ("%s, %s: %s"):format(set, way, odd.names[i]))
            assert.is_false(ok)
          end
        end
      end
    end
  end)

  it("is tried for each set of options", function()
    local sets = {}
    for name, value in pairs(rows) do sets[name] = type(value) == "table" or nil end
    assert.same(keys(sets), keys(givers))
  end)
end)

-- --- where it is called from --------------------------------------------------------------------------------

describe("the methods of a client at work, called from inside #odd", function()
  --- Each calls `act` in the middle of what it does.
  local places = {
    ["on_event"] = function(act) return { on_event = act } end,
    ["its token function"] = function(act) return { token = function() return "token", act() and nil end } end,
    ["its answers"] = function(act) return { answers = function() return EMPTY, act() and nil end } end,
  }
  for _, name in ipairs{ "reserve", "settle", "penalize" } do
    places["its quota's " .. name] = function(act)
      local quota = { reserve = function() return {} end, settle = print, penalize = print, remaining = print }
      quota.settle, quota.penalize, quota.remaining = act, act, act
      if name == "reserve" then quota.reserve = function() return {}, act() and nil end end
      return { quota = quota, answers = function() return { status = 429, headers = { ["Retry-After"] = 1 } } end }
    end
  end

  --- Calls everything on the client and its calls; returns what was wrong, and how often it was called.
  local function abused_from(place, around)
    local client, call, complaints, times = nil, nil, {}, 0
    local function act()
      times = times + 1
      if times > 3 then return end
      around(function()
        for class, object in pairs{ ["mde.client"] = client, ["mde.call"] = call } do
          for _, complaint in ipairs((abuse.call_all(class, object))) do complaints[#complaints + 1] = complaint end
        end
      end)
    end
    client = of_testing(with(place(act), "max_attempts", 2))
    call = client:start("alert_ips", "da1")
    complaints[#complaints + 1] = abuse.fault(pcall(client.alert_ips, client, "da2"))
    complaints[#complaints + 1] = abuse.fault(pcall(client.step, client, 60))
    client:close()
    return complaints, times
  end

  --- Left in the middle of it, for the collector.
  local function in_a_coroutine(run)
    coroutine.wrap(function()
      run()
      coroutine.yield()
    end)()
    collectgarbage()
  end

  for what, make in pairs(places) do
    local function place(act) return with(make(act), "token", make(act).token or "token") end

    it(what .. " raise or end as ever", function()
      local complaints, times = abused_from(place, pcall)
      assert.same({}, complaints)
      assert.is_true(times > 0)
    end)

    it(what .. " in a coroutine of its own raise or end as ever", function()
      assert.same({}, (abused_from(place, in_a_coroutine)))
    end)
  end
end)

describe("each object of the module #odd", function()
  setup(simulator.start)

  -- Not with the sanitizer: what is made while the state ends Lua does not finalize any more.
  it("may be used in finalizers, also when the state ends #as-built", function()
    local told = os.tmpname()
    child.run([[
      if jit then jit.off() end -- its compiled code has been seen not to come to an end in a finalizer
      local abuse = require "spec.support.abuse"
      local given = ...
      local function finalize(run)
        if not newproxy then return setmetatable({}, { __gc = run }) end
        local sentinel = newproxy(true)
        getmetatable(sentinel).__gc = run
        return sentinel
      end
      local function use(objects)
        -- Lua 5.1 collects in a long finalizer, and then finalizes the libraries that it is using, such as lua-cjson.
        collectgarbage "stop"
        for _, one in ipairs(objects) do
          local complaints, cases = abuse.call_all(one.class, one.object)
          local file = io.open(given.told, "a")
          file:write(cases, " ", table.concat(complaints, " "), "\n")
          file:close()
        end
      end
      -- Some are made before the finalizer that uses them, and some after it: they are finalized after it, or before.
      local later = {}
      local earlier = abuse.objects()
      kept = { finalize(function() use(earlier) use(later) end) }
      for i, one in ipairs(abuse.objects()) do later[i] = one end
      finalize(function() use(abuse.objects()) end)
      collectgarbage()
      collectgarbage()
    ]], { told = told })
    local lines = shell.lines(shell.read(told))
    os.remove(told)
    assert.is_true(#lines > 60, #lines .. " objects")
    for _, line in ipairs(lines) do assert.matches("^%d%d+ $", line) end
  end)

  it("may be used in a forked child, and in the parent after it", function()
    local directory = compile "fork"
    local fork = assert(package.loadlib(directory .. "/fork.so", "luaopen_fork"))()
    local space = simulator.namespace()
    local objects, client = abuse.objects(), connect(space)
    assert(client:alert_ips "da637472900382838869_1364969609")
    local call = client:start("alert_ips", "da637472900382838869_1364969609")
    client:step()
    objects[#objects + 1] = { class = "mde.call", object = call }
    local pid = fork.fork()
    if pid == 0 then
      local count = 0
      local ok = pcall(function()
        client:alert_ips("da1", { max_attempts = 1 })
        for _, one in ipairs(objects) do count = count + #(abuse.call_all(one.class, one.object)) end
      end)
      fork.exit(ok and math.min(count, 100) or 101)
    end
    assert.equal(0, fork.wait(pid))
    while client:step(5) > 0 do assert.is_false(call:done()) end
    assert(call:result())
    assert(client:alert_ips "da637472900382838869_1364969609")
    client:close()
    shell.must("rm -rf " .. directory)
  end)

  -- A collection at every allocation, or nearly.
  for _, mode in ipairs{ "incremental", _VERSION == "Lua 5.4" and "generational" or nil } do
    it(("takes no harm when the collector (%s) is eager"):format(mode), function()
      local result = child.run([[
        local abuse = require "spec.support.abuse"
        local given = ...
        if given.mode == "generational" then collectgarbage("generational", 1, 1) end
        collectgarbage("setpause", 0)
        collectgarbage("setstepmul", _VERSION == "Lua 5.1" and 400 or 5000) -- with more, it takes a minute
        abuse.lists_max = 1
        local all = { complaints = {}, cases = 0 }
        for _, target in ipairs(abuse.targets()) do
          local report = abuse.try(target)
          for _, complaint in ipairs(report.complaints) do table.insert(all.complaints, complaint) end
          all.cases = all.cases + report.cases
        end
        abuse.clean_up()
        all.complaints = table.concat(all.complaints, "\n")
        return all
      ]], { mode = mode })
      assert.equal("", result.complaints)
      assert.is_true(result.cases > 10000, result.cases .. " cases")
    end)
  end
end)

-- nginx's interpreter is LuaJIT.
if rawget(_G, "jit") then
  it("mde.openresty, called with odd values in each place, takes no harm", function()
    local server = nginx.start{ workers = 1, http = [[
      init_by_lua_block { abuse, mde = require "spec.support.abuse", require "mde.openresty" }
    ]], server = [[
      location = /abuse { content_by_lua_block {
        local function open()
          return mde.client{ token = "token", base_url = "http://127.0.0.1:1", proxy = "", max_attempts = 1,
                             rate_limit = false }
        end
        local function closed()
          local client = open()
          client:close()
          return client
        end
        abuse.add("mde.openresty", mde, { open = open, closed = closed })
        for _, target in ipairs(abuse.targets()) do
          if target.label:find "^mde%.openresty" then
            local report = abuse.try(target)
            ngx.say(target.label, " ", report.cases, next(report.good) and "" or " never", " ",
              table.concat(report.complaints, "; "))
          end
        end
      } } ]] }
    local status, body = server:get "/abuse"
    local log = server:log()
    server:stop()
    assert.equal(200, status, log)
    local lines = shell.lines(body)
    assert.is_true(#lines >= 15, body)
    for _, line in ipairs(lines) do assert.matches("^mde%.openresty%p[%w_.]+ %d+ $", line) end
    assert.not_matches("exited on signal", log)
  end)
end

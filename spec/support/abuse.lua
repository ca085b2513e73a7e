--- Calls whatever a script can reach of the module with what it does not expect.
--
--     for _, target in ipairs(abuse.targets()) do
--       assert.same({}, abuse.try(target).complaints)
--     end
--
-- Also in its report: cases; good and refused: the argument lists that were taken, and how many were not.
--
-- Nothing is named here but what is needed to make one object of each class, and a few argument lists: functions and
-- classes come from the module's tables and the registry. A target is { label =, name =, fn =, states = makers of what
-- it is called on, or nil, meta = true for a metamethod }.
local mde = require "mde"
local odd = require "spec.support.odd"
local redis = require "mde.redis"
local testing = require "mde.testing"

local abuse = {}

local EMPTY = '{"value":[]}'
local unpack = table.unpack or unpack -- luacheck: ignore 113
local load_text = rawget(_G, "loadstring") or load

local function pack(...) return { n = select("#", ...), ... } end

-- --- objects --------------------------------------------------------------------------------------------

local function options() return { token = "token", answers = function() return EMPTY end } end

local function started(client)
  return client:start("alert_ips", "da1"), client
end

--- Nobody listens there.
local function unanswered(token)
  return { token = token, base_url = "http://127.0.0.1:1", proxy = "", max_attempts = 1, rate_limit = false }
end

local function a_client() return testing.client(options()) end

local function closed(object)
  object:close()
  return object
end

local function at_work()
  local client = a_client()
  local call = started(client)
  started(client)
  client:step()
  return client, call
end

local function done()
  local call, client = started(a_client())
  client:step(60)
  return call
end

local function cancelled()
  local call = started(a_client())
  call:cancel()
  return call
end

local function of_closed_client()
  local call, client = started(a_client())
  client:close()
  return call
end

local function shared()
  local path = os.tmpname()
  os.remove(path)
  local quota = mde.quota{ path = path, key = "abuse" }
  os.remove(path) -- its file stays; in use it is found lost
  return quota
end

local function kept_file()
  abuse.path = abuse.path or os.tmpname() .. ".quota"
  return mde.quota{ path = abuse.path }
end

local function in_redis(answer) return redis.quota{ eval = answer, on_outage = 1 } end

local function an_error() return select(2, closed(a_client()):alert_ips "da1") end

--- Of each class, the states that its objects may be in.
local states = {
  ["mde.client"] = {
    open = a_client, ["at work"] = at_work, closed = function() return closed(a_client()) end,
    real = function() return mde.client(unanswered "token") end,
    hosted = function() return mde._hosted.client(unanswered "token") end,
  },
  ["mde.call"] = {
    done = done, ["under way"] = function() return (started(a_client())) end, cancelled = cancelled,
    ["of a closed client"] = of_closed_client, ["on the wire"] = function() return select(2, at_work()) end,
  },
  ["mde.quota"] = {
    private = mde.quota, ["on the test's clock"] = testing.quota,
    ["of a lost file"] = shared, ["of a file"] = kept_file,
    closed = function() return closed(mde.quota()) end, ["closed, of a file"] = function() return closed(shared()) end,
  },
  ["mde.clock"] = { new = mde._testing.clock },
  ["mde.error"] = { closed = an_error },
  ["mde.redis"] = {
    answered = function() return in_redis(function() return { "0", "0", 0 } end) end,
    away = function() return in_redis(function() error "away" end) end,
    closed = function() return closed(in_redis(function() return { "0", "0", 0 } end)) end,
  },
  ["what closes each"] = { new = function() return select(4, a_client():each("alert_ips", { "da1" })) end },
}

--- Metatables of the module's own: those in the registry by their names, and those of what is made in Lua.
local function classes()
  local found = {}
  for name, value in pairs(debug.getregistry()) do
    if type(name) == "string" and name:find "^mde%." and type(value) == "table" then found[name] = value end
  end
  for name, makers in pairs(states) do
    found[name] = found[name] or debug.getmetatable(select(2, next(makers))())
  end
  return found
end

-- --- targets --------------------------------------------------------------------------------------------

--- What is for the module's own use, below a name with "_", blames whom it serves.
local function functions_of(label, holder, list)
  for name, value in pairs(holder) do
    local full = label .. "." .. name
    local inner = full:find("._", 1, true) ~= nil
    if type(value) == "function" then list[#list + 1] = { label = full, name = name, fn = value, inner = inner }
    elseif type(value) == "table" and type(name) == "string" then functions_of(full, value, list) end
  end
end

local function methods_of(class, metatable, list)
  local function add(name, fn, meta)
    local label = class .. (meta and "." or ":") .. name
    list[#list + 1] = { label = label, name = name, fn = fn, states = states[class], class = class, meta = meta }
  end
  local index = metatable.__index
  for name, fn in pairs(type(index) == "table" and index or {}) do
    if type(fn) == "function" and not name:find "^__" then add(name, fn, false) end
  end
  for name, fn in pairs(metatable) do
    if type(fn) == "function" and name:find "^__" then add(name, fn, true) end
  end
end

local modules = { mde = mde, ["mde.testing"] = testing, ["mde.redis"] = redis }

--- Tries another module, too, which makes objects of one class of its own.
function abuse.add(name, module, makers)
  modules[name], states[name] = module, makers
end

function abuse.targets()
  local list = {}
  for name, module in pairs(modules) do functions_of(name, module, list) end
  for class, metatable in pairs(classes()) do methods_of(class, metatable, list) end
  table.sort(list, function(a, b) return a.label < b.label end)
  return list
end

function abuse.class_names()
  local with_states = {}
  for class in pairs(states) do with_states[class] = true end
  return classes(), with_states
end

-- --- argument lists -------------------------------------------------------------------------------------

local slots = setmetatable({}, { __mode = "k" })

--- The same one each time: it may be settled twice, but reserved only so often.
local function slot_of(object)
  local ok, slot = pcall(function() return slots[object] or object:reserve "alert_ips" end)
  if ok and slot then slots[object] = slot end
  return ok and slot or 1
end

--- Each is right for some function; given what that is called on.
abuse.lists = {
  function() end,
  function() return 1 end,
  function() return "alert_ips" end,
  function() return "da1", { timeout = 5 } end,
  function() return "alert_ips", { timeout = 5 } end,
  function() return "alert_ips", "da1", { timeout = 5 } end,
  function() return "alert_ips", { "da1", "da2" }, { concurrency = 2 } end,
  function(object) return "alert_ips", slot_of(object), "answered" end,
  function() return "alert_ips", 5, { 60, 50 } end,
  function() return { token = "token" } end,
  function() return options() end,
  function() return { eval = print } end,
  function() return { token = "token" }, function() return "tls", 0 end, mde._testing.clock(), 0.5 end,
  function() return {}, mde._testing.clock() end,
  function() return a_client() end,
  function() return a_client(), "alert_ips", "da1", { budget = 5 }, {}, false end,
  function() return done() end,
}

-- --- trying ---------------------------------------------------------------------------------------------

--- A function that calls as a script would write it, so that an error knows the name and the position.
local callers = {}

local function caller(name, as_method)
  local text = ("return function(o, ...) local a, b, c, d = o%s%s(...) return a, b, c, d end")
    :format(as_method and ":" or ".", name)
  callers[text] = callers[text] or load_text(text)()
  return callers[text]
end

local function is_error(value)
  return type(value) == "table" and type(value.message) == "string" and tostring(value) == value.message
    and mde._hosted.each.is_kind(value.kind)
end

--- What is wrong with how a call ended, or nil. `position` is that of the odd value among right ones.
local function fault(ok, first, second, position)
  if ok then
    local refused = first == nil and type(second) == "table"
    return refused and not is_error(second) and "nil and a table that is no error" or nil
  end
  if is_error(first) then return nil end
  if not odd.is_ours(first) then return "raises " .. tostring(first) end
  local named = tonumber(first:match "bad argument #(%d+) to" or position or 0)
  if position and named ~= position then return ("blames another argument: %s"):format(first:sub(1, 200)) end
end

local function note(report, label, complaint)
  report.cases = report.cases + 1
  if complaint then report.complaints[#report.complaints + 1] = label .. " " .. complaint:sub(1, 300) end
end

--- What a call has returned may be called, too: an iterator.
local function try_result(report, label, result)
  for i = 1, type(result) == "function" and 3 or 0 do
    local ok, first, second = pcall(result, odd.values[i], odd.values[i])
    note(report, label .. " and then what it returned", fault(ok, first, second))
  end
end

local function is_over(object) return object ~= nil and tostring(object):find "closed" end

--- Odd values at each position of an argument list that the function takes, and one behind it.
local function try_list(report, target, make, list)
  local object = make and make()
  local was_over = is_over(object)
  local call = caller(target.name, make and not target.meta)
  local holder = make and not target.meta and object or { [target.name] = target.fn }
  local shift = make and target.meta and 1 or 0
  local function arguments()
    if make and is_over(object) and not was_over then
      object = make()
      if not target.meta then holder = object end
    end
    local given = pack(list(object))
    if shift == 1 then given = pack(object, unpack(given, 1, given.n)) end
    return given
  end
  local right = arguments()
  local ok, first, second = pcall(call, holder, unpack(right, 1, right.n))
  note(report, target.label, fault(ok, first, second))
  if not ok then
    report.refused = report.refused + 1
    return
  end
  report.good[list] = true
  for position = 1 + shift, right.n + 1 do
    for i = 1, odd.count do
      local given = arguments()
      given[position] = odd.values[i]
      ok, first, second = pcall(call, holder, unpack(given, 1, math.max(given.n, position)))
      local label = ("%s with %s as argument %d"):format(target.label, odd.names[i], position)
      note(report, label, fault(ok, first, second, not target.inner and position - shift))
      if ok then try_result(report, label, first) end
    end
  end
end

--- Whatever is put in the place of the object is refused, but by what the collector calls.
local function try_self(report, target, value, label)
  local ok, first, second = pcall(caller(target.name), { [target.name] = target.fn }, value, "alert_ips", "da1")
  note(report, ("%s on %s"):format(target.label, label), fault(ok, first, second)
    or ok and not target.meta and "takes it" or nil)
end

local function try_selves(report, target)
  for i = 1, odd.count do try_self(report, target, odd.values[i], odd.names[i]) end
  for class, makers in pairs(states) do
    for state, make in pairs(class ~= target.class and makers or {}) do
      try_self(report, target, make(), ("a %s that is %s"):format(class, state))
    end
  end
  local metatable = target.class and debug.getmetatable(select(2, next(target.states))())
  -- What a script could make half: with a metatable that it has got hold of.
  if metatable.__metatable == nil then try_self(report, target, setmetatable({}, metatable), "a half made one") end
end

local function count(set)
  local number = 0
  for _ in pairs(set) do number = number + 1 end
  return number
end

abuse.lists_max = 2 -- for each function: some take any arguments, and ignore them

function abuse.try(target)
  local report = { complaints = {}, cases = 0, good = {}, refused = 0 }
  for _, list in ipairs(abuse.lists) do
    if count(report.good) == abuse.lists_max then break end
    for _, make in pairs(target.states or { function() end }) do
      try_list(report, target, target.states and make, list)
    end
  end
  if target.class then try_selves(report, target) end
  return report
end

--- Calls each method and metamethod of a class on an object, with each argument list.
-- @return array of complaints, number of calls
function abuse.call_all(class, object)
  local report = { complaints = {}, cases = 0 }
  for _, target in ipairs(abuse.targets()) do
    for _, list in ipairs(target.class == class and abuse.lists or {}) do
      local ok, first, second = pcall(target.fn, object, list(object))
      note(report, target.label, fault(ok, first, second))
    end
  end
  return report.complaints, report.cases
end

--- One object of each class in each state: an array of { class =, object = }.
function abuse.objects()
  local list = {}
  for class, makers in pairs(states) do
    for _, make in pairs(makers) do list[#list + 1] = { class = class, object = make() } end
  end
  return list
end

--- What is wrong with the error that a call has raised or returned, or nil.
function abuse.fault(ok, first, second) return fault(ok, first, second) end

function abuse.clean_up()
  if abuse.path then os.remove(abuse.path) end
end

return abuse

--- `mde` for OpenResty and for nginx with the Lua module: the same interface, but what waits yields.
--
--     local mde = require "mde.openresty"
--     local client = mde.client{ credential = "environment" }     -- one for each worker, in a module of yours
--     local ips, err = client:alert_ips(id)                       -- in rewrite, access, content and timer phases
--
-- All requests of a worker share the client's connections, quota and token. Its calls are moved by a pump: a timer
-- that belongs to no request, and runs only while there are calls. It looks at them every two milliseconds, since
-- nginx does not tell Lua of descriptors that are not its own. Whoever waits for a call sleeps on a semaphore.
local core = require "mde"
local each = require "mde.each"
local semaphore = require "ngx.semaphore"

local ngx = ngx
local hosted = core._hosted

local POLL_SECONDS = 0.001  -- between two looks at the wire
local IDLE_SECONDS = 0.05   -- while nothing is on the wire
local LOOKS_OF_A_PUMP = 500 -- then another timer goes on: what nginx keeps for a timer is freed at its end
local LOOKS_OF_A_SEARCH = 25
local EVENTS_MAX = 1000     -- that wait for on_event; more are dropped, and the log says so
local LOST_SECONDS = 2      -- a timer that has not begun by then has been dropped

local openresty = { _VERSION = core._VERSION, null = core.null, quota = core.quota, windows = core.windows }

local Client = {}
Client.__index = Client

--- Those that were made here and whole, whatever else has the methods put to it.
local clients = setmetatable({}, { __mode = "k" })

local function check_self(self, name)
  if self == nil or not clients[self] then
    error(("calling '%s' on bad self (a client of mde.openresty expected)"):format(name), 3)
  end
end

-- --- phases -------------------------------------------------------------------------------------------

local yields_in = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true, preread = true, ssl_cert = true,
  ssl_session_fetch = true, ssl_client_hello = true,
}

local function check_phase(name)
  local phase = ngx.get_phase()
  if yields_in[phase] then return end
  local message = "client:%s cannot wait in the phase '%s'; call it from rewrite, access, content or a timer"
  error(message:format(name, phase), 3)
end

-- --- errors of the module that were raised for arguments of ours --------------------------------------

--- Calls, and blames `name` for its arguments, which are `shift` further to the left.
local function blaming(name, shift, run, ...)
  local ok, first, second = pcall(run, ...)
  if ok then return first, second end
  local number, words = tostring(first):match "bad argument #(%d+) to '[^']*' (%(.*%))$"
  if not number then error(first, 3) end
  error(("bad argument #%d to '%s' %s"):format(number - shift, name, words), 3)
end

-- --- timers of our own -------------------------------------------------------------------------------

local function log(what, message) ngx.log(ngx.ERR, "mde: ", what, ": ", tostring(message)) end

--- Runs a function in a timer, once at a time. What nginx has dropped, because too many timers were running, is asked
--- for again. False: it is not to be had just now.
local function in_timer(task, run, self)
  if task.running or task.asked and ngx.now() - task.asked < LOST_SECONDS then return true end
  local ok, message = ngx.timer.at(0, function()
    if task.running then return end
    task.running = true
    local fine, err = pcall(run, self)
    task.running, task.asked = false, nil
    if not fine then log("a timer failed", err) end
  end)
  task.asked = ok and ngx.now() or nil
  if not ok then log("no timer", message) end
  return ok
end

--- It may yield, and holds up only the calls that need the token.
local function fetch_token(self)
  hosted.give_token(self.core, pcall(self.token))
  self.token_due = false
  if self.bell:count() < 0 then self.bell:post() end
end

local function keep_event(events, event)
  if events.last - events.first + 1 >= EVENTS_MAX then
    if not events.dropped then log("on_event is too slow", "events are dropped") end
    events.dropped = true
    return
  end
  events.last = events.last + 1
  events[events.last] = event
end

local function tell_events(self)
  local events = self.events
  while events.first <= events.last do
    local event = events[events.first]
    events[events.first] = nil
    events.first = events.first + 1
    local ok, message = pcall(self.on_event, event)
    if not ok then log("on_event failed", message) end
  end
  events.first, events.last, events.dropped = 1, 0, nil
end

--- What the script's own functions are to be called for.
local function tend(self)
  if self.token and hosted.wants_token(self.core) then self.token_due = true end
  if self.token_due then in_timer(self.tasks.token, fetch_token, self) end
  if self.events.first <= self.events.last then in_timer(self.tasks.events, tell_events, self) end
end

-- --- the pump -----------------------------------------------------------------------------------------

--- Wakes whoever waits for calls that have ended.
local function wake(self)
  local queue = self.queue
  for i = 1, #queue do
    local call = queue[i]
    local waiter = self.waiting[call]
    queue[i], self.waiting[call] = nil, nil
    if waiter then waiter:post() end
  end
  for ended, waiter in pairs(self.loops) do
    if #ended > 0 and waiter:count() < 0 then waiter:post() end
  end
end

--- Moves all calls as far as they go; returns how many are not finished, or nil and an error.
local function turn(self)
  local steps, err = self.core:step()
  local left = steps or 0
  wake(self)
  if left < self.left then
    for waiter in pairs(self.steppers) do
      if waiter:count() < 0 then waiter:post() end
    end
  end
  self.left = left
  tend(self)
  return steps, err
end

--- A request that was aborted, or a light thread that was killed, waits no longer: nginx has taken it from its
--- semaphore.
local function cancel_abandoned(self)
  for call, waiter in pairs(self.waiting) do
    if waiter:count() >= 0 then
      self.waiting[call] = nil
      call:cancel()
    end
  end
end

local function pause_of(self)
  local due, flying = hosted.due(self.core)
  local most = flying and POLL_SECONDS or IDLE_SECONDS
  return math.max(math.min(due or most, most), 0.001)
end

--- One look, which must not end the pump.
local function look(self)
  local ok, message = pcall(turn, self)
  if not ok then log("a step failed", message) end
end

local start_pump

local function pump(self)
  for count = 1, LOOKS_OF_A_PUMP do
    if count == 1 or #self.queue > 0 or hosted.moves(self.core) then look(self) end
    if self.left == 0 then return end
    if count % LOOKS_OF_A_SEARCH == 0 then cancel_abandoned(self) end
    self.bell:wait(pause_of(self))
  end
  self.tasks.pump = {} -- this one is at its end, and the next one need not wait for that
  start_pump(self)
end

--- Lets the pump look at once, and starts one if there is none. False: nginx has no timer for it.
function start_pump(self)
  if self.bell:count() < 0 then self.bell:post() end
  return in_timer(self.tasks.pump, pump, self)
end

--- Now and then whoever waits sees to it that there is a pump; without a timer he looks for himself.
local function wait(self, waiter, seconds, is_over)
  local until_when = ngx.now() + seconds
  turn(self)
  while not is_over() and ngx.now() < until_when do
    local pumped = start_pump(self)
    waiter:wait(math.min(until_when - ngx.now(), pumped and LOST_SECONDS or POLL_SECONDS))
    if not pumped then turn(self) end
  end
end

-- --- calls --------------------------------------------------------------------------------------------

local function await(self, call)
  local waiter = semaphore.new()
  self.waiting[call] = waiter
  wait(self, waiter, math.huge, function() return call:done() end)
  self.waiting[call] = nil
  return call:result()
end

for _, name in ipairs(hosted.operations) do
  Client[name] = function(self, ...)
    check_self(self, name)
    check_phase(name)
    local call, err = blaming(name, 2, self.start_call, self.core, name, ...)
    if not call then return nil, err end
    return await(self, call)
  end
end

--- Starts a call; the pump moves it whether anybody waits or not.
function Client:start(operation, ...)
  check_self(self, "start")
  local call, err = blaming("start", 1, self.start_call, self.core, operation, ...)
  if call then
    turn(self)
    start_pump(self)
  end
  return call, err
end

--- Waits, at most so many seconds, until a call is finished; returns how many are not.
function Client:step(seconds)
  check_self(self, "step")
  check_phase "step"
  seconds = tonumber(seconds == nil and 0 or seconds)
  if not (seconds and seconds >= 0) then error("bad argument #1 to 'step' (seconds, 0 or more, expected)", 2) end
  local waiter = semaphore.new()
  local before, err = turn(self)
  if not before or before == 0 or seconds == 0 then return before, err end
  self.steppers[waiter] = true
  wait(self, waiter, seconds, function() return self.left < before end)
  self.steppers[waiter] = nil
  return turn(self)
end

--- As the module's; ids may come from a function that yields.
function Client:each(operation, ids, options)
  check_self(self, "each")
  check_phase "each"
  local waiter, own_queue = semaphore.new(), nil
  local proxy = { step = function(_, seconds)
    wait(self, waiter, seconds, function() return self.left == 0 or #own_queue > 0 end)
    return self.left
  end }
  local steps = setmetatable({
    start = function(_, wanted, id, call_options, queue, call)
      own_queue = queue
      self.loops[queue] = waiter
      return hosted.each.start(self.core, wanted, id, call_options, queue, call)
    end,
    kick = function()
      turn(self)
      start_pump(self)
    end,
    concurrency = function(_, wanted) return hosted.each.concurrency(self.core, wanted) end,
  }, { __index = hosted.each })
  return each(proxy, operation, ids, options, steps)
end

function Client:pollable()
  check_self(self, "pollable")
  return self.core:pollable()
end

function Client:stats()
  check_self(self, "stats")
  return self.core:stats()
end

--- Calls that are under way end with kind `closed`, and those who wait for them are told so.
function Client:close()
  check_self(self, "close")
  self.core:close()
  self.left = 0
  for _, list in ipairs{ self.waiting, self.loops } do
    for _, waiter in pairs(list) do waiter:post() end
  end
  for waiter in pairs(self.steppers) do waiter:post() end
end

function Client:__tostring()
  check_self(self, "tostring")
  return tostring(self.core)
end

-- --- clients ------------------------------------------------------------------------------------------

--- Makes a client as `mde.client` does, with the same options. `token` and `on_event` may yield: they are called
--- from a timer, and hold up no call but those that need the token.
-- @raise what `mde.client` raises
function openresty.client(options)
  if type(options) ~= "table" then
    error("bad argument #1 to 'client' (a table of options expected: mde.client{ token = ... })", 2)
  end
  local self = setmetatable({
    waiting = {}, queue = {}, steppers = {}, loops = setmetatable({}, { __mode = "k" }), left = 0,
    tasks = { pump = {}, token = {}, events = {} }, events = { first = 1, last = 0 }, on_event = options.on_event,
    bell = semaphore.new(), -- wakes the pump
  }, Client)
  local own = {}
  for name, value in pairs(options) do own[name] = value end
  if type(options.on_event) == "function" then own.on_event = function(event) keep_event(self.events, event) end end
  local given = options.token or type(options.credential) == "table" and options.credential.token
  self.token = type(given) == "function" and given
  self.core = blaming("client", 0, hosted.client, own)
  self.start_call = hosted.starter(self.queue)
  clients[self] = true
  return self
end

return openresty

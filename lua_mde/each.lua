--- `client:each(operation, ids, options)`: one operation for many ids, several at once.
--
--     for id, ips, err in client:each("alert_ips", ids, { concurrency = 16 }) do ... end
--
-- Called by the module with its own steps: `start` makes a call that is appended to a queue when it is done, `kick`
-- puts on the wire what was started. Between two results nothing is asked for beyond the concurrency, so ids may be
-- streamed: what is held does not grow with their number.

-- In order, what is done waits for the one before it. So many results may, for each call in flight.
local WAITING = 4

--- Options of `each` alone; the others are the call's.
local own_options = {
  concurrency = { "a whole number from 1 to 1000", function(value)
    return type(value) == "number" and value >= 1 and value <= 1000 and value % 1 == 0
  end },
  ordered = { "true or false", function(value) return type(value) == "boolean" end },
  stop_on = { "{ kind = true }", function(value) return type(value) == "table" end },
}

local function misuse(position, message) error(("bad argument #%d to 'each' (%s)"):format(position, message), 0) end

--- Calls a step that checks an argument, and blames `each` for what it finds wrong.
local function check(position, step, ...)
  local ok, result = pcall(step, ...)
  if not ok then misuse(position, result:match "%((.*)%)$" or result) end
  return result
end

--- Splits the options into each's own and the call's.
local function split(options)
  local own, call = {}, {}
  if options ~= nil and type(options) ~= "table" then misuse(3, "table expected, got " .. type(options)) end
  for name, value in pairs(options or {}) do
    local known = own_options[name]
    if known and not known[2](value) then misuse(3, ("option '%s': %s expected"):format(name, known[1])) end
    if known then own[name] = value else call[name] = value end
  end
  return own, next(call) and call or nil
end

--- A function that returns one id after the other.
local function source(ids)
  if type(ids) == "function" then return ids end
  if type(ids) ~= "table" then misuse(2, "array or function expected, got " .. type(ids)) end
  local at = 0
  return function()
    at = at + 1
    return ids[at]
  end
end

local Each = {}
Each.__index = Each

--- The call for an id; one that is under way already serves for the same id again.
local function entry_of(self, id)
  local entry = self.under_way[id]
  if entry then return entry end
  entry = { id = id, times = 0 }
  local call, err = self.steps.start(self.client, self.operation, id, self.options, self.queue)
  if call then
    entry.call = call
    self.under_way[id], self.by_call[call] = entry, entry
    self.flying = self.flying + 1
    self.started = true
  else
    entry.done, entry.err = true, err -- the client is closed
    self.ended = true
    self:add_result(entry)
  end
  return entry
end

local function add_id(self, id)
  local entry = entry_of(self, id)
  entry.times = entry.times + 1
  self.open = self.open + 1
  if self.order then
    self.last = self.last + 1
    self.order[self.last] = entry
  end
end

--- Starts as many as may be in flight.
local function fill(self)
  while not self.ended and self.flying < self.concurrency and self.open < self.most_open do
    local id = self.next_id()
    if id == nil then self.ended = true else add_id(self, id) end
  end
  if self.started then
    self.started = false
    self.steps.kick(self.client)
  end
end

--- What is done goes to where it is handed out from; in order, it only becomes ready there.
function Each:add_result(entry)
  if self.order then return end
  self.last = self.last + 1
  self.results[self.last] = entry
end

local function take_call(self, call)
  local entry = self.by_call[call]
  self.by_call[call], self.under_way[entry.id] = nil, nil
  self.flying = self.flying - 1
  entry.call, entry.done = nil, true
  entry.value, entry.err = call:result()
  self:add_result(entry)
end

--- Calls that have ended since: in the queue; those of a client that was closed are not.
local function take_finished(self)
  local queue = self.queue
  for i = 1, #queue do
    take_call(self, queue[i])
    queue[i] = nil
  end
end

local function take_closed(self)
  local calls = {}
  for call in pairs(self.by_call) do
    if call:done() then calls[#calls + 1] = call end
  end
  for _, call in ipairs(calls) do take_call(self, call) end
end

--- The next one to be handed out, if it is done.
local function ready(self)
  local list = self.order or self.results
  local entry = list[self.first]
  if not entry or not entry.done then return nil end
  if self.order or entry.times == 1 then
    list[self.first] = nil
    self.first = self.first + 1
  end
  entry.times = entry.times - 1
  self.open = self.open - 1
  return entry
end

--- Nothing more is sent; what is in flight is cancelled.
local function stop(self)
  self.ended, self.stopped = true, true
  for call in pairs(self.by_call) do call:cancel() end
  self.by_call, self.under_way, self.flying = {}, {}, 0
end

local function stops(self, err)
  return err.kind == "closed" or self.stop_on[err.kind]
end

local function wait(self)
  local left = self.client:step(3600)
  take_finished(self)
  if left == nil or left == 0 then take_closed(self) end
end

local function next_result(self)
  while not self.stopped do
    fill(self)
    take_finished(self)
    local entry = ready(self)
    if entry then
      if entry.err and stops(self, entry.err) then stop(self) end
      return entry.id, entry.value, entry.err
    end
    if self.flying == 0 then return nil end
    wait(self)
  end
end

local function new(client, operation, ids, options, steps)
  local own, call_options = split(options)
  local next_id = source(ids)
  if not check(1, steps.fits, operation) then misuse(1, "an operation whose only argument is an id expected") end
  check(3, steps.options, operation, options or {})
  local concurrency = steps.concurrency(client, own.concurrency)
  return setmetatable({
    client = client, operation = operation, next_id = next_id, options = call_options, steps = steps,
    concurrency = concurrency, most_open = own.ordered and concurrency * WAITING or concurrency,
    stop_on = own.stop_on or { auth = true },
    queue = {},     -- calls that are done, from the module
    under_way = {}, -- id -> entry
    by_call = {},   -- call -> entry
    flying = 0,     -- entries under way
    open = 0,       -- ids that were taken and not handed out
    results = {}, order = own.ordered and {} or nil, first = 1, last = 0,
  }, Each)
end

--- Leaving the loop early: 5.4 closes the fourth value; before, the calls are cancelled as they are collected.
local closing = { __close = function(closer) stop(closer.state) end }

return function(client, operation, ids, options, steps)
  local ok, state = pcall(new, client, operation, ids, options, steps)
  if not ok then error(state, 3) end
  return function() return next_result(state) end, nil, nil, setmetatable({ state = state }, closing)
end

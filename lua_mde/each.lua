--- `client:each(operation, ids, options)`: one operation for many ids, several at once.
--
--     for id, ips, err in client:each("alert_ips", ids, { concurrency = 16 }) do ... end
--
-- Called by the module with its own steps: `start` makes a call that is appended to a queue when it is done, `take`
-- takes out what came of it, `kick` puts on the wire what was started. Between two results nothing is asked for
-- beyond the concurrency, so ids may be streamed: what is held does not grow with their number.

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
  local kind = type(options) -- LuaJIT has a pointer that equals nil
  if kind ~= "nil" and kind ~= "table" then misuse(3, "table expected, got " .. kind) end
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

--- An entry is an id with its call, and then with what came of it. Both are used again for a later id: only this file
--- sees them.
local function new_entry(self)
  local entry = self.spare[#self.spare]
  if not entry then return { call = false, id = false, times = 0, done = false, value = false, err = false } end
  self.spare[#self.spare] = nil
  entry.done = false
  return entry
end

--- Sends for an id.
local function start(self, id)
  local entry = new_entry(self)
  entry.id = id
  local call, err = self.steps.start(self.client, self.operation, id, self.options, self.queue, entry.call)
  if call then
    if call ~= entry.call then entry.call, self.by_call[call] = call, entry end
    self.under_way[id] = entry
    self.flying = self.flying + 1
    self.started = true
  else
    self.ended = true -- the client is closed
    self:add_result(entry, nil, err)
  end
  return entry
end

--- An id that is under way already is asked for once.
local function add_id(self, id)
  local entry = self.under_way[id] or start(self, id)
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
end

--- What was started goes on the wire before the script does its own work; else the next step sees to it.
local function kick(self)
  if self.started then self.steps.kick(self.client) end
  self.started = false
end

--- What is done goes to where it is handed out from; in order, it only becomes ready there.
function Each:add_result(entry, value, err)
  entry.done, entry.value, entry.err = true, value, err
  if self.order then return end
  self.last = self.last + 1
  self.results[self.last] = entry
end

local function take_call(self, entry)
  self.under_way[entry.id] = nil
  self.flying = self.flying - 1
  self:add_result(entry, self.steps.take(entry.call))
end

--- Calls that have ended since: in the queue; those of a client that was closed are not.
local function take_finished(self)
  local queue = self.queue
  for i = 1, #queue do
    take_call(self, self.by_call[queue[i]])
    queue[i] = nil
  end
end

local function take_closed(self)
  local ended = {}
  for _, entry in pairs(self.under_way) do
    if entry.call:done() then ended[#ended + 1] = entry end
  end
  for _, entry in ipairs(ended) do take_call(self, entry) end
end

--- Takes the first one from its list, which begins anew when it is empty.
local function drop_first(self, list)
  list[self.first] = nil
  if self.first == self.last then self.first, self.last = 1, 0 else self.first = self.first + 1 end
end

--- The next id to be handed out, if it is done, with its value and error.
local function take_ready(self)
  local list = self.order or self.results
  local entry = list[self.first]
  if not entry or not entry.done then return nil end
  local id, value, err = entry.id, entry.value, entry.err
  entry.times = entry.times - 1
  self.open = self.open - 1
  if self.order or entry.times == 0 then drop_first(self, list) end
  if entry.times == 0 then
    entry.value, entry.err = false, false
    self.spare[#self.spare + 1] = entry
  end
  return id, value, err
end

--- Nothing more is sent; what is in flight is cancelled.
local function stop(self)
  self.ended, self.stopped = true, true
  for _, entry in pairs(self.under_way) do entry.call:cancel() end
  self.by_call, self.under_way, self.spare, self.flying = {}, {}, {}, 0
end

--- A token that cannot be had just now may be had for a later id.
local function stops(self, err)
  if err.kind == "closed" then return true end
  return self.stop_on[err.kind] and not (err.kind == "auth" and err.retryable)
end

local function wait(self)
  local left = self.client:step(3600)
  self.started = false
  take_finished(self)
  if left == nil or left == 0 then take_closed(self) end
end

local function next_result(self)
  while not self.stopped do
    fill(self)
    take_finished(self)
    local id, value, err = take_ready(self)
    if id then
      if err and stops(self, err) then stop(self) else kick(self) end
      return id, value, err
    end
    if self.flying == 0 then return nil end
    wait(self)
  end
end

local function new(client, name, ids, options, steps)
  local own, call_options = split(options)
  local next_id = source(ids)
  if not check(1, steps.takes_an_id, name) then misuse(1, "an operation whose only argument is an id expected") end
  check(3, steps.options, name, options or {})
  for kind in pairs(own.stop_on or {}) do
    if not steps.is_kind(kind) then misuse(3, "option 'stop_on': no error has the kind '" .. tostring(kind) .. "'") end
  end
  local concurrency = steps.concurrency(client, own.concurrency)
  return setmetatable({
    client = client, operation = name, next_id = next_id, options = call_options, steps = steps,
    concurrency = concurrency, most_open = own.ordered and concurrency * WAITING or concurrency,
    stop_on = own.stop_on or { auth = true },
    queue = {},     -- calls that are done, from the module
    under_way = {}, -- id -> entry
    by_call = {},   -- call -> entry
    spare = {},     -- entries that serve again
    flying = 0,     -- entries under way
    open = 0,       -- ids that were taken and not handed out
    results = {}, order = own.ordered and {} or nil, first = 1, last = 0,
  }, Each)
end

--- Leaving the loop early: 5.4 closes the fourth value; before, the calls are cancelled as they are collected.
local function closer(state)
  return setmetatable({}, { __close = function() stop(state) end, __metatable = false })
end

return function(client, operation, ids, options, steps)
  local ok, state = pcall(new, client, operation, ids, options, steps)
  if not ok then error(state, 3) end
  return function() return next_result(state) end, nil, nil, closer(state)
end

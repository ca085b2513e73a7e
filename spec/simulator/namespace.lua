-- What one spec has set and what it was seen to do. Specs that run at the same time each have their own, named by
-- their token: "simulator-token-NAME", or "simulator-token-NAME.ANYTHING" where a spec needs several tokens.

local credentials = require "spec.simulator.credentials"
local tokens = require "spec.simulator.tokens"
local window = require "spec.simulator.window"

local namespace = {}
namespace.__index = namespace

local LOG_SIZE = 1000

local all = {}

local function new(name)
  return setmetatable({
    name = name,
    settings = {
      limits = { [60] = 100, [3600] = 1500 },
      page_size = 100,
      next_link_style = "skip",
      next_link_with_top = false,
      throttle_code = "429",
      retry_after = "seconds",
      denied = {},
      revoked = {},
      token = { lifetime = 3599, delay = 0, limits = false },
      access_log = true,
    },
    credentials = credentials.new(),
    tokens = tokens.new(name),
    faults = {},
    operations = {},
    log = {},
    logged = 0,
    in_flight = 0,
    largest_in_flight = 0,
    connections = 0,
    bytes = 0,
  }, namespace)
end

function namespace.get(name)
  all[name] = all[name] or new(name)
  return all[name]
end

function namespace.reset(name)
  all[name] = nil
end

-- "simulator-token-a.2" -> "a", "2". Nil for a token that this service did not issue.
function namespace.of_token(token)
  if token == "simulator-token" then return "", "" end
  local rest = token:match "^simulator%-token%-(.+)$"
  if not rest then return nil end
  return rest:match "^([^.]*)%.?(.*)$"
end

-- Windows to measure, also where nothing is limited.
local function make_windows(limits)
  local windows = {}
  for seconds, limit in pairs(limits or { [60] = false, [3600] = false }) do
    windows[#windows + 1] = window.new(seconds, limit or nil)
  end
  return windows
end

-- The limits of one operation: its own, or those for all of the API's.
function namespace:limits_of(operation)
  if operation == "token" then return self.settings.token.limits end
  local limits = self.settings.limits
  if not limits then return nil end
  local own = limits[operation]
  if own ~= nil then return own or nil end
  local general = {}
  for seconds, limit in pairs(limits) do
    if type(seconds) == "number" then general[seconds] = limit end
  end
  return next(general) and general
end

function namespace:operation(name)
  local operation = self.operations[name]
  if not operation then
    operation = {
      requests = 0, throttled = 0, in_flight = 0, largest_in_flight = 0, statuses = {}, faults = {},
      windows = make_windows(self:limits_of(name)),
    }
    self.operations[name] = operation
  end
  return operation
end

-- New limits begin with nothing counted.
function namespace:set_limits(limits)
  self.settings.limits = limits
  for name, operation in pairs(self.operations) do
    operation.windows = make_windows(self:limits_of(name))
  end
end

-- `settings` = { lifetime = seconds, delay = seconds, limits = { [seconds] = calls } or false }, each or none.
function namespace:set_token(settings)
  for name, value in pairs(settings) do
    if self.settings.token[name] == nil then error("there is no token setting '" .. name .. "'", 0) end
    self.settings.token[name] = value
  end
  if settings.limits ~= nil then self:operation("token").windows = make_windows(settings.limits) end
end

local function remember(self, request)
  self.logged = self.logged + 1
  self.log[self.logged] = request
  self.log[self.logged - LOG_SIZE] = nil
end

-- The last requests, in the order of their arrival.
function namespace:recent()
  local requests = {}
  for i = math.max(1, self.logged - LOG_SIZE + 1), self.logged do requests[#requests + 1] = self.log[i] end
  return requests
end

local function enter(counts)
  counts.in_flight = counts.in_flight + 1
  counts.largest_in_flight = math.max(counts.largest_in_flight, counts.in_flight)
end

-- Every request is counted when it arrives, whatever becomes of it.
function namespace:arrive(request)
  local operation = self:operation(request.operation)
  operation.requests = operation.requests + 1
  for _, each in ipairs(operation.windows) do each:arrive(request.seconds) end
  if request.opens then self.connections = self.connections + 1 end
  enter(self)
  enter(operation)
  remember(self, request)
end

local function add_one(counts, key)
  counts[key] = (counts[key] or 0) + 1
end

-- What was answered, and the fault's name, if it has one.
function namespace:count_answer(request, status, bytes, fault)
  local operation = self:operation(request.operation)
  add_one(operation.statuses, tostring(status))
  if fault.name then add_one(operation.faults, fault.name) end
  self.bytes = self.bytes + bytes
end

function namespace:leave(request)
  local operation = self:operation(request.operation)
  self.in_flight = self.in_flight - 1
  operation.in_flight = operation.in_flight - 1
end

-- The exceeded window that stays so for longest, and for how long; nil when the request may pass.
function namespace:exceeded_window(request)
  local operation, slowest, longest = self:operation(request.operation), nil, 0
  for _, each in ipairs(operation.windows) do
    local wait = each:exceeded() and each:wait(request.seconds) or 0
    if wait > longest then slowest, longest = each, wait end
  end
  if slowest then operation.throttled = operation.throttled + 1 end
  return slowest, longest
end

return namespace

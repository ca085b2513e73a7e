-- How specs steer the simulator: POST /_simulator/control, GET /_simulator/report?namespace=NAME.

local clock = require "spec.simulator.clock"
local faults = require "spec.simulator.faults"
local json = require "spec.simulator.json"
local namespace = require "spec.simulator.namespace"
local throttle = require "spec.simulator.throttle"
local uri = require "spec.simulator.uri"

local control = {}

-- JSON's keys are text; windows are numbers. An operation's own limits are one level deeper.
local function windows(limits)
  if not limits then return false end
  local read = {}
  for key, value in pairs(limits) do
    read[tonumber(key) or key] = type(value) == "table" and windows(value) or value
  end
  return read
end

local function set_of(list)
  local set = {}
  for _, item in ipairs(list) do set[item] = true end
  return set
end

local function set(name)
  return function(space, value) space.settings[name] = value end
end

-- One function per instruction; each may raise what is wrong.
local instructions = {
  namespace = function() end,
  reset = function() end,
  limits = function(space, value) space:set_limits(windows(value)) end,
  page_size = set "page_size",
  next_link_host = set "next_link_host",
  next_link_style = function(space, value)
    if value ~= "skip" and value ~= "skiptoken" then error("next_link_style is 'skip' or 'skiptoken'", 0) end
    space.settings.next_link_style = value
  end,
  next_link_with_top = set "next_link_with_top",
  throttle_code = set "throttle_code",
  retry_after = function(space, value)
    if not throttle.knows(value) then error("retry_after is false, seconds, http_date, rfc850 or asctime", 0) end
    space.settings.retry_after = value
  end,
  access_log = set "access_log",
  denied = function(space, value) space.settings.denied = set_of(value) end,
  revoked = function(space, value) space.settings.revoked = set_of(value) end,
  register = function(space, value) space.credentials:register(value) end,
  token = function(space, value)
    if value.limits then value.limits = windows(value.limits) end
    space:set_token(value)
  end,
  expire_tokens = function(space) space.tokens:expire() end,
  faults = function(space, value)
    if not value then space.faults = {} end
    for _, fault in ipairs(value or {}) do
      local problem = faults.problem(fault)
      if problem then error(problem, 0) end
      space.faults[#space.faults + 1] = fault
    end
  end,
}

local function apply(orders)
  local name = orders.namespace or ""
  if orders.reset then namespace.reset(name) end
  local space = namespace.get(name)
  for instruction, value in pairs(orders) do
    if not instructions[instruction] then error("there is no instruction '" .. instruction .. "'", 0) end
    instructions[instruction](space, value)
  end
end

local function largest(each_window)
  local counts = {}
  for _, each in ipairs(each_window) do counts[("%g"):format(each.seconds)] = each.largest end
  return counts
end

local function report(space)
  local operations = {}
  for name, operation in pairs(space.operations) do
    operations[name] = {
      requests = operation.requests, throttled = operation.throttled, largest = largest(operation.windows),
      in_flight = operation.in_flight, largest_in_flight = operation.largest_in_flight,
      statuses = operation.statuses, faults = operation.faults,
    }
  end
  return {
    seconds = clock.now(), operations = operations, requests = json.array(space:recent()),
    in_flight = space.in_flight, largest_in_flight = space.largest_in_flight, faults_left = #space.faults,
    connections = space.connections, bytes = space.bytes,
    tokens = { issued = space.tokens.issued, refused = space.tokens.refused, fields = json.array(space.tokens.fields) },
  }
end

local function reply(status, object)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.say(json.encode(object))
end

local function serve_control()
  ngx.req.read_body()
  local ok, problem = pcall(function() apply(json.decode(ngx.req.get_body_data() or "")) end)
  if not ok then return reply(400, { error = problem }) end
  return reply(200, { ok = true })
end

function control.serve(path, query)
  if path == "/_simulator/control" then return serve_control() end
  if path == "/_simulator/report" then
    return reply(200, report(namespace.get(uri.parameters(query).namespace or "")))
  end
  return reply(404, { error = "there is /_simulator/control and /_simulator/report" })
end

return control

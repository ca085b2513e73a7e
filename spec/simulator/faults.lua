-- Faults on request. Each waits in its namespace's queue for a request that it fits, and is used up after `times`.

local faults = {}

-- What a fault may say, and the type of it.
local fields = {
  operation = "string", id = "string", -- which requests: "*" or none is any but "token"; no id is any
  times = "number", -- -1 is for ever
  every = "number", -- the last one of so many requests that it fits; otherwise each of them
  name = "string", -- by which the report counts it
  delay = "number", -- seconds before the answer
  status = "number", headers = "table", body = "string", -- instead of the answer; without a body it is the real error
  code = "string", message = "string", target = "string", -- in the real error body
  truncate = "number", -- bytes of the body that are sent, of the promised length; then the connection ends
  reset = "string", -- "before" the answer, or in the "middle" of its body
  trickle = "table", -- { bytes =, every = seconds }
  huge = "number", gzip_bomb = "number", -- bytes of an endless-looking collection, plain or before compression
  chunked = "boolean", gzip = "boolean", -- how the body is sent; otherwise as the client asked
  next_link = "any", -- see pages.lua
}

-- Nil, or what is wrong: a misspelt fault would make a spec pass for no reason.
function faults.problem(fault)
  for name, value in pairs(fault) do
    local wanted = fields[name]
    if not wanted then return "no fault has a field '" .. tostring(name) .. "'" end
    if wanted ~= "any" and type(value) ~= wanted then return "a fault's " .. name .. " must be a " .. wanted end
  end
  if fault.reset and fault.reset ~= "before" and fault.reset ~= "middle" then
    return "a fault's reset must be 'before' or 'middle'"
  end
end

local function fits(fault, request)
  local wanted = fault.operation or "*"
  if wanted == "*" and request.operation == "token" then return false end
  if wanted ~= "*" and wanted ~= request.operation then return false end
  return fault.id == nil or fault.id == request.id
end

local function is_due(fault)
  fault.met = (fault.met or 0) + 1
  return fault.met % (fault.every or 1) == 0
end

-- The first fault in `queue` that fits the request, or an empty one.
function faults.take(queue, request)
  for position, fault in ipairs(queue) do
    if fits(fault, request) and is_due(fault) then
      fault.times = (fault.times or 1) - 1
      if fault.times == 0 then table.remove(queue, position) end
      return fault
    end
  end
  return {}
end

-- What is answered instead of the truth, or nil. `failure` makes an answer of status, code, message and target.
function faults.answer(fault, failure)
  if fault.body then return { status = fault.status or 200, headers = {}, body = fault.body } end
  if not fault.status then return nil end
  if fault.status < 400 then return { status = fault.status, headers = {}, body = "" } end
  return failure(fault.status, fault.code, fault.message, fault.target)
end

return faults

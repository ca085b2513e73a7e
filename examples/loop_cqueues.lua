-- Which IP addresses belong to these alerts? All at once, in the event loop of cqueues: for scripts that have other
-- work in that loop.
--
--   MDE_TOKEN=... lua5.4 examples/loop_cqueues.lua ID...
--
-- It needs cqueues: from LuaRocks, or from Debian as lua-cqueues (Lua 5.1 to 5.4 and LuaJIT).
--
-- Prints a line "ID<TAB>IP" for each address, as answers come, and a line on stderr for each alert that could not be
-- asked for. Ends with 0 if all could, 1 if one could not, 2 if the command line or the token is missing.
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"
local condition = require "cqueues.condition"
local cqueues = require "cqueues"

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local token = environment "MDE_TOKEN"
if not token or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN=... lua5.4 examples/loop_cqueues.lua ID...\n")
  os.exit(2)
end

local client = mde.client{
  token = token,
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
}

local loop = cqueues.new()

-- --- the client in the loop ---

local waiting = {} -- call -> the condition that is signalled when it has ended
local started = condition.new() -- signalled when there is a new call

-- What cqueues polls: a descriptor of the client's.
local Watched = {}
Watched.__index = Watched
function Watched:pollfd() return self.fd end
function Watched:events() return self.wanted end
function Watched.timeout() return nil end -- the client's, for all its descriptors, is given to cqueues.poll

local function wake_finished()
  for call, ended in pairs(waiting) do
    if call:done() then
      waiting[call] = nil
      ended:signal()
    end
  end
end

-- Sleeps until a descriptor is ready, the client's time has come or a call is added.
local function sleep()
  local descriptors, seconds = client:pollable()
  local sources = { started }
  for _, descriptor in ipairs(descriptors) do
    sources[#sources + 1] = setmetatable({ fd = descriptor.fd, wanted = descriptor.events }, Watched)
  end
  if seconds then sources[#sources + 1] = seconds end
  cqueues.poll((table.unpack or unpack)(sources)) -- luacheck: ignore 113
end

-- The coroutine that lets the client work. It ends when no call is left.
local function drive()
  while next(waiting) do
    sleep()
    client:step(0)
    wake_finished()
  end
end

-- As client[operation](client, ...), for use in a coroutine of the loop: the others go on meanwhile.
local function await(operation, ...)
  local call, err = client:start(operation, ...)
  if not call then return nil, err end
  local ended = condition.new()
  if not next(waiting) then loop:wrap(drive) end
  waiting[call] = ended
  started:signal()
  ended:wait()
  return call:result()
end

-- --- the work ---

local failed = false

for _, id in ipairs(arg) do
  loop:wrap(function()
    local ips, err = await("alert_ips", id)
    if not ips then
      failed = true
      io.stderr:write(id, ": ", tostring(err), "\n")
      return
    end
    for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
  end)
end

assert(loop:loop())
client:close()
os.exit(failed and 1 or 0)

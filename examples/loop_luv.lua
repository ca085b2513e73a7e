-- Which IP addresses belong to these alerts? All at once, in the event loop of luv (libuv): for scripts that have
-- other work in that loop.
--
--   MDE_TOKEN=... lua5.4 examples/loop_luv.lua ID...
--
-- It needs luv: from LuaRocks, or from Debian as lua-luv (Lua 5.1 to 5.4 and LuaJIT).
--
-- Prints a line "ID<TAB>IP" for each address, as answers come, and a line on stderr for each alert that could not be
-- asked for. Ends with 0 if all could, 1 if one could not, 2 if the command line or the token is missing.
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"
local uv = require "luv"

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local token = environment "MDE_TOKEN"
if not token or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN=... lua5.4 examples/loop_luv.lua ID...\n")
  os.exit(2)
end

local client = mde.client{
  token = token,
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
}

-- --- the client in the loop ---

local callbacks = {} -- call -> function(value, err)
local polls = {} -- descriptor -> its luv handle
local timer = uv.new_timer()
local work

-- Watches what the client waits for now: these descriptors, and no others.
local function watch(descriptors)
  local wanted = {}
  for _, descriptor in ipairs(descriptors) do
    local fd = descriptor.fd
    wanted[fd] = true
    polls[fd] = polls[fd] or assert(uv.new_poll(fd))
    polls[fd]:start(descriptor.events, work)
  end
  for fd, poll in pairs(polls) do
    if not wanted[fd] then
      poll:close()
      polls[fd] = nil
    end
  end
end

-- With nothing left to wait for, the loop has nothing to do for the client, and uv.run may return.
local function rearm()
  if not next(callbacks) then
    watch{}
    timer:stop()
    return
  end
  local descriptors, seconds = client:pollable()
  watch(descriptors)
  if seconds then timer:start(math.ceil(seconds * 1000), 0, work) else timer:stop() end
end

-- Takes a step without waiting, and calls back for what has ended.
function work()
  client:step(0)
  local finished = {}
  for call in pairs(callbacks) do
    if call:done() then finished[#finished + 1] = call end
  end
  for _, call in ipairs(finished) do
    local callback = callbacks[call]
    callbacks[call] = nil
    callback(call:result())
  end
  rearm()
end

-- Starts a call; `callback(value, err)` comes from the loop.
local function start(callback, operation, ...)
  local call, err = client:start(operation, ...)
  if not call then return callback(nil, err) end
  callbacks[call] = callback
  rearm()
end

-- --- the work ---

local failed = false

for _, id in ipairs(arg) do
  start(function(ips, err)
    if not ips then
      failed = true
      io.stderr:write(id, ": ", tostring(err), "\n")
      return
    end
    for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
  end, "alert_ips", id)
end

uv.run()
client:close()
os.exit(failed and 1 or 0)

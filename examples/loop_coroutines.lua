-- Which IP addresses belong to these alerts? All at once, in plain coroutines: a coroutine for each alert, and a small
-- scheduler that lets the client work while all of them wait.
--
--   MDE_TOKEN=... lua5.4 examples/loop_coroutines.lua ID...
--
-- Prints a line "ID<TAB>IP" for each address, as answers come, and a line on stderr for each alert that could not be
-- asked for. Ends with 0 if all could, 1 if one could not, 2 if the command line or the token is missing.
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"

local STEP_SECONDS = 60 -- at most: a step ends as soon as a call does

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local token = environment "MDE_TOKEN"
if not token or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN=... lua5.4 examples/loop_coroutines.lua ID...\n")
  os.exit(2)
end

local client = mde.client{
  token = token,
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
}

-- --- the scheduler ---

local waiting = {} -- call -> the coroutine that waits for it

-- Lets a coroutine run until it waits for its next call, or has ended.
local function continue(task, ...)
  local ok, call = coroutine.resume(task, ...)
  if not ok then error(debug.traceback(task, call), 0) end
  if call then waiting[call] = task end
end

local function spawn(run, ...) continue(coroutine.create(run), ...) end

local function wake_finished()
  local finished = {}
  for call in pairs(waiting) do
    if call:done() then finished[#finished + 1] = call end
  end
  for _, call in ipairs(finished) do
    local task = waiting[call]
    waiting[call] = nil
    continue(task)
  end
end

-- client:step() sleeps until something moves: this is no busy wait.
local function run()
  while next(waiting) do
    client:step(STEP_SECONDS)
    wake_finished()
  end
end

-- --- the tasks ---

-- As client[operation](client, ...), for use in a task: the other tasks go on meanwhile.
local function await(operation, ...)
  local call, err = client:start(operation, ...)
  if not call then return nil, err end
  coroutine.yield(call)
  return call:result()
end

local failed = false

local function print_addresses(id)
  local ips, err = await("alert_ips", id)
  if not ips then
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
    return
  end
  for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
end

for _, id in ipairs(arg) do spawn(print_addresses, id) end
run()
client:close()
os.exit(failed and 1 or 0)

-- Lists alerts, in the order in which the service sends them.
--
--   MDE_TOKEN=... lua5.4 examples/list_alerts.lua [FILTER [MAX_ITEMS]]
--   MDE_TOKEN=... lua5.4 examples/list_alerts.lua "severity eq 'High' and status eq 'New'" 20
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"

local PAGE_MAX = 10000 -- the service's own

local token = os.getenv "MDE_TOKEN"
if not token then
  io.stderr:write("list_alerts: MDE_TOKEN is not set. It holds a bearer token.\n")
  os.exit(2)
end

local max_items = tonumber(arg[2] or 50)
if not max_items then
  io.stderr:write("list_alerts: MAX_ITEMS is not a number: ", arg[2], "\n")
  os.exit(2)
end

local client = mde.client{
  token = token,
  base_url = os.getenv "MDE_BASE_URL",
  ca_file = os.getenv "MDE_CA_FILE",
}

-- `top` is the size of a page and does not end the list; `max_items` does.
local alerts, err = client:alerts{
  filter = arg[1],
  top = math.min(max_items, PAGE_MAX),
  max_items = max_items,
}
client:close()
if not alerts then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

-- A field without a value is mde.null, which is not nil and counts as true.
local function text(value)
  if value == nil or value == mde.null then return "-" end
  return tostring(value)
end

for _, alert in ipairs(alerts) do
  print(table.concat({ text(alert.id), text(alert.severity), text(alert.status), text(alert.assignedTo),
                       text(alert.title) }, "\t"))
end

-- Which IP addresses belong to these alerts?
--
--   MDE_TOKEN=... lua5.4 examples/alert_ips.lua ID...
--
-- Prints a line "ID<TAB>IP" for each address, and a line on stderr for each alert that could not be
-- asked for. Ends with 0 if all could, 1 if one could not, 2 if the command line or the token is missing.
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function complain(...) io.stderr:write("alert_ips: ", ..., "\n") end

local token = environment "MDE_TOKEN"

if #arg == 0 then
  complain "usage: MDE_TOKEN=... lua5.4 examples/alert_ips.lua ID..."
  os.exit(2)
elseif not token then
  complain "MDE_TOKEN is not set. It holds a bearer token; README.md says how to get one."
  os.exit(2)
end

local client = mde.client{
  token = token,
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
}

local failed = false
for _, id in ipairs(arg) do
  local ips, err = client:alert_ips(id)
  if ips then
    for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
  else
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
  end
end

client:close()
os.exit(failed and 1 or 0)

-- Which IP addresses belong to these alerts? With the tokens of whoever is logged in to the Azure CLI.
--
--   az login --service-principal ...
--   lua5.4 examples/azure_cli_token.lua ID...
--
-- The token of a user (plain `az login`) has what the tenant permits the CLI itself, perhaps nothing: a 403 says so.
-- For people at a desk. What runs unattended has a credential of its own: examples/environment_credential.lua.
--
-- Prints a line "ID<TAB>IP" for each address, and a line on stderr for each alert that could not be asked for. Ends
-- with 0 if all could, 1 if one could not, 2 if the command line is wrong.
--
-- Environment: MDE_BASE_URL and MDE_CA_FILE to ask another host. Other clouds have another RESOURCE: doc/reference.md.
local cjson = require "cjson"
local mde = require "mde"

local RESOURCE = "https://api.securitycenter.microsoft.com"
local COMMAND = "az account get-access-token --resource " .. RESOURCE .. " --output json"
local EARLY_SECONDS = 60 -- before the token's end the next one is asked for

-- Returns whether it ended well, its status, and what it printed on each output. Lua 5.1's close() tells no status,
-- so the shell prints it.
local function run(command)
  local errors = os.tmpname()
  local pipe, message = io.popen(command .. " </dev/null 2>" .. errors .. "; printf '\\n%d' $?", "r")
  if not pipe then return false, 0, "", message end
  local output, status = pipe:read("*a"):match "^(.*)\n(%d+)$"
  pipe:close()
  local file = io.open(errors, "r")
  local words = file and file:read "*a" or ""
  if file then file:close() end
  os.remove(errors)
  return status == "0", tonumber(status), output, words
end

-- Why there is no token, for people. What `az` says begins with "ERROR: ".
local function explain(status, words)
  if status == 127 then return "the Azure CLI (az) is not installed, or not in PATH" end
  local first = words:match "ERROR: *([^\r\n]+)" or words:match "[^\r\n]+"
  return ("az ended with status %s: %s"):format(tostring(status), first or "it said nothing; try `az login`")
end

-- Until the token is over; nil: nobody says so. `expires_on` counts from 1970; az before 2.54 has only `expiresOn`,
-- in local time.
local function seconds_left(answer)
  local at = tonumber(answer.expires_on)
  local year, month, day, hour, min, sec = tostring(answer.expiresOn):match "^(%d+)-(%d+)-(%d+)[ T](%d+):(%d+):(%d+)"
  if not at and year then
    at = os.time{ year = tonumber(year), month = tonumber(month), day = tonumber(day),
                  hour = tonumber(hour), min = tonumber(min), sec = tonumber(sec) }
  end
  return at and at - os.time()
end

-- Returns token, seconds; or nil, message. The message becomes part of the call's error, so it holds no token.
local function fetch_token()
  local ok, status, output, words = run(COMMAND)
  if not ok then return nil, explain(status, words) end
  local decoded, answer = pcall(cjson.decode, output)
  if not decoded or type(answer) ~= "table" or type(answer.accessToken) ~= "string" then
    return nil, "az printed something that is not a token's JSON"
  end
  local seconds = seconds_left(answer)
  if not seconds then return answer.accessToken end -- it is used until the service refuses it
  if seconds <= 0 then return nil, "az gave a token that is over; is this machine's clock right?" end
  return answer.accessToken, math.max(seconds - EARLY_SECONDS, 1)
end

if #arg == 0 then
  io.stderr:write "usage: lua5.4 examples/azure_cli_token.lua ID...\n"
  os.exit(2)
end

local client = mde.client{
  token = fetch_token,
  base_url = os.getenv "MDE_BASE_URL",
  ca_file = os.getenv "MDE_CA_FILE",
}

local failed = false
for _, id in ipairs(arg) do
  local ips, err = client:alert_ips(id)
  if ips then
    for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
  else
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
    if err.kind == "auth" then break end -- the next one would fail in the same way
  end
end

client:close()
os.exit(failed and 1 or 0)

-- Which IP addresses belong to these alerts? With the credential that the environment names, as Azure's SDKs read it:
-- for what runs unattended.
--
--   export AZURE_TENANT_ID=... AZURE_CLIENT_ID=...
--   AZURE_CLIENT_SECRET=$(cat secret) lua5.4 examples/environment_credential.lua ID...
--
-- Instead of the secret there may be AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE; with none of them it
-- is the managed identity of the machine. The client fetches tokens as it needs them, and renews them.
--
-- Prints a line "ID<TAB>IP" for each address, and a line on stderr for each alert that could not be asked for. Ends
-- with 0 if all could, 1 if one could not, 2 if the command line or the credential is wrong.
--
-- Environment: the above; AZURE_AUTHORITY_HOST for another login host; MDE_BASE_URL and MDE_CA_FILE to ask another
-- host, such as the simulator.
local mde = require "mde"

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

if #arg == 0 then
  io.stderr:write "usage: lua5.4 examples/environment_credential.lua ID...\n"
  os.exit(2)
end

-- It raises what is wrong with the credential, such as a secret without AZURE_TENANT_ID.
local ok, client = pcall(mde.client, {
  credential = "environment",
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
})
if not ok then
  io.stderr:write("environment_credential: ", tostring(client), "\n")
  os.exit(2)
end

local failed = false
for _, id in ipairs(arg) do
  local ips, err = client:alert_ips(id)
  if ips then
    for _, ip in ipairs(ips) do print(id .. "\t" .. ip.id) end
  else
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
    if err.kind == "auth" and not err.retryable then break end -- the next one would fail in the same way
  end
end

client:close()
os.exit(failed and 1 or 0)

-- A token that renews itself, from any program: the client asks a function, and the function asks the program.
--
--   MDE_TOKEN_COMMAND="az account get-access-token --resource https://api.securitycenter.microsoft.com \
--     --query accessToken --output tsv" lua5.4 examples/token_function.lua ID...
--
-- Any program will do that prints a token. It is run once at the first call, again when the life that
-- the function told is over, and once more if the service refuses the token.
--
-- Environment: MDE_TOKEN_COMMAND; MDE_BASE_URL and MDE_CA_FILE to ask another host.
local mde = require "mde"

-- When to ask again. A token that ends sooner is noticed, too: by the service's 401.
local LIFE_SECONDS = 45 * 60

local command = os.getenv "MDE_TOKEN_COMMAND"
if not command or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN_COMMAND=... lua5.4 examples/token_function.lua ID...\n")
  os.exit(2)
end

-- Returns token, seconds; or nil, message. The message becomes part of the call's error.
local function fetch_token()
  local pipe, message = io.popen(command, "r")
  if not pipe then return nil, message end
  local token = pipe:read "*a"
  pipe:close()
  token = token:match "^%s*(.-)%s*$" -- programs end their output with a line end
  if token == "" then return nil, "MDE_TOKEN_COMMAND printed nothing" end
  return token, LIFE_SECONDS
end

local client = mde.client{
  token = fetch_token,
  base_url = os.getenv "MDE_BASE_URL",
  ca_file = os.getenv "MDE_CA_FILE",
}

local failed = false
for _, id in ipairs(arg) do
  local alert, err = client:alert(id)
  if alert then
    print(id .. "\t" .. tostring(alert.title))
  else
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
    if err.kind == "auth" then break end -- the next one would fail in the same way
  end
end

client:close()
os.exit(failed and 1 or 0)

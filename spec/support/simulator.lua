-- Starts the simulator for specs and talks to it, with nothing but curl and lua-cjson.
--
--   local simulator = require "spec.support.simulator"
--   simulator.start()                              once per process; a running one is kept
--   local space = simulator.namespace()            own limits, faults and counts
--   space:control{ limits = { [1] = 20 } }
--   space:fault{ operation = "alert_ips", status = 503 }
--   mde.client{ base_url = simulator.url, ca_file = simulator.ca_file, token = space.token }
--   assert.equal(1, space:report().operations.alert_ips.requests)
--
-- After start() there are simulator.url, h2_url, http_url, expired_url, wrong_host_url, unknown_ca_url, ca_file, token,
-- pid and directory. With MDE_SIMULATOR_DIR in the environment the simulator that runs there is used and left running.

local cjson = require "cjson"
local merged = require "spec.support.merged"
local identity = require "spec.simulator.identity"

local simulator = {}

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec/support"

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function output_of(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read "*a"
  pipe:close()
  return output
end

local function write_file(path, contents)
  local file = assert(io.open(path, "wb"))
  file:write(contents)
  file:close()
end

local function script(...)
  local words = { "sh", quote(HERE .. "/../simulator/simulator.sh") }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  return table.concat(words, " ") .. " 2>&1"
end

local function read_environment(directory)
  local file = io.open(directory .. "/env")
  if not file then return false end
  for line in file:lines() do
    local name, value = line:match "^SIMULATOR_([%u%d_]+)=(.*)$"
    simulator[name:lower()] = value
  end
  file:close()
  simulator.directory = directory
  return true
end

-- Something whose finalizer runs at the end of the process, on every Lua.
local function at_exit(run)
  if newproxy then -- luacheck: ignore 113
    local sentinel = newproxy(true) -- luacheck: ignore 113
    getmetatable(sentinel).__gc = run
    return sentinel
  end
  return setmetatable({}, { __gc = run })
end

local pid

-- The shell that popen starts is a child of this very process.
local function own_pid()
  pid = pid or output_of "echo $PPID":match "%d+"
  return pid
end

local function start_own()
  local directory = output_of "mktemp -d":match "%S+"
  local output = output_of(script("start", directory, own_pid()))
  if not read_environment(directory) then error("the simulator does not start: " .. output) end
  simulator.sentinel = at_exit(simulator.stop)
end

-- Starts a simulator unless there is one; it ends with this process, however that ends.
function simulator.start()
  if simulator.url then return simulator end
  local shared = os.getenv "MDE_SIMULATOR_DIR"
  if not shared then
    start_own()
  elseif not read_environment(shared) then
    error("no simulator runs in MDE_SIMULATOR_DIR=" .. shared)
  end
  return simulator
end

function simulator.stop()
  if not simulator.sentinel then return end
  simulator.sentinel = nil
  output_of(script("stop", simulator.directory))
  os.execute("rm -rf " .. quote(simulator.directory))
  simulator.url = nil
end

local function curl(arguments)
  local output = output_of("curl --silent --show-error --noproxy '*' --max-time 30 " .. arguments .. " 2>&1")
  local ok, answer = pcall(cjson.decode, output)
  if not ok then error("the simulator answers: " .. output, 0) end
  return answer
end

-- cjson would make an array of { [1] = 20 }, or refuse { [3600] = 1500 }.
local function with_text_keys(limits)
  if type(limits) ~= "table" then return limits end
  local copy = {}
  for key, value in pairs(limits) do
    copy[type(key) == "number" and ("%.17g"):format(key) or key] = with_text_keys(value)
  end
  return copy
end

local Namespace = {}
Namespace.__index = Namespace

local created = 0

-- A namespace that no one else has.
function simulator.namespace()
  created = created + 1
  local name = ("%s-%d"):format(own_pid(), created)
  return setmetatable({
    name = name, token = "simulator-token-" .. name, tenant_id = identity.tenant_id, client_id = identity.client_id,
    client_secret = identity.client_secret, scope = identity.scope,
  }, Namespace)
end

-- Another token of the same namespace, to be revoked or renewed.
function Namespace:token_numbered(number)
  return ("%s.%d"):format(self.token, number)
end

-- Raises what the simulator says against it.
function Namespace:control(orders)
  local body = { namespace = self.name }
  for name, value in pairs(orders) do body[name] = value end
  body.limits, body.token = with_text_keys(body.limits), with_text_keys(body.token)
  local path = os.tmpname()
  write_file(path, cjson.encode(body))
  local answer = curl("--data-binary @" .. quote(path) .. " " .. quote(simulator.http_url .. "/_simulator/control"))
  os.remove(path)
  if answer.error then error("simulator: " .. answer.error, 2) end
end

-- Where Entra ID is, for the client's `authority`.
function Namespace:authority()
  return simulator.url .. "/entra/" .. self.name
end

-- The options of an app registration's client, but for what proves that it is one.
function Namespace:account(more)
  return merged({ tenant_id = self.tenant_id, client_id = self.client_id, authority = self:authority() }, more)
end

-- Where a virtual machine's metadata service is.
function Namespace:imds_host()
  return simulator.http_url .. "/imds/" .. self.name
end

-- What App Service has in IDENTITY_ENDPOINT and IDENTITY_HEADER.
function Namespace:identity_endpoint()
  return ("%s/app_service/%s/msi/token"):format(simulator.http_url, self.name), identity.header(self.name)
end

-- { secrets =, expired_secrets =, certificates = in PEM, federated_assertions =, roles = }, all of them lists.
-- What is registered adds to what is there; roles replace it.
function Namespace:register(lists)
  self:control { register = lists }
end

-- Queues one fault.
function Namespace:fault(fault)
  self:control { faults = { fault } }
end

function Namespace:report()
  return curl(quote(simulator.http_url .. "/_simulator/report?namespace=" .. self.name))
end

-- The last 1000 requests in order of their arrival.
function Namespace:requests()
  return self:report().requests
end

return simulator

--- What each of two threads does with the module, in a state of its own: number, folder, and a file of JSON with
-- { url =, ca_file =, token =, id =, account = options that fetch a token }.
local number, folder, file = ...

local cjson = require "cjson"
local mde = require "mde"
local testing = require "mde.testing"

local function read(path)
  local handle = assert(io.open(path))
  local text = handle:read "*a"
  handle:close()
  return text
end

local given = cjson.decode(read(file))

local function open(credential)
  local options = { base_url = given.url, ca_file = given.ca_file, proxy = "", rate_limit = false }
  for name, value in pairs(credential) do options[name] = value end
  return mde.client(options)
end

local function over_the_network()
  for _, credential in ipairs{ { token = given.token }, given.account } do
    local client = open(credential)
    for _ = 1, 5 do assert(#assert(client:alert_ips(given.id)) > 0) end
    local ids = { given.id, given.id .. "1", given.id .. "2" }
    for _, ips, err in client:each("alert_ips", ids) do assert(ips or err) end
    client:close()
    assert(client:alert_ips(given.id) == nil)
  end
end

local function without_one()
  for _ = 1, 200 do
    local client = testing.client{ token = "token", answers = function() return '{"value":[{"id":"1"}]}' end }
    assert(client:alert_ips "da1"[1].id == "1")
    assert(not pcall(client.alert_ips, client, ""))
  end
end

--- The file is shared by both; each has its own opening.
local function by_a_file()
  local quota = mde.quota{ path = folder .. "/quota" }
  for _ = 1, 40 do
    local slot = quota:reserve "alert_ips"
    if slot then quota:settle("alert_ips", slot, "answered") end
    assert(quota:status())
  end
  quota:close()
end

for _ = 1, 3 do
  over_the_network()
  without_one()
  by_a_file()
  collectgarbage()
end
assert(number == 1 or number == 2)

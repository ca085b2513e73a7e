--- A client that is given everything secret, used and closed; then the process stays as it is until its input ends.
--
-- Its argument is a file of JSON: { options =, reversed = { option = text }, id =, times = }. What is secret comes
-- reversed, so that this script itself never holds it but as a string that is collected.
local cjson = require "cjson"
local mde = require "mde"

local function given()
  local file = assert(io.open(arg[1]))
  local text = file:read "*a"
  file:close()
  return cjson.decode(text)
end

local function use(order)
  local options = order.options
  for name, text in pairs(order.reversed) do options[name] = text:reverse() end
  local client = mde.client(options)
  for _ = 1, order.times do
    local value, err = client:alert_ips(order.id)
    assert(value, tostring(err))
  end
  client:close()
end

use(given())
collectgarbage()
collectgarbage()
forget() -- luacheck: ignore 113
io.stdout:write "closed\n"
io.stdout:flush()
io.read()

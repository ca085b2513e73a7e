--- How much memory a process has needed at most for one call, in a process of its own: the most that a process has ever
-- had does not go down again.
--
--     local got = growth.of_call({ base_url = url, ca_file = ca_file }, { max_body = 1000 })
--     assert.equal("too_large", got.kind)             got.grown: bytes
--
-- The options of the client, and of its call of alert_ips. Before that it calls alert, which must succeed: libcurl and
-- TLS are there then.
local cjson = require "cjson"
local child = require "spec.support.child"

local ALERT = "da637472900382838869_1364969609" -- which the simulator knows

local growth = {}

local CODE = [[
  local given = require("cjson").decode((...).json)
  local function most()
    for line in io.lines "/proc/self/status" do
      local kib = line:match "^VmHWM:%s+(%d+) kB"
      if kib then return kib * 1024 end
    end
  end
  given.client.token, given.client.proxy = given.client.token or "token-of-spec", ""
  given.client.max_attempts = 1
  local client = require("mde").client(given.client)
  assert(client:alert(given.id))
  local before = most()
  local _, err = client:alert_ips(given.id, given.call)
  return { kind = err and err.kind, grown = most() - before }
]]

function growth.of_call(client, call)
  return child.run(CODE, { json = cjson.encode { client = client, call = call, id = ALERT } })
end

return growth

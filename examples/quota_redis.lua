-- Which IP addresses belong to these alerts? With one quota for all machines that run this at the same time.
--
--   MDE_TOKEN=... REDIS_HOST=redis.example.org lua5.4 examples/quota_redis.lua ID...
--
-- It needs redis-lua: from LuaRocks, or for Lua 5.1 to 5.3 from Debian, as lua-redis.
--
-- Environment: MDE_TOKEN; REDIS_HOST (127.0.0.1) and REDIS_PORT (6379); MDE_BASE_URL and MDE_CA_FILE to ask another
-- host, such as the simulator.
local mde = require "mde"
local redis = require "redis"

local BUDGET_SECONDS = 600 -- a call that would wait longer, for quota or for Redis, ends as rate_limited
local REDIS_TIMEOUT = 2

local function environment(name, default)
  local value = os.getenv(name)
  return value ~= "" and value or default
end

local token = environment "MDE_TOKEN"
if not token or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN=... lua5.4 examples/quota_redis.lua ID...\n")
  os.exit(2)
end

local connection

local function connect()
  return redis.connect{
    host = environment("REDIS_HOST", "127.0.0.1"),
    port = tonumber(environment("REDIS_PORT", 6379)),
    timeout = REDIS_TIMEOUT,
  }
end

-- After an error the connection is not used again: an answer that comes late would be taken for the next one.
local function on_redis(command)
  return function(...)
    connection = connection or connect()
    local ok, answer = pcall(connection[command], connection, ...)
    if ok then return answer end
    connection = nil
    error(answer, 0)
  end
end

local client = mde.client{
  token = token,
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
  budget = BUDGET_SECONDS,
  quota = require("mde.redis").quota{ eval = on_redis "eval", evalsha = on_redis "evalsha" },
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

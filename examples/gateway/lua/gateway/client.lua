--- The client of this worker, and the quota that all workers share.
local mde = require "mde.openresty"

local BUDGET_SECONDS = 20 -- no call takes longer, whatever happens
local CONCURRENCY = 20    -- of each worker

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- All workers count their calls in this file, and so does whoever else on this machine opens it.
local quota = mde.quota{ path = ngx.config.prefix() .. "run/quota" }

local client = mde.client{
  credential = "environment",
  cloud = environment "MDE_CLOUD",
  base_url = environment "MDE_BASE_URL",
  ca_file = environment "MDE_CA_FILE",
  quota = quota,
  budget = BUDGET_SECONDS,
  concurrency = CONCURRENCY,
}

return { client = client, quota = quota, BUDGET_SECONDS = BUDGET_SECONDS }

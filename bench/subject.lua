--- What the programs under test have in common: a client as users have it, and ids.
local mde = require "mde"

local subject = {}

--- Limits and retries are on, but the quota never waits. The surroundings are those of bench/floor.c.
function subject.client(options)
  options = options or {}
  options.token = os.getenv "BENCH_TOKEN"
  options.base_url = options.base_url or os.getenv "BENCH_BASE"
  options.ca_file = os.getenv "BENCH_CA_FILE"
  options.proxy = ""
  options.rate_limit = { [60] = 1000000, [3600] = 1000000 }
  local version = os.getenv "BENCH_HTTP"
  if version and version ~= "" then options.http_version = version end
  return mde.client(options)
end

function subject.id(n) return ("da637472900382838869_%d"):format(n) end

--- An iterator of `count` ids, none of which is made before it is asked for.
function subject.ids(count)
  local n = 0
  return function()
    n = n + 1
    if n <= count then return subject.id(n) end
  end
end

--- Asks for `count` alerts, so many at once; returns the number of addresses. `on_answer` is called after each.
function subject.each(client, count, concurrency, on_answer)
  local items = 0
  for _, ips, err in client:each("alert_ips", subject.ids(count), { concurrency = concurrency }) do
    items = items + #assert(ips, err)
    if on_answer then on_answer() end
  end
  return items
end

return subject

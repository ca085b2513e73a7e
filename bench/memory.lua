--- What a client and a call hold: KiB for each, from the process's own resident memory.
--
--   lua5.4 bench/memory.lua idle N      clients that have not asked anything yet
--   lua5.4 bench/memory.lua kept N      clients that have, and keep their connection
--   lua5.4 bench/memory.lua flight N    calls of one client in flight at once, by `each`
--   lua5.4 bench/memory.lua queued N    calls that have been started and wait for one that is in flight
local subject = require "bench.subject"

local mode, count = arg[1], tonumber(arg[2])

local function resident_kib()
  collectgarbage()
  local file = assert(io.open "/proc/self/status")
  local kib = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return tonumber(kib)
end

--- What libcurl and TLS need once is left out.
local function warm_up()
  local client = subject.client()
  assert(client:alert_ips(subject.id(1)))
  return client
end

local modes = {}

function modes.idle()
  local clients = { warm_up() }
  local before = resident_kib()
  for i = 1, count do clients[i + 1] = subject.client() end
  return resident_kib() - before, clients -- which live until then
end

function modes.kept()
  local clients = { warm_up() }
  local before = resident_kib()
  for i = 1, count do clients[i + 1] = warm_up() end
  return resident_kib() - before, clients
end

function modes.flight()
  warm_up()
  local client = subject.client{ concurrency = count, base_url = os.getenv "BENCH_BASE" .. "/slow" }
  local before, most = resident_kib(), 0
  local answers = 0
  subject.each(client, 4 * count, count, function()
    answers = answers + 1
    if answers % (count // 4) == 0 then most = math.max(most, resident_kib()) end
  end)
  return most - before
end

function modes.queued()
  local client = subject.client{ concurrency = 1 }
  assert(client:alert_ips(subject.id(1)))
  local calls = {}
  for i = 1, count do calls[i] = false end
  local before = resident_kib()
  for i = 1, count do calls[i] = client:start("alert_ips", subject.id(i)) end
  return resident_kib() - before, calls
end

local kib = modes[mode]()
print(("%.2f"):format(kib / count))

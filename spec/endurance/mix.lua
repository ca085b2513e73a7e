--- All ways of calling, in laps of about 280 calls.
--
--     local all = mix.new(main, loose)      two parties: nothing of the first is given up, so its counts are exact
--     all:lap()
--     all:close()                           waits for what is under way, and retires the clients
local ids = require "spec.endurance.ids"
local mde = require "mde"
local simulator = require "spec.support.simulator"

local mix = {}

local Mix = {}
Mix.__index = Mix

local MACHINES = { "alert_machine", "alert_domains" }
local ONCE = { max_attempts = 1 }
local LATE = { timeout = 2, max_attempts = 1 }
local WIRES = { { "url", "1.1" }, { "h2_url", "2" }, { "http_url", "1.1" } }

-- Never reached. A quota remembers as many calls as a window lets through, however old they are: with a million of them
-- its memory would grow all the time.
local HUGE_LIMIT = { [0.1] = 5000 }

--- For many calls at once, with a private quota; and over one connection, with a quota in a file.
local function make_clients(main, loose)
  local path = os.tmpname()
  os.remove(path)
  local quota = mde.quota{ path = path, rate_limit = HUGE_LIMIT }
  local clients = {
    wide = main:client{ concurrency = 32, rate_limit = HUGE_LIMIT },
    shared = main:client{ quota = quota, base_url = simulator.h2_url, http_version = "2", concurrency = 16 },
    renewing = main:fetching_client{ rate_limit = false },
    patient = main:client{ base_url = simulator.h2_url, http_version = "2", rate_limit = false, concurrency = 100 },
    hasty = loose:client{ rate_limit = HUGE_LIMIT },
  }
  return clients, function()
    quota:close()
    os.remove(path)
  end
end

function mix.new(main, loose)
  local self = setmetatable({ main = main, loose = loose, laps = 0, waiting = {} }, Mix)
  self.clients, self.close_quota = make_clients(main, loose)
  main.seen:made(1)
  local alerts = assert(self.clients.wide:alerts())
  main.seen:take(alerts)
  self.ids = ids.new(alerts)
  return self
end

-- --- nothing is given up ---

local parts = {}

function parts.unordered(self)
  self.main:each(self.clients.wide, "alert_ips", self.ids.some(120), { concurrency = 32 })
end

function parts.ordered(self)
  self.main:each(self.clients.shared, "alert", self.ids.some(60), { ordered = true, max_attempts = 1 })
end

function parts.blocking(self)
  for id in self.ids.some(20) do self.main:call(self.clients.shared, "alert_ips", id) end
end

function parts.pages(self)
  self.main:call(self.clients.wide, "alerts", { filter = "severity eq 'High'", max_items = 12 })
  self.main:call(self.clients.shared, "alerts", { top = 3, max_items = 6, expand = "evidence" })
end

--- Tokens come to their end meanwhile, and sometimes early.
function parts.started(self)
  local calls, client = {}, self.clients.renewing
  if self.laps % 20 == 0 then self.main.space:control{ expire_tokens = true } end
  for id in self.ids.some(40) do calls[#calls + 1] = self.main:start(client, MACHINES[#calls % 2 + 1], id) end
  repeat until client:step(10) == 0
  for _, call in ipairs(calls) do self.main:finish(call) end
end

local function take_done(self)
  local open = {}
  for _, call in ipairs(self.waiting) do
    if call:done() then self.main:finish(call) else open[#open + 1] = call end
  end
  self.waiting = open
end

--- Whose pauses and time-outs nobody waits for.
function parts.patient(self)
  local waiting, client = self.waiting, self.clients.patient
  for id in self.ids.some(4) do table.insert(waiting, self.main:start(client, "alert_user", id)) end
  if self.laps % 4 == 0 then table.insert(waiting, self.main:start(client, "alert_files", self.ids.next(), LATE)) end
  client:step(0)
  take_done(self)
end

--- One of a few calls: closed, or left to the collector.
function parts.short_lived(self)
  local wire = WIRES[self.laps % #WIRES + 1]
  local client = self.main:client{ base_url = simulator[wire[1]], http_version = wire[2] }
  for id in self.ids.some(2) do self.main:call(client, "alert_machine", id) end
  self.main:retire(client)
  if self.laps % 2 == 0 then client:close() end
end

-- --- given up ---

--- Started, and after a while cancelled, dropped, or waited for, by turns.
function parts.abandoned(self)
  local calls, client = {}, self.clients.hasty
  for id in self.ids.some(12) do table.insert(calls, self.loose:start(client, "alert_ips", id, ONCE)) end
  for _ = 1, self.laps % 6 do client:step(0.001) end
  for i = 1, 4 do
    calls[i]:cancel()
    self.loose:finish(calls[i])
    self.loose:drop(calls[i + 4])
    calls[i + 4] = nil
  end
  collectgarbage()
  repeat until client:step(10) == 0
  for i = 9, 12 do self.loose:finish(calls[i]) end
end

function parts.left_early(self)
  self.loose:each(self.clients.hasty, "alert_domains", self.ids.some(20), nil, 5)
  collectgarbage()
end

local ORDER = {
  "unordered", "ordered", "blocking", "pages", "started", "patient", "short_lived", "abandoned", "left_early",
}

function Mix:lap()
  self.laps = self.laps + 1
  for _, name in ipairs(ORDER) do parts[name](self) end
end

function Mix:calls() return self.main.seen.calls + self.loose.seen.calls end

function Mix:close()
  repeat until self.clients.patient:step(10) == 0
  take_done(self)
  for name, client in pairs(self.clients) do
    self[name == "hasty" and "loose" or "main"]:retire(client)
    client:close()
  end
  self.close_quota()
end

return mix

--- What a script sees of its calls: what becomes of each, and its clients' events.
--
--     local seen = tally.new()
--     mde.client{ on_event = seen.listener, ... }
--     seen:made(2)
--     seen:take(client:alert_ips(id))         a value, or nil and an error
--     seen:drop(1)                            one whose outcome nobody asks for
--     seen:add_statistics(client:stats())     of a client at its end
local tally = {}

local Tally = {}
Tally.__index = Tally

local function add(counts, key, amount) counts[key] = (counts[key] or 0) + (amount or 1) end

local hear = {}

-- An answer that was broken off has no status: the simulator counts it as 0.
function hear.attempt(self, event)
  local statuses = self.statuses[event.operation] or {}
  self.statuses[event.operation] = statuses
  add(statuses, tostring(event.status or 0))
  add(self.bytes, event.status and "whole" or "broken", event.bytes)
  if event.attempt > 1 and event.operation ~= "token" then self.repeated = self.repeated + 1 end
end

function hear.wait(self, event)
  if event.operation ~= "token" then self.waited_seconds = self.waited_seconds + event.seconds end
end

function hear.token(self) self.tokens = self.tokens + 1 end

function hear.page(self) self.pages = self.pages + 1 end

function tally.new()
  local self = setmetatable({
    calls = 0, answered = 0, dropped = 0, errors = 0, kinds = {}, statuses = {}, stats = {},
    bytes = { whole = 0, broken = 0 },
    repeated = 0, waited_seconds = 0, tokens = 0, pages = 0,
  }, Tally)
  self.listener = function(event) hear[event.kind](self, event) end
  return self
end

function Tally:made(count) self.calls = self.calls + count end

function Tally:drop(count) self.dropped = self.dropped + count end

function Tally:take(value, err)
  if value then
    self.answered = self.answered + 1
  else
    self.errors = self.errors + 1
    add(self.kinds, err.kind)
  end
end

--- Of a client at its end.
function Tally:add_statistics(stats)
  for name, value in pairs(stats) do add(self.stats, name, value) end
end

return tally

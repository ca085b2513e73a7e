--- Clients that share a namespace of the simulator, and the tally of all that they do.
--
--     local main = party.new()
--     local client = main:client{ concurrency = 32 }
--     main:call(client, "alert_ips", id)             asks and waits
--     local call = main:start(client, "alert", id)   main:finish(call) or main:drop(call)
--     main:retire(client)                            its statistics are added; then it may go
local faults = require "spec.endurance.faults"
local mde = require "mde"
local merged = require "spec.support.merged"
local simulator = require "spec.support.simulator"
local tally = require "spec.endurance.tally"

local party = {}

local Party = {}
Party.__index = Party

-- A window to measure by: without one there would be those of a minute and an hour, which remember each request.
local NO_LIMITS = { [1] = 1000000 }

function party.new()
  local space = simulator.namespace()
  space:control{
    limits = NO_LIMITS, access_log = false, page_size = 5, faults = faults(),
    token = { lifetime = 6, limits = NO_LIMITS },
  }
  return setmetatable({ space = space, seen = tally.new() }, Party)
end

--- Without a credential it has the namespace's token.
function Party:client(options)
  local all = merged({ base_url = simulator.url, ca_file = simulator.ca_file, proxy = "" }, options)
  if not all.client_secret then all.token = self.space.token end
  all.on_event = self.seen.listener
  return mde.client(all)
end

--- One that fetches its tokens.
function Party:fetching_client(options)
  return self:client(merged(self.space:account{ client_secret = self.space.client_secret }, options))
end

function Party:call(client, operation, ...)
  self.seen:made(1)
  self.seen:take(client[operation](client, ...))
end

function Party:start(client, operation, ...)
  self.seen:made(1)
  return client:start(operation, ...)
end

function Party:finish(call) self.seen:take(call:result()) end

--- Lets go of it; what is done by then is told all the same.
function Party:drop(call)
  if call:done() then self:finish(call) else self.seen:drop(1) end
end

--- Those for whom `ids` has been asked are made, even if the loop is left before they are handed out.
function Party:each(client, operation, ids, options, most)
  local taken, handed = 0, 0
  local function counted()
    local id = ids()
    if id then taken = taken + 1 end
    return id
  end
  for _, value, err in client:each(operation, counted, options) do
    self.seen:take(value, err)
    handed = handed + 1
    if handed == most then break end
  end
  self.seen:made(taken)
  self.seen:drop(taken - handed)
end

function Party:retire(client) self.seen:add_statistics(client:stats()) end

return party

--- What may go wrong on purpose after each lap, to see it found.
local curl = require "spec.support.curl"
local heap = require "heap"
local simulator = require "spec.support.simulator"

local leaks = {}

local files, chain = {}, {}

--- Bytes that Lua does not know of: 1000 for each call.
function leaks.memory(_, calls) heap.lose(1000 * calls) end

--- Some bytes of Lua's for each call.
function leaks.lua(_, calls)
  for _ = 1, calls do chain = { chain } end
end

--- One for each lap.
function leaks.descriptor() files[#files + 1] = assert(io.open "/dev/null") end

--- One call too many; in the first lap only.
function leaks.call(all)
  if all.laps == 1 then all.main.seen:made(1) end
end

--- A request that no client knows of; likewise.
function leaks.request(all)
  if all.laps == 1 then
    curl.get(simulator.url .. "/api/alerts/" .. all.ids.next(), { ca_file = simulator.ca_file,
      token = all.main.space.token })
  end
end

return leaks

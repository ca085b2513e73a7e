--- What all workers count together, in a shared dictionary.
local counts = {}

local shared = ngx.shared.gateway_counts

--- One more of that name.
function counts.add(name) shared:incr(name, 1, 0) end

--- One more answer with that status.
function counts.request(status) counts.add("requests " .. status) end

--- name -> number, of the names that begin so; without that beginning.
function counts.beginning(start)
  local found = {}
  for _, key in ipairs(shared:get_keys(0)) do
    if key:sub(1, #start) == start then found[key:sub(#start + 1)] = shared:get(key) end
  end
  return found
end

function counts.get(name) return shared:get(name) or 0 end

--- Remembers a value for other workers to see.
function counts.set(name, value, seconds) shared:set(name, value, seconds) end

return counts

--- What all workers count together, in a shared dictionary: it outlives them and every reload.
local counts = {}

local shared = ngx.shared.gateway_counts

--- So many more of that name; one, if it is not said.
function counts.add(name, more) shared:incr(name, more or 1, 0) end

--- One more answer with that status.
function counts.request(status) counts.add("requests " .. status) end

--- { { rest of the name, number }, ... }, in order, of the names that begin so.
function counts.beginning(start)
  local found = {}
  for _, key in ipairs(shared:get_keys(0)) do
    local number = key:sub(1, #start) == start and shared:get(key)
    if number then found[#found + 1] = { key:sub(#start + 1), number } end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

function counts.get(name) return shared:get(name) or 0 end

function counts.has(name) return shared:get(name) ~= nil end

--- For so many seconds, or for ever.
function counts.set(name, value, seconds) shared:set(name, value, seconds or 0) end

return counts

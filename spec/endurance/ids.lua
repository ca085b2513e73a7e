--- Ids of alerts, one after the other and over again.
--
--     local all = ids.new(client:alerts())
--     all.next()
--     for id in all.some(20) do ... end
local ids = {}

function ids.new(alerts)
  local list, at = {}, 0
  for i, alert in ipairs(alerts) do list[i] = alert.id end
  local function next_id()
    at = at % #list + 1
    return list[at]
  end
  local function some(count)
    return function()
      count = count - 1
      if count >= 0 then return next_id() end
    end
  end
  return { next = next_id, some = some }
end

return ids

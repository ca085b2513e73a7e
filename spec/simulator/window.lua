-- Counts arrivals in a sliding window, exactly.
--
--   local minute = window.new(60, 100)
--   minute:arrive(now)                          every request, the refused ones too
--   if minute:exceeded() then refuse(minute:wait(now)) end
--   minute.largest                              most arrivals in any interval of 60 seconds so far
--
-- The largest count over all intervals is found at an arrival: the interval that ends with it and is open at its start.

local window = {}
window.__index = window

-- Without a `limit` it only measures.
function window.new(seconds, limit)
  return setmetatable({ seconds = seconds, limit = limit, arrivals = {}, first = 1, last = 0, largest = 0 }, window)
end

function window:arrive(now)
  self.last = self.last + 1
  self.arrivals[self.last] = now
  while self.arrivals[self.first] <= now - self.seconds do
    self.arrivals[self.first] = nil
    self.first = self.first + 1
  end
  self.largest = math.max(self.largest, self:count())
end

function window:count()
  return self.last - self.first + 1
end

function window:exceeded()
  return self.limit ~= nil and self:count() > self.limit
end

-- Seconds after which one more would be let through, if nobody asked before.
function window:wait(now)
  local leaver = self.arrivals[self.first + self:count() - self.limit]
  return (leaver or now) + self.seconds - now
end

return window

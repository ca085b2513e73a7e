--- Waits for the descriptors of client:pollable(), as a script's own loop would.
--
--     local list, seconds = client:pollable()
--     readable.wait(list, seconds or 10)         true: one of them is ready
local uv = require "luv"

local readable = {}

local modes = { r = "r", w = "w", rw = "rw" }

function readable.wait(list, seconds)
  local ready, over, handles = false, false, {}
  uv.update_time() -- the loop may not have run for longer than the timer is to take
  local timer = uv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, function() over = true end)
  for i, one in ipairs(list) do
    handles[i] = uv.new_poll(one.fd)
    handles[i]:start(modes[one.events], function() ready = true end)
  end
  while not ready and not over do uv.run "once" end
  timer:close()
  for _, handle in ipairs(handles) do handle:close() end
  uv.run "nowait"
  return ready
end

return readable

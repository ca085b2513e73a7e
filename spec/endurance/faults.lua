--- What goes wrong: of a hundred requests about one. A prime of each, so that they meet in all orders.
--
-- Where the script waits for one call the pauses between attempts would be most of the time: there the answer says that
-- it may be asked again at once, or there is one attempt only.

local AT_ONCE = { ["Retry-After"] = "0" }

--- No words of a limit, which would lower that of the client.
local function status(number, every, headers)
  return { name = "status " .. number, status = number, message = "not now", every = every, headers = headers }
end

local function malformed(every) return { name = "malformed", body = '{"value":[{"id":', every = every } end

local faults = {
  alert_ips = {
    status(429, 503, AT_ONCE), status(500, 509, AT_ONCE), status(503, 521, AT_ONCE), malformed(523),
    { name = "trickle", trickle = { bytes = 20, every = 0.001 }, every = 541 },
    { name = "slow", delay = 0.02, every = 547 },
  },
  -- One attempt.
  alert = {
    status(429, 601, AT_ONCE), status(500, 607), status(503, 613), malformed(617),
    { name = "reset", reset = "before", every = 619 }, { name = "half", reset = "middle", every = 631 },
    { name = "short", truncate = 20, every = 641 },
  },
  alerts = {
    status(503, 211, AT_ONCE), malformed(223), { name = "other host", next_link = "other_host", every = 229 },
  },
  alert_machine = { status(502, 401, AT_ONCE), status(429, 409, AT_ONCE) },
  -- The script does not wait for these.
  alert_user = {
    status(408, 101), status(504, 103), status(500, 107), { name = "reset", reset = "before", every = 109 },
    { name = "half", reset = "middle", every = 113 }, { name = "short", truncate = 20, every = 127 },
  },
  alert_files = { { name = "late", delay = 3, reset = "before", every = 1 } },
  token = { status(503, 2, AT_ONCE), malformed(2) },
}

--- As the simulator's queue wants them.
return function()
  local queue = {}
  for operation, list in pairs(faults) do
    for _, fault in ipairs(list) do
      fault.operation, fault.times = operation, -1
      queue[#queue + 1] = fault
    end
  end
  return queue
end

-- What does the client do? Each attempt, wait and page on stderr, the totals at the end.
--
--   MDE_TOKEN=... lua5.4 examples/watch_events.lua ID...
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local mde = require "mde"

local token = os.getenv "MDE_TOKEN"
if not token or #arg == 0 then
  io.stderr:write("usage: MDE_TOKEN=... lua5.4 examples/watch_events.lua ID...\n")
  os.exit(2)
end

-- No event holds the token, so they may go into a log.
local describe = {
  attempt = function(event)
    return ("%s attempt %d: %s in %.3f s, %d bytes"):format(event.operation, event.attempt,
      event.status or event.error or "no answer", event.seconds, event.bytes)
  end,
  wait = function(event)
    return ("%s waits %.1f s (%s)"):format(event.operation, event.seconds, event.reason)
  end,
  page = function(event)
    return ("%s page %d: %d items"):format(event.operation, event.page, event.items)
  end,
  token = function(event) return "token fetched: " .. (event.ok and "ok" or "failed") end,
}

local client = mde.client{
  token = token,
  base_url = os.getenv "MDE_BASE_URL",
  ca_file = os.getenv "MDE_CA_FILE",
  on_event = function(event) io.stderr:write(describe[event.kind](event), "\n") end,
}

local failed = false
for _, id in ipairs(arg) do
  local files, err = client:alert_files(id)
  if files then
    for _, file in ipairs(files) do print(id .. "\t" .. tostring(file.sha1)) end
  else
    failed = true
    io.stderr:write(id, ": ", tostring(err), "\n")
  end
end

local stats = client:stats()
io.stderr:write(("%d calls, %d requests, %d retries, %.1f s of waits\n"):format(stats.calls, stats.attempts,
  stats.retries, stats.waited_seconds))
client:close()
os.exit(failed and 1 or 0)

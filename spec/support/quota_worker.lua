-- One of the processes that share a quota: from the start on it calls the service, until the end. Its argument is JSON:
--
--   url, ca_file, token, timeout, quota     of the client; the quota's file
--   windows                                 { { seconds, calls }, ... }
--   log                                     a file that lines are appended to
--   start                                   a file that is not there before the start. It holds the moment of the end,
--                                           by the monotonic clock, which is the same for all processes
--   patience                                seconds to wait for the start
--
-- Its lines: "ready"; "served SECONDS" with what the call took beyond waiting for the quota; "failed KIND WHY"; at the
-- end "done THROTTLED CPU": answers 429, and seconds of processor time.
local cjson = require "cjson"
local mde = require "mde"
local system = require "system"

local ALERT = "da637472900382838869_1364969609"
local PAUSE = 0.05 -- after a failure, which may have taken no time
local ROUNDING = 0.005

local given = cjson.decode(arg[1])
local log = assert(io.open(given.log, "ab"))

-- One write for a line: it is whole, whenever this process is killed.
local function note(form, ...)
  log:write(form:format(...), "\n")
  log:flush()
end

local windows = {}
for _, window in ipairs(given.windows) do windows[window[1]] = window[2] end

local client = mde.client{
  base_url = given.url, ca_file = given.ca_file, token = given.token, proxy = "",
  quota = mde.quota{ path = given.quota, rate_limit = windows },
  timeout = given.timeout,
  max_attempts = 1, -- a 429 is a failure, not a pause
}

-- Waits for the start; returns the end.
local function await_start()
  local latest = system.monotime() + given.patience
  while system.monotime() < latest do
    local file = io.open(given.start)
    if file then return file:read "*n" end
    system.sleep(0.005)
  end
  error "nobody starts it"
end

note "ready"
local till = await_start()

local function left() return till - system.monotime() end

local function waited() return client:stats().waited_seconds end

-- Whether it is only the time that is over. A wait beyond the end is not begun: the client says so at once.
local function is_end(err)
  local wait = err.kind == "rate_limited" and err.retry_after or 0
  return left() <= wait + ROUNDING
end

-- Returns whether to go on.
local function call()
  local before, start = waited(), system.monotime()
  local value, err = client:alert_ips(ALERT, { budget = left() })
  if value then
    note("served %.4f", system.monotime() - start - (waited() - before))
    return true
  end
  if is_end(err) then return false end
  note("failed %s %s", err.kind, (tostring(err):gsub("\n", " ")))
  system.sleep(PAUSE)
  return true
end

while left() > ROUNDING and call() do end
note("done %d %.2f", client:stats().throttled, os.clock())

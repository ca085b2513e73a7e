--- How much of the processor another process takes, as Linux counts it: by the nanosecond where it can.
--
--     on_cpu.share(pid, 2)      0.0012: in the next two seconds, of one core
local shell = require "spec.support.shell"
local system = require "system"

local on_cpu = {}

local STAT = "%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)" -- behind the name: user and system time

-- All threads' time on a core. Without schedstat it is counted in hundredths of a second.
local function seconds(pid)
  local nanoseconds = 0
  for line in shell.must(("cat /proc/%s/task/*/schedstat || :"):format(pid)):gmatch "[^\n]+" do
    local count = tonumber((line:match "^(%d+) %d+ %d+$"))
    if not count then
      local user, kernel = shell.read(("/proc/%s/stat"):format(pid)):match(STAT)
      return (user + kernel) / 100
    end
    nanoseconds = nanoseconds + count
  end
  return nanoseconds / 1e9
end

function on_cpu.share(pid, duration)
  local start, before = system.monotime(), seconds(pid)
  system.sleep(duration)
  return (seconds(pid) - before) / (system.monotime() - start)
end

return on_cpu

-- Seconds since the simulator started, to the nanosecond.
-- ngx.now() is neither: it is the start of the event loop's turn in milliseconds, too coarse for exact windows.

local ffi = require "ffi"

ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } simulator_time;
int clock_gettime(int clock, simulator_time *time);
]]

local CLOCK_MONOTONIC = 1

local time = ffi.new "simulator_time"

local function monotonic()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) * 1e-9
end

local start = monotonic()

local clock = {}

function clock.now()
  return monotonic() - start
end

return clock

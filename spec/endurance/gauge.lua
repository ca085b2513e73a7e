--- Measures what the process holds, now and then.
--
--     local one = gauge.new(100)                     at most so many times
--     one:read(calls)                                after so many calls
--     one.count, one.calls, one.series.resident      lists; likewise series.used, .lua, .descriptors
--
-- Bytes that are resident, bytes of the C library's heap that are in use, those that Lua holds, and descriptors. The
-- heap's resident part jumps by a megabyte now and then, since what is free between two that are in use stays; of what
-- is in use there are few bytes more or less.
local heap = require "heap"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local gauge = {}

local Gauge = {}
Gauge.__index = Gauge

local PAGE_BYTES = tonumber(shell.must "getconf PAGESIZE")

-- Filled beforehand, so that the measuring itself takes no memory later.
local function list(length)
  local numbers = {}
  for i = 1, length do numbers[i] = 0.5 end
  return numbers
end

function gauge.new(most)
  return setmetatable({
    count = 0, calls = list(most),
    series = { resident = list(most), used = list(most), lua = list(most), descriptors = list(most) },
  }, Gauge)
end

local function resident_bytes()
  local file = assert(io.open "/proc/self/statm")
  local pages = file:read "*l":match "^%d+ (%d+)"
  file:close()
  return pages * PAGE_BYTES
end

--- What has a finalizer is freed by the second collection.
function gauge.collect()
  collectgarbage()
  collectgarbage()
end

function gauge.descriptors() return select(2, process.descriptors():gsub("\n", "")) end

function Gauge:read(calls)
  local i, series = self.count + 1, self.series
  gauge.collect()
  self.count, self.calls[i] = i, calls
  series.lua[i] = collectgarbage "count" * 1024
  series.used[i] = heap.used()
  series.resident[i] = resident_bytes()
  series.descriptors[i] = gauge.descriptors()
end

return gauge

--- Measures what the process holds, now and then: bytes of memory, bytes of Lua's, descriptors.
--
--     local one = gauge.new(100)                     at most so many times
--     one:read(calls)                                after so many calls
--     one.series.resident, .lua, .descriptors        lists; one.calls likewise
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
    count = 0, calls = list(most), series = { resident = list(most), lua = list(most), descriptors = list(most) },
  }, Gauge)
end

local function resident_bytes()
  local file = assert(io.open "/proc/self/statm")
  local pages = file:read "*l":match "^%d+ (%d+)"
  file:close()
  return pages * PAGE_BYTES
end

-- What has a finalizer is freed by the second collection.
local function lua_bytes()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" * 1024
end

function Gauge:read(calls)
  local i = self.count + 1
  self.count = i
  self.calls[i] = calls
  self.series.lua[i] = lua_bytes()
  self.series.resident[i] = resident_bytes()
  self.series.descriptors[i] = select(2, process.descriptors():gsub("\n", ""))
end

return gauge

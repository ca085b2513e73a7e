--- The client under test: lua5.4 bench/client.lua sequential N | each N CONCURRENCY | page
--
-- Prints the number of items that it got: who has got less has not done the work. `each` prints also the milliseconds
-- that the work took without the start of the program.
local subject = require "bench.subject"

local mode, count, concurrency = arg[1], tonumber(arg[2]), tonumber(arg[3])

local modes = {}

function modes.sequential()
  local client, items = subject.client(), 0
  for n = 1, count do items = items + #assert(client:alert_ips(subject.id(n))) end
  return items
end

function modes.each()
  local native = require "bench_native"
  local began = native.now()
  return subject.each(subject.client{ concurrency = concurrency }, count, concurrency), native.now() - began
end

function modes.page()
  return #assert(subject.client():alerts{ max_items = 10000 })
end

print(modes[mode]())

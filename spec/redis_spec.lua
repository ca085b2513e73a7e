-- mde.redis: one quota for many machines, in a real Redis. The clock is mde.testing's unless the server's own is meant.
local mde = require "mde"
local mde_redis = require "mde.redis"
local redis = require "spec.support.redis"
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local testing = require "mde.testing"

local OPERATION, ALERT = "alert_ips", "da637472900382838869_1364969609"

local server, client
local budgets, key = 0, nil

--- A quota of this spec's own budget, with the clock that the test moves. `server_clock`: with the server's.
local function open(options)
  local all = { eval = client.eval, key = key, rate_limit = { [10] = 2 }, clock = testing.now }
  for name, value in pairs(options or {}) do all[name] = value end
  if all.server_clock then all.clock, all.server_clock = nil, nil end
  if all.rate_limit == "documented" then all.rate_limit = nil end
  return mde_redis.quota(all)
end

local function take(quota, lease)
  local slot, seconds, message = quota:reserve(OPERATION, lease or 30)
  assert(slot, ("refused for %s s: %s"):format(tostring(seconds), tostring(message)))
  return slot
end

--- A call that is answered at once; so many.
local function call(quota, times)
  for _ = 1, times or 1 do quota:settle(OPERATION, take(quota), "answered") end
end

--- Expects a refusal; returns the seconds, the message, and whether a Retry-After closes the operation.
local function refused(quota)
  local slot, seconds, message, closed = quota:reserve(OPERATION, 30)
  assert.is_nil(slot)
  assert.is_true(seconds > 0)
  return scripted.rounded(seconds), message, closed
end

--- How long a call counts in a window: see core/window.h.
local function held(seconds) return scripted.rounded(seconds * 1.001 + 0.003) end

local function slots_key() return ("mde:{%s:%s}:slots"):format(key, OPERATION) end
local function state_key() return ("mde:{%s:%s}:state"):format(key, OPERATION) end

--- Calls `run`, and counts: count.calls.
local function counted(run)
  local count = { calls = 0 }
  return function(...)
    count.calls = count.calls + 1
    return run(...)
  end, count
end

--- An eval that works until told otherwise: faults.now = function() ... end is called instead.
local function breakable()
  local faults = {}
  return function(...)
    if faults.now then return faults.now(...) end
    return client.eval(...)
  end, faults
end

local function away() error("connection refused", 0) end

setup(function()
  server = redis.start()
  client = server:client()
end)

teardown(function() server:close() end)

before_each(function()
  budgets = budgets + 1
  key = "budget" .. budgets
end)

describe("a quota in Redis", function()
  it("grants what the window has, and then says when to ask again", function()
    local quota = open()
    call(quota, 2)
    local seconds, message, closed = refused(quota)
    assert.equal(held(10), seconds)
    assert.is_nil(message)
    assert.is_false(closed)
    testing.advance(seconds - 0.001)
    assert.equal(0.001, (refused(quota)))
    testing.advance(0.001)
    call(quota, 2)
  end)

  it("keeps several windows", function()
    local quota = open{ rate_limit = { [1] = 2, [10] = 3 } }
    call(quota, 2)
    assert.equal(held(1), (refused(quota)))
    testing.advance(held(1))
    call(quota)
    assert.equal(scripted.rounded(held(10) - held(1)), (refused(quota)))
  end)

  it("has the documented windows unless told otherwise", function()
    local quota = open{ rate_limit = "documented" }
    assert.same(mde.windows(OPERATION), (quota:remaining(OPERATION)))
  end)

  it("grants everything without a limit", function()
    local quota = open{ rate_limit = false }
    call(quota, 50)
    assert.same({}, (quota:remaining(OPERATION)))
  end)

  it("may have windows of parts of a second", function()
    local quota = open{ rate_limit = { [0.25] = 1 } }
    call(quota)
    assert.equal(0.253, (refused(quota)))
  end)

  it("goes by the server's clock", function()
    local quota = open{ server_clock = true, rate_limit = { [0.5] = 1 } }
    call(quota)
    local seconds = refused(quota)
    assert.is_true(seconds > 0 and seconds <= held(0.5) + 0.001)
    shell.must("sleep " .. seconds)
    call(quota)
  end)

  it("counts for a clock that goes back as if it stood still", function()
    local now = 1000
    local quota = open{ clock = function() return now end }
    call(quota, 2)
    now = 900
    assert.equal(held(10), (refused(quota)))
    now = 1000 + held(10)
    call(quota)
  end)

  it("tells what is left", function()
    local quota = open{ rate_limit = { [10] = 2, [60] = 5 } }
    local left, seconds = quota:remaining(OPERATION)
    assert.same({ [10] = 2, [60] = 5 }, left)
    assert.equal(0, seconds)
    take(quota)
    call(quota)
    left, seconds = quota:remaining(OPERATION)
    assert.same({ [10] = 0, [60] = 3 }, left)
    assert.equal(held(10), scripted.rounded(seconds))
  end)

  it("is one for all who have the same prefix and key", function()
    local one, other = open(), open()
    call(one)
    call(other)
    refused(one)
    refused(other)
  end)

  it("is not disturbed by another key, another prefix, or another operation", function()
    call(open(), 2)
    call(open{ key = key .. "x" }, 2)
    call(open{ prefix = "other" }, 2)
    assert.is_truthy(open():reserve("alert_files", 30))
  end)

  it("remembers the calls of those who wanted a shorter window", function()
    call(open{ rate_limit = { [60] = 1 } })
    testing.advance(held(1))
    call(open{ rate_limit = { [1] = 1 } })
    testing.advance(held(1))
    assert.equal(scripted.rounded(held(60) - held(1)), (refused(open{ rate_limit = { [60] = 1 } })))
  end)
end)

describe("a slot", function()
  it("counts from the answer, not from the sending", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    local slot = take(quota)
    testing.advance(4)
    quota:settle(OPERATION, slot, "answered")
    assert.equal(held(10), (refused(quota)))
  end)

  it("never expires in flight, however short the window is", function()
    local quota = open{ rate_limit = { [1] = 1 } }
    take(quota, 100)
    testing.advance(99)
    assert.equal(held(1), (refused(quota)))
  end)

  it("whose holder crashed counts as answered when its lease ends", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    take(quota, 20)
    testing.advance(25)
    assert.equal(scripted.rounded(held(10) - 5), (refused(open{ rate_limit = { [10] = 1 } })))
  end)

  it("settled after its lease counts from then", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    local slot = take(quota, 1)
    testing.advance(60)
    quota:settle(OPERATION, slot, "answered")
    assert.equal(held(10), (refused(quota)))
  end)

  it("that was given up on counts as if answered 5 s later", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    quota:settle(OPERATION, take(quota), "abandoned")
    assert.equal(scripted.rounded(held(10) + 5), (refused(quota)))
  end)

  it("that was never sent is given back", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    quota:settle(OPERATION, take(quota), "unsent")
    call(quota)
  end)

  it("is settled once", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    local slot = take(quota)
    quota:settle(OPERATION, slot, "answered")
    quota:settle(OPERATION, slot, "unsent")
    assert.equal(held(10), (refused(quota)))
  end)

  it("in flight delays nobody longer than it must, behind others", function()
    local quota = open{ rate_limit = { [10] = 3 } }
    call(quota)
    testing.advance(1)
    quota:settle(OPERATION, take(quota), "abandoned")
    take(quota, 100)
    assert.equal(scripted.rounded(held(10) - 1), (refused(quota)))
    testing.advance(held(10) - 1)
    call(quota)
    assert.equal(scripted.rounded(1 + 5), (refused(quota))) -- the abandoned one; what is in flight is free later
  end)

  it("is taken once if the answer was lost, and asked for again", function()
    local lost = true
    local quota = open{ rate_limit = { [10] = 1 }, eval = function(...)
      local answer = client.eval(...)
      if lost then error "timeout" end
      return answer
    end }
    local seconds = refused(quota)
    assert.equal(1 + 1, tonumber(server:command("zcard " .. shell.quote(slots_key())):match "%d+")) -- and 'born'
    lost = false
    testing.advance(seconds)
    call(quota)
  end)
end)

describe("what the service teaches", function()
  it("closes the operation for all until Retry-After is over", function()
    local one, other = open(), open()
    one:penalize(OPERATION, 30)
    local seconds, message, closed = refused(other)
    assert.equal(30, seconds)
    assert.is_nil(message)
    assert.is_true(closed)
    testing.advance(29.999)
    refused(one)
    testing.advance(0.001)
    call(other)
  end)

  it("does not shorten an earlier closing, closes no other operation, and nothing for more than an hour", function()
    local quota = open()
    quota:penalize(OPERATION, 30)
    quota:penalize(OPERATION, 2)
    assert.equal(30, (refused(quota)))
    assert.is_truthy(quota:reserve("alert_files", 30))
    quota:penalize(OPERATION, 86400)
    assert.equal(3600, (refused(quota)))
  end)

  it("closes without a limit of our own, too", function()
    local quota = open{ rate_limit = false }
    quota:penalize(OPERATION, 30)
    assert.equal(30, (refused(quota)))
  end)

  it("lowers a window for all, and never raises one", function()
    local one, other = open{ rate_limit = { [10] = 5 } }, open{ rate_limit = { [10] = 5 } }
    one:penalize(OPERATION, nil, { 10, 2 })
    assert.same({ [10] = 2 }, (other:remaining(OPERATION)))
    one:penalize(OPERATION, 0, { 10, 4 })
    assert.same({ [10] = 2 }, (other:remaining(OPERATION)))
    call(other, 2)
    refused(one)
  end)

  it("counts against the lowered window what was sent before", function()
    local quota = open{ rate_limit = { [10] = 5 } }
    call(quota, 3)
    testing.advance(1)
    call(quota)
    quota:penalize(OPERATION, nil, { 10, 2 })
    assert.equal(scripted.rounded(held(10) - 1), (refused(quota))) -- when three of the four are free
  end)

  it("adds a window of a length that had none", function()
    local quota = open{ rate_limit = { [10] = 5 } }
    quota:penalize(OPERATION, nil, { 2, 1 })
    assert.same({ [10] = 5, [2] = 1 }, (quota:remaining(OPERATION)))
    call(quota)
    assert.equal(held(2), (refused(quota)))
  end)

  it("adds a few windows and no more, whatever it says", function()
    local quota = open()
    for seconds = 1, 30 do quota:penalize(OPERATION, nil, { seconds + 100, 50 }) end
    local count = 0
    for _ in pairs((quota:remaining(OPERATION))) do count = count + 1 end
    assert.equal(9, count)
  end)

  it("limits nobody who wants no limit", function()
    open():penalize(OPERATION, nil, { 10, 1 })
    call(open{ rate_limit = false }, 5)
  end)
end)

describe("EVALSHA", function()
  it("is used when given; the script itself is sent once", function()
    local eval, evals = counted(client.eval)
    local evalsha, shas = counted(client.evalsha)
    server:command "script flush"
    local quota = open{ eval = eval, evalsha = evalsha, rate_limit = { [10] = 100 } }
    call(quota, 3)
    assert.equal(6, shas.calls)
    assert.equal(2, evals.calls) -- to learn its hash, and to make it known
  end)

  it("falls back to EVAL where the script is not known any more", function()
    local quota = open{ evalsha = client.evalsha, rate_limit = { [10] = 3 } }
    call(quota)
    server:command "script flush"
    call(quota)
    call(quota)
    refused(quota)
  end)

  it("falls back for libraries that return their errors, too", function()
    local quota = open{ evalsha = function(...)
      local ok, answer = pcall(client.evalsha, ...)
      if ok then return answer end
      return false, (tostring(answer):match "NOSCRIPT.*")
    end }
    server:command "script flush"
    call(quota, 2)
    refused(quota)
  end)

  it("is not needed", function()
    call(open{ evalsha = nil })
  end)
end)

describe("the keys", function()
  it("of one operation have one hash tag, that of no other operation", function()
    local tags = {}
    local quota = open{ prefix = "team", eval = function(script, numkeys, ...)
      for i = 1, numkeys do tags[(select(i, ...)):match "^team:{(.-)}:%l+$"] = numkeys end
      return client.eval(script, numkeys, ...)
    end }
    call(quota)
    assert.same({ [key .. ":alert_ips"] = 2 }, tags)
    assert.is_truthy(quota:reserve("alert_files", 1))
    assert.equal(2, tags[key .. ":alert_files"])
  end)

  it("are all that the script touches: a cluster takes it", function()
    local cluster = redis.start{ cluster = true }
    local other = cluster:client()
    local quota = open{ eval = other.eval, evalsha = other.evalsha, server_clock = true }
    call(quota, 2)
    refused(quota)
    cluster:close()
  end)

  it("go by themselves when nothing in them counts any more", function()
    call(open{ server_clock = true, rate_limit = { [10] = 2, [60] = 5 } })
    local least, most = held(60) * 1000, (held(60) + 30 + 1) * 1000
    for _, name in ipairs{ slots_key(), state_key() } do
      local life = tonumber(server:command("pttl " .. shell.quote(name)):match "%d+")
      assert.is_true(life > least and life <= most, name .. " lives " .. life)
    end
  end)

  it("hold no more calls than count", function()
    local quota = open{ rate_limit = { [1] = 1 } }
    for _ = 1, 20 do
      call(quota)
      testing.advance(held(1))
    end
    assert.is_true(tonumber(server:command("zcard " .. shell.quote(slots_key())):match "%d+") <= 2)
  end)
end)

describe("without Redis", function()
  it("nothing is granted, and the message says why", function()
    local quota = open{ eval = away }
    local seconds, message, closed = refused(quota)
    assert.equal(0.1, seconds)
    assert.equal("Redis does not answer: connection refused", message)
    assert.is_falsy(closed)
    local left
    left, message = quota:remaining(OPERATION)
    assert.is_nil(left)
    assert.equal("Redis does not answer: connection refused", message)
  end)

  it("it is asked again after pauses that grow up to 5 s", function()
    local eval, evals = counted(away)
    local quota, pauses = open{ eval = eval }, {}
    for i = 1, 9 do
      pauses[i] = refused(quota)
      assert.equal(i, evals.calls)
      testing.advance(pauses[i] / 2)
      assert.equal(scripted.rounded(pauses[i] / 2), (refused(quota)))
      assert.equal(i, evals.calls) -- not within a pause
      testing.advance(pauses[i] / 2)
    end
    assert.same({ 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5 }, pauses)
  end)

  it("an answer makes the next pause a short one", function()
    local eval, faults = breakable()
    local quota = open{ eval = eval }
    faults.now = away
    testing.advance(refused(quota))
    testing.advance(refused(quota))
    faults.now = nil
    call(quota)
    faults.now = away
    assert.equal(0.1, (refused(quota)))
  end)

  local failures = {
    ["raises"] = { function() error "broken pipe" end, "broken pipe" },
    ["raises what is no string"] = { function() error(true) end, "true" },
    ["returns nil and a message"] = { function() return nil, "timeout" end, "timeout" },
    ["returns false and a message"] = { function() return false, "ERR no" end, "ERR no" },
    ["returns nothing"] = { function() end, "a table expected, got nil" },
    ["returns its null"] = { function() return io.stdout end, "a table expected, got file" },
    ["returns another answer"] = { function() return {} end, "the answer is none of the script's" },
    ["says too much"] = { function() return nil, "a\r\nb\1" .. ("x"):rep(1000) end, "a b x" },
  }
  for what, failure in pairs(failures) do
    it("it does not matter how the library says so: it " .. what, function()
      local _, message = refused(open{ eval = failure[1] })
      assert.is_truthy(message:find("Redis does not answer: ", 1, true))
      assert.is_truthy(message:find(failure[2], 1, true), message)
      assert.is_true(#message < 250 and not message:find "%c")
    end)
  end

  it("settle and penalize raise nothing; Redis is told when it is back", function()
    local eval, faults = breakable()
    local quota, other = open{ eval = eval, rate_limit = { [60] = 3 } }, open{ rate_limit = { [60] = 3 } }
    local unsent, answered = take(quota), take(quota)
    faults.now = away
    quota:settle(OPERATION, unsent, "unsent")
    quota:settle(OPERATION, answered, "answered")
    quota:penalize(OPERATION, 20, { 60, 2 })
    testing.advance(6)
    faults.now = nil
    local seconds, _, closed = refused(quota)
    assert.is_true(closed)
    assert.is_true(seconds >= 14 and seconds <= 15) -- an age is rather taken for too short
    testing.advance(seconds)
    call(other)
    local left = refused(other)
    assert.is_true(left >= held(60) - 6 - 15 and left <= held(60) - 5 - 14) -- of the answered one
  end)

  it("what it is told later comes a hundred at once", function()
    local eval, faults = breakable()
    local most = 0
    local quota, slots = open{ rate_limit = { [60] = 1000 }, eval = function(...)
      most = math.max(most, select("#", ...))
      return eval(...)
    end }, {}
    for i = 1, 250 do slots[i] = take(quota) end
    faults.now = away
    for i = 1, 250 do quota:settle(OPERATION, slots[i], "unsent") end
    testing.advance(10)
    faults.now = nil
    assert.same({ [60] = 1000 }, (quota:remaining(OPERATION)))
    assert.is_true(most > 300 and most < 350)
  end)

  it("a clock that was set back does not make a pause longer", function()
    local now = 1000
    local eval, evals = counted(away)
    local quota = open{ eval = eval, clock = function() return now end }
    refused(quota)
    refused(quota)
    assert.equal(1, evals.calls)
    now = 500
    refused(quota)
    assert.equal(2, evals.calls)
  end)

  it("is a server that has really gone, and comes back", function()
    local own = redis.start()
    local run = own:client()
    local quota = open{ eval = run.eval, evalsha = run.evalsha }
    call(quota)
    own:stop()
    local seconds, message = refused(quota)
    assert.is_truthy(message:find "^Redis does not answer: .*closed")
    testing.advance(seconds)
    own:resume()
    seconds, message = refused(quota) -- without its data
    assert.is_truthy(message:find "^Redis has lost")
    testing.advance(seconds)
    call(quota, 2)
    own:close()
  end)
end)

describe("lost data", function()
  local function message_of_loss(quota)
    local seconds, message, closed = refused(quota)
    assert.is_truthy(message:find "^Redis has lost what it knew of the calls")
    assert.is_falsy(closed)
    return seconds
  end

  it("counts as full: for a window after all that may be in flight", function()
    local quota = open()
    take(quota, 30)
    testing.advance(1)
    server:command "flushall"
    assert.equal(held(10) + 30, message_of_loss(quota))
    assert.same({ [10] = 0 }, (quota:remaining(OPERATION)))
    testing.advance(held(10) + 30)
    call(quota, 2)
  end)

  it("counts as full for those who did not know, too, and not longer for each who knew", function()
    local one, other = open(), open()
    call(one)
    call(other)
    testing.advance(1)
    server:command "flushall"
    local seconds = message_of_loss(one)
    testing.advance(2)
    assert.equal(seconds - 2, message_of_loss(other))
    assert.equal(seconds - 2, message_of_loss(open()))
    testing.advance(seconds - 2)
    call(other, 2)
  end)

  it("is noticed when one of the keys was evicted, even by those who did not know", function()
    for _, name in ipairs{ slots_key(), state_key() } do
      call(open())
      testing.advance(1)
      server:command("del " .. shell.quote(name))
      testing.advance(message_of_loss(open()))
    end
  end)

  it("is none when the keys went by themselves", function()
    local quota = open()
    call(quota, 2)
    testing.advance(held(10) + 30 + 1)
    server:command "flushall"
    call(quota, 2)
  end)

  it("leaves a closing and the calls in flight counted", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    local slot = take(quota, 6)
    testing.advance(1)
    server:command "flushall"
    local seconds = message_of_loss(quota)
    testing.advance(seconds - 1)
    quota:settle(OPERATION, slot, "answered") -- late
    testing.advance(1)
    assert.equal(held(10) - 1, (refused(quota)))
  end)
end)

describe("a local share", function()
  local function open_share(share, windows)
    local eval, faults = breakable()
    return open{ eval = eval, on_outage = share, rate_limit = windows or { [10] = 6 } }, faults
  end

  it("goes on without Redis, with a part of the calls", function()
    local quota, faults = open_share(1 / 3)
    faults.now = away
    call(quota, 2)
    local seconds, message = refused(quota)
    assert.equal(0.1, seconds) -- Redis may be back
    assert.equal("Redis does not answer: connection refused; the local share is used up", message)
    testing.advance(held(10) + 0.001)
    call(quota, 2)
    refused(quota)
  end)

  it("asks Redis only after its pause", function()
    local quota, faults = open_share(1)
    local count
    faults.now, count = counted(away)
    call(quota, 3)
    assert.equal(1, count.calls)
    testing.advance(0.1)
    call(quota, 1)
    assert.equal(2, count.calls)
  end)

  it("counts what this machine sent before", function()
    local quota, faults = open_share(1 / 2)
    call(quota, 2)
    faults.now = away
    call(quota, 1)
    refused(quota)
  end)

  it("is no hindrance while Redis is there", function()
    local quota = open_share(1 / 6)
    call(quota, 6)
    refused(quota)
  end)

  it("is told to Redis when it is back: nothing is sent twice over", function()
    local quota, faults = open_share(1 / 2)
    local other = open{ rate_limit = { [10] = 6 } }
    faults.now = away
    call(quota, 2)
    local in_flight = take(quota, 30)
    testing.advance(5)
    faults.now = nil
    call(quota, 3)
    refused(other)
    quota:settle(OPERATION, in_flight, "answered")
    testing.advance(held(10) - 5)
    assert.equal(1, (refused(other))) -- an age of 5 s was taken for one of 4
    testing.advance(1)
    call(other, 2)
    refused(other)
  end)

  it("knows the Retry-After that others met with, and those of this machine", function()
    local quota, faults = open_share(1)
    open{ rate_limit = { [10] = 6 } }:penalize(OPERATION, 30)
    refused(quota)
    faults.now = away
    testing.advance(5)
    refused(quota)
    testing.advance(25.001)
    call(quota)
    quota:penalize(OPERATION, 10, { 10, 2 })
    testing.advance(held(10))
    call(quota, 2)
    refused(quota)
  end)

  it("goes on when Redis has lost its data", function()
    local quota = open_share(1 / 3)
    call(quota, 1)
    testing.advance(1)
    server:command "flushall"
    call(quota, 1)
    local _, message = refused(quota)
    assert.is_truthy(message:find "^Redis has lost .*; the local share is used up$")
  end)

  it("does not remember for ever what Redis is to be told", function()
    local quota, faults = open_share(1)
    faults.now = away
    for _ = 1, 2000 do
      call(quota, 2)
      testing.advance(5)
    end
    assert.is_true(#quota.operations[OPERATION].notes < 4 * (3600 + 60) / 5)
  end)

  it("that leaves nothing of a window says so", function()
    local quota, faults = open_share(1 / 10)
    faults.now = away
    local _, message = refused(quota)
    assert.is_truthy(message:find("a share of 0.1 leaves nothing of 6 calls in 10 s", 1, true), message)
  end)

  it("of a third is a third", function()
    local quota, faults = open_share(1 / 3, { [10] = 1500 })
    faults.now = away
    call(quota, 500)
    refused(quota)
  end)
end)

describe("a smooth pace", function()
  local function gaps(quota, calls)
    local found, last = {}, testing.now()
    for i = 1, calls do
      local slot, seconds = quota:reserve(OPERATION, 30)
      while not slot do
        testing.advance(seconds)
        slot, seconds = quota:reserve(OPERATION, 30)
      end
      quota:settle(OPERATION, slot, "answered")
      found[i], last = scripted.rounded(testing.now() - last), testing.now()
    end
    return found
  end

  it("gives each call its moment, whoever makes it", function()
    local options = { rate_limit = { [10] = 5 }, pace = "smooth" }
    local one, other = open(options), open(options)
    assert.same({ 0, 2.003, 2.003 }, gaps(one, 3))
    assert.same({ 2.002, 2.003 }, gaps(other, 2)) -- 2002.6 ms, in whole ones
  end)

  it("lets a burst go first", function()
    assert.same({ 0, 0, 0, 2.003, 2.003 }, gaps(open{ rate_limit = { [10] = 5 }, pace = "smooth", burst = 3 }, 5))
  end)

  it("is the one of the private quota", function()
    local options = { rate_limit = { [10] = 7, [3] = 3 }, pace = "smooth", burst = 2 }
    assert.same(gaps(testing.quota(options), 30), gaps(open(options), 30))
  end)
end)

describe("a client with a quota in Redis", function()
  local EMPTY = scripted.EMPTY

  local function client_of(quota, options, answers)
    options = options or {}
    options.quota = quota
    return scripted.client(answers, options)
  end

  it("waits for the windows, whoever has used them", function()
    local one, other = client_of(open()), client_of(open())
    assert(one:alert_ips "da1")
    assert(other:alert_ips "da1")
    assert.equal(held(10), (scripted.timed(one.alert_ips, one, "da1")))
  end)

  it("waits and tries again while Redis is away, and goes on when it is back", function()
    local eval, faults = breakable()
    local failures = 0
    faults.now = function()
      failures = failures + 1
      if failures == 3 then faults.now = nil end
      error("connection refused", 0)
    end
    local caller, events = client_of(open{ eval = eval })
    assert.equal(0.7, (scripted.timed(caller.alert_ips, caller, "da1")))
    local waits = scripted.of_kind(events, "wait")
    assert.equal(3, #waits)
    assert.equal("quota", waits[1].reason)
  end)

  it("gives up within its budget, as rate_limited, and says why", function()
    local caller = client_of(open{ eval = away }, { budget = 20 })
    local seconds, ips, err = scripted.timed(caller.alert_ips, caller, "da1")
    assert.is_nil(ips)
    assert.is_true(seconds > 10 and seconds <= 20)
    assert.equal("rate_limited", err.kind)
    assert.is_truthy(tostring(err):find("Redis does not answer: connection refused", 1, true))
    assert.is_true(err.retry_after > 0 and err.retry_after <= 5)
    assert.equal(0, err.attempts)
  end)

  it("goes on with its share while Redis is away", function()
    local caller = client_of(open{ eval = away, on_outage = 1 / 2 }, { budget = 1 })
    assert(caller:alert_ips "da1")
    local _, err = caller:alert_ips "da1"
    assert.equal("rate_limited", err.kind)
    assert.is_truthy(tostring(err):find("the local share is used up", 1, true))
  end)

  it("closes the operation for all with its 429", function()
    local one = client_of(open{ rate_limit = { [10] = 9 } }, nil,
      { { status = 429, headers = { ["Retry-After"] = 30 } } })
    local other, events = client_of(open{ rate_limit = { [10] = 9 } })
    one:alert_ips("da1", { max_attempts = 1 })
    assert.equal(30, (scripted.timed(other.alert_ips, other, "da1")))
    assert.equal("retry_after", scripted.of_kind(events, "wait")[1].reason)
  end)

  it("lowers the window that a 429 names for all", function()
    local says = { error = { code = "429", message = "API calls quota exceeded! maximum allowed 3 per 00:00:10" } }
    local one = client_of(open{ rate_limit = { [10] = 9 } }, nil, { { status = 429, body = says }, EMPTY })
    one:alert_ips("da1", { max_attempts = 1 })
    assert.same({ [10] = 2 }, (open{ rate_limit = { [10] = 9 } }:remaining(OPERATION)))
  end)

  it("gives back what was never sent", function()
    local answers = { { error = "unreachable" }, EMPTY }
    local caller = client_of(open{ rate_limit = { [10] = 1 } }, { max_attempts = 1 }, answers)
    caller:alert_ips "da1"
    assert.equal(0, (scripted.timed(caller.alert_ips, caller, "da1")))
  end)
end)

describe("mde.redis", function()
  local function complaint(options) return scripted.raised(mde_redis.quota, options) end

  it("loads no client library", function()
    local source = shell.read "lua_mde/redis.lua"
    for name in source:gmatch 'require%s*%(?%s*"([^"]+)"' do
      assert.is_truthy(name == "mde" or name:find "^mde%.", name)
    end
  end)

  -- The bug: "attempt to index a nil value", from within.
  it("names the method that is called on something else than its quota", function()
    local quota = mde_redis.quota{ eval = away }
    for _, self in ipairs{ {}, setmetatable({}, getmetatable(quota)), "text", 1 } do
      assert.matches("calling 'reserve' on bad self", scripted.raised(quota.reserve, self, OPERATION), 1, true)
    end
    assert.matches("bad self", scripted.raised(quota.close), 1, true)
    local said = scripted.raised(quota.settle, quota, OPERATION, {}, "unsent")
    assert.matches("bad argument #2 to 'settle'", said, 1, true)
  end)

  -- The bug: it was compared with each known name in its whole length, which took seconds.
  it("is quick to say of a name of a million characters that it knows none such", function()
    local before = os.clock()
    assert.matches("unknown option", complaint{ [("x"):rep(1e6)] = 1 }, 1, true)
    assert.is_true(os.clock() - before < 1)
  end)

  it("says what is wrong with the options", function()
    local eval = client.eval
    local wrong = {
      { nil, "table expected, got nil" },
      { {}, "option 'eval' is missing" },
      { { eval = "EVAL" }, "option 'eval': function expected, got EVAL" },
      { { eval = eval, evalsha = true }, "option 'evalsha': function expected, got true" },
      { { eval = eval, prefix = "" }, "option 'prefix': string without braces expected" },
      { { eval = eval, key = "a}b" }, "option 'key': string without braces expected" },
      { { eval = eval, rate_limit = true }, "option 'rate_limit': { [seconds] = calls }" },
      { { eval = eval, rate_limit = {} }, "option 'rate_limit': { [seconds] = calls }" },
      { { eval = eval, rate_limit = { [10] = 1.5 } }, "option 'rate_limit': { [seconds] = calls }" },
      { { eval = eval, rate_limit = { [10] = "2" } }, "got a table" },
      { { eval = eval, pace = "slow" }, "option 'pace': 'burst' or 'smooth' expected, got slow" },
      { { eval = eval, burst = 5 }, "option 'burst': only with pace = 'smooth'" },
      { { eval = eval, pace = "smooth", burst = 0 }, "option 'burst': whole number from 1 expected, got 0" },
      { { eval = eval, on_outage = 0 }, "option 'on_outage': 'fail' or a number above 0, at most 1 expected, got 0" },
      { { eval = eval, on_outage = 2 }, "option 'on_outage'" },
      { { eval = eval, on_outage = "wait" }, "option 'on_outage'" },
      { { eval = eval, evalhsa = eval }, "unknown option 'evalhsa'; did you mean 'evalsha'?" },
      { { eval = eval, ratelimit = false }, "unknown option 'ratelimit'; did you mean 'rate_limit'?" },
      { { eval }, "options are named; got a key that is a number" },
    }
    for _, case in ipairs(wrong) do
      local message = complaint(case[1])
      assert.is_truthy(message:find(case[2], 1, true), message)
      assert.is_truthy(message:find("bad argument #1 to 'quota'", 1, true), message)
    end
  end)

  it("blames the line that errs", function()
    assert.is_truthy(complaint({}):find "^[^\n]*spec/support/scripted.lua" or complaint({}):find "^bad argument")
    local _, message = pcall(function() mde_redis.quota{} end)
    assert.is_truthy(tostring(message):find "redis_spec.lua:%d+: bad argument #1 to 'quota'")
    _, message = pcall(function() open():reserve("alert_ipss", 1) end)
    assert.is_truthy(tostring(message):find "redis_spec.lua:%d+: bad argument #1 to 'reserve'")
  end)

  it("says what is wrong with arguments", function()
    local quota = open()
    local slot = take(quota)
    for _, case in ipairs{
      { "reserve", "#1", nil }, { "reserve", "#1", "no_such_thing" }, { "reserve", "#2", OPERATION, 0 },
      { "reserve", "#2", OPERATION, "5" }, { "reserve", "#2", OPERATION, math.huge },
      { "settle", "#1", 5, slot, "answered" }, { "settle", "#2", OPERATION, true, "answered" },
      { "settle", "#3", OPERATION, slot, "sent" }, { "settle", "#3", OPERATION, slot },
      { "penalize", "#1", false }, { "penalize", "#2", OPERATION, -1 }, { "penalize", "#3", OPERATION, 1, 5 },
      { "penalize", "#3", OPERATION, 1, { 60 } }, { "penalize", "#3", OPERATION, 1, { 60, 0 } },
      { "remaining", "#1", {} },
    } do
      local method = case[1]
      local message = scripted.raised(quota[method], quota, case[3], case[4], case[5])
      assert.is_truthy(message:find(("bad argument %s to '%s'"):format(case[2], method), 1, true), message)
    end
  end)

  it("grants nothing when closed, and settles what is in flight", function()
    local quota = open{ rate_limit = { [10] = 1 } }
    local slot = take(quota)
    quota:close()
    quota:close()
    local _, message = refused(quota)
    assert.equal("the quota is closed", message)
    assert.equal("the quota is closed", select(2, quota:remaining(OPERATION)))
    quota:settle(OPERATION, slot, "unsent")
    call(open{ rate_limit = { [10] = 1 } })
  end)

  it("shows no more than its keys", function()
    assert.equal(("mde.redis quota (mde:{%s})"):format(key), tostring(open()))
  end)

  it("may be used by coroutines whose eval yields", function()
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then return end -- its pcall cannot be yielded across
    local quota = open{ rate_limit = { [10] = 3 }, eval = function(...)
      coroutine.yield()
      local answer = client.eval(...)
      coroutine.yield()
      return answer
    end }
    local threads, granted = {}, 0
    for i = 1, 5 do
      threads[i] = coroutine.create(function()
        local slot = quota:reserve(OPERATION, 30)
        if not slot then return end
        granted = granted + 1
        quota:settle(OPERATION, slot, "answered")
      end)
    end
    for _ = 1, 10 do
      for _, thread in ipairs(threads) do coroutine.resume(thread) end
    end
    assert.equal(3, granted)
  end)
end)

describe("the example with redis-lua", function()
  it("asks the service within the quota of all", function()
    local service = simulator.start()
    local space = simulator.namespace()
    local ok, output = shell.run(([[
      export LUA_PATH="${LUA_PATH:-;;};/usr/share/lua/5.1/?.lua"
      MDE_TOKEN=%s MDE_BASE_URL=%s MDE_CA_FILE=%s REDIS_PORT=%d %s examples/quota_redis.lua %s]])
      :format(space.token, service.url, service.ca_file, server.port, shell.interpreter(), ALERT))
    assert.is_true(ok, output)
    assert.equal(2, #shell.lines(output))
    local left = open{ key = "default", rate_limit = "documented", server_clock = true }:remaining(OPERATION)
    assert.same({ [60] = 99, [3600] = 1499 }, left)
  end)
end)

-- nginx's Lua is LuaJIT, so the module must be the one that was built for it.
if not rawget(_G, "jit") then return end

local MODULES = [[
modules=$(nginx -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p')
for name in ndk_http_module ngx_http_lua_module; do
  file=${modules:-/usr/lib/nginx/modules}/$name.so
  [ ! -e $file ] || echo "load_module $file;"
done]]

local FRAME = [[
%s
daemon off; master_process off; pid @DIR@/pid; error_log @DIR@/error.log warn;
events {}
http {
  access_log off; client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
  lua_package_path "@BUILD@/?.lua;;"; lua_package_cpath "@BUILD@/?.so;;";
  include @DIR@/example.conf;
}
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- The example as it is, but for what it cannot know: ports, and Debian's name of the module.
local function example(redis_port, port)
  local text = shell.read "examples/quota_redis_openresty.conf"
  for old, new in pairs{ ["127%.0%.0%.1:8080;"] = "127.0.0.1:" .. port .. ";", ["6379"] = redis_port,
                         ['require "resty%.redis"'] = 'require "nginx.redis"' } do
    local count
    text, count = text:gsub(old, new)
    assert.equal(1, count, old)
  end
  return text
end

describe("the example with lua-resty-redis, in nginx,", function()
  local directory, process, url, own, run

  setup(function()
    directory = shell.temporary_directory()
    own = redis.start()
    run = own:client()
    local port, build = redis.free_port(), shell.must("realpath " .. os.getenv "MDE_BUILD")
    write(directory .. "/example.conf", example(own.port, port))
    local frame = FRAME:format(shell.must(MODULES)):gsub("@(%u+)@", { DIR = directory, BUILD = build })
    write(directory .. "/nginx.conf", frame)
    url = "http://127.0.0.1:" .. port
    process = assert(redis.serve(("PATH=$PATH:/usr/sbin nginx -p %s -c %s/nginx.conf 2>/dev/null")
      :format(directory, directory), "curl --silent --fail --noproxy '*' " .. url .. "/quota"))
  end)

  teardown(function()
    process:stop()
    own:close()
    shell.must("rm -rf " .. directory)
  end)

  --- The answers to so many requests, many of them at once: { [text] = count }.
  local function ask(path, times)
    local answers = {}
    local output = shell.must(("curl --silent --noproxy '*' --parallel --parallel-max 20 '%s%s?[1-%d]' 2>&-")
      :format(url, path, times or 1))
    for _, line in ipairs(shell.lines(output)) do answers[line] = (answers[line] or 0) + 1 end
    return answers
  end

  it("shares the quota with another machine, while its requests wait for Redis side by side", function()
    local other = mde_redis.quota{ eval = run.eval }
    call(other, 30)
    assert.same({ granted = 70, ["the quota is used up"] = 20 }, ask("/call", 90))
    refused(other)
    assert.same({ ["0 calls are left in 60 s"] = 1, ["1400 calls are left in 3600 s"] = 1 }, ask "/quota")
  end)

  it("says in a 429 when to come again, and that Redis is away", function()
    own:stop()
    local output = shell.must("curl --silent --include --noproxy '*' " .. url .. "/call")
    assert.is_truthy(output:find "^HTTP/1.1 429")
    assert.is_truthy(output:lower():find "\nretry%-after: 1\r")
    assert.is_truthy(output:find("Redis does not answer: connection refused", 1, true), output)
    assert.equal("", (shell.read(directory .. "/error.log"):gsub("[^\n]*connect%(%) failed[^\n]*\n", "")))
  end)
end)

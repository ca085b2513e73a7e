-- Ctrl-C in a plain interpreter: it ends a blocked call at once, and a script that catches it can go on.
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local system = require "system"

local ALERT = "da637472900382838869_1364969609"
local LIMIT = 0.2 -- seconds from the signal to the end of the call
local TRIES = 3 -- the quickest counts: other work on the machine makes some slower than they must be

-- Runs under the interpreter of the specs. It says when a wait begins that would last, and when the call is over;
-- if the signal does not end it, the budget does.
local CHILD = [[
local mde = require "mde"
io.stdout:setvbuf "no"
local client = mde.client{
  base_url = %q, ca_file = %q, token = %q, proxy = "", rate_limit = %s, max_attempts = 100, budget = 10,
  on_event = function(event)
    if event.kind == "wait" and event.seconds > 0.7 then print("waiting", event.reason) end
  end,
}
local function blocked()
  print "calling"
  %s
  print "not interrupted"
end
%s
]]

local UNGUARDED = "blocked()"

local GUARDED = [[
local ok, message = pcall(blocked)
print("over", ok, tostring(message))
print("then", assert(client:alert(%q)).id)
client:close()
print "end"
]]

-- What each call waits for, and how it is known that it waits.
local waits = {
  { "a transfer", fault = { delay = 8 }, call = "client:alert_ips 'a'" },
  { "one of many transfers", fault = { delay = 8 },
    call = "for _ in client:each('alert_ips', { 'a', 'b', 'c' }) do assert(client) end" },
  { "a step", fault = { delay = 8 }, call = "local call = client:start('alert_ips', 'a') client:step(8) call:done()" },
  { "quota", windows = "{ [8] = 1 }", call = "client:alert_ips 'a' client:alert_ips 'b'", event = "quota" },
  { "Retry-After", fault = { status = 429, headers = { ["Retry-After"] = "8" } }, call = "client:alert_ips 'a'",
    event = "retry_after" },
  { "the next attempt", fault = { status = 503, times = -1 }, call = "client:alert_ips 'a'", event = "backoff" },
}

local Child = {}
Child.__index = Child

-- The shell names its process, which then becomes the interpreter's.
local function start(space, wait, main)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(CHILD:format(simulator.url, simulator.ca_file, space.token, wait.windows or "false", wait.call, main))
  file:close()
  local pipe = assert(io.popen(("echo $$; exec %s %s 2>&1"):format(shell.interpreter(), path)))
  return setmetatable({ pipe = pipe, path = path, pid = assert(pipe:read "*l") }, Child)
end

-- Reads on until a line begins with `words`; returns the rest of it.
function Child:await(words)
  local said = {}
  for line in self.pipe:lines() do
    if line:sub(1, #words) == words then return line:sub(#words + 2) end
    said[#said + 1] = line
  end
  error("the script has ended and said, instead of " .. words .. ": " .. table.concat(said, "\n"))
end

-- Sends the signal; returns when that was.
function Child:interrupt()
  local now = system.monotime()
  shell.must("kill -INT " .. self.pid)
  return now
end

function Child:rest()
  local text = self.pipe:read "*a"
  self.pipe:close()
  os.remove(self.path)
  return text
end

local function await_request(space)
  repeat system.sleep(0.02) until space:report().in_flight > 0
end

-- A child in the middle of the wait, which would last for more than half a second from now on.
local function blocked(wait, main)
  local space = simulator.namespace()
  if wait.fault then space:fault(wait.fault) end
  local child = start(space, wait, main)
  child:await "calling"
  if wait.event then child:await("waiting\t" .. wait.event) else await_request(space) end
  if wait.fault then space:control { faults = false } end
  system.sleep(0.1)
  return child
end

-- Calls `run`, which returns seconds, until they are few enough. Where the machine was so slow that the wait was over
-- before the signal came, the signal has met something else: a try lost, unless it was the last.
local function quickest(run)
  local best = math.huge
  for try = 1, TRIES do
    local ok, seconds = pcall(run)
    if ok then best = math.min(best, seconds) elseif try == TRIES and best == math.huge then error(seconds, 0) end
    if best <= LIMIT then break end
  end
  return best
end

describe("Ctrl-C in a blocked call #timing", function()
  setup(simulator.start)

  for _, wait in ipairs(waits) do
    it("ends a script that waits for " .. wait[1], function()
      local seconds = quickest(function()
        local child = blocked(wait, UNGUARDED)
        local sent = child:interrupt()
        local rest = child:rest()
        assert.truthy(rest:find("interrupted!", 1, true), rest)
        assert.falsy(rest:find("not interrupted", 1, true), rest)
        return system.monotime() - sent
      end)
      assert.is_true(seconds <= LIMIT, seconds .. " s")
    end)

    it("is caught by pcall around a call that waits for " .. wait[1] .. ", and the client goes on", function()
      local seconds = quickest(function()
        local child = blocked(wait, GUARDED:format(ALERT))
        local sent = child:interrupt()
        local over = child:await "over"
        local taken = system.monotime() - sent
        assert.matches("^false\t.*interrupted!$", over)
        assert.equal("then\t" .. ALERT .. "\nend\n", child:rest())
        return taken
      end)
      assert.is_true(seconds <= LIMIT, seconds .. " s")
    end)
  end
end)

-- What Ctrl-C does in the interpreter: a hook that raises, at the next call of a function and once.
local function interrupted_at(nth, run)
  local calls, raised = 0, false
  local ok, message = pcall(function()
    debug.sethook(function()
      calls = calls + 1
      if calls < nth then return end
      debug.sethook()
      raised = true
      error("interrupted!", 0)
    end, "c")
    run()
    debug.sethook()
  end)
  debug.sethook()
  return raised, ok, message
end

-- The answers in order, and empty collections as soon as `state.over`.
local function answers_until(state, answers)
  local position = 0
  return function()
    position = position + 1
    return not state.over and answers[position] or scripted.EMPTY
  end
end

-- Interrupts `call` at each moment that there is. A pcall around other people's functions must not take the signal for
-- a failure of theirs. The token function is given the state.
local function is_never_lost(answers, token, call)
  local nth = 0
  repeat
    nth = nth + 1
    local state = {}
    local client = scripted.client(answers_until(state, answers), { token = function() return token(state) end })
    local raised, ok, message = interrupted_at(nth, function() call(client) end)
    state.over = true
    assert.equal(not raised, ok, ("moment %d: %s"):format(nth, tostring(message)))
    assert.matches(raised and "interrupted!$" or "^nil$", tostring(message))
    assert.same({}, client:alert_ips "another")
    client:close()
  until not raised
  assert.is_true(nth > 5)
end

describe("Ctrl-C at any moment", function()
  local PAGE = '{"value":[{"id":"a"}],"@odata.nextLink":"https://api.security.microsoft.com/api/alerts?$skip=1"}'
  local REFUSAL = { status = 404, body = '{"error":{"code":"ResourceNotFound","message":"Not here."}}' }

  local function token() return tostring(scripted.TOKEN) end
  local function ask(client) client:alert_ips "a" end

  it("is not taken for a malformed answer", function()
    is_never_lost({ PAGE, '{"value":[{"id":"b"}]}' }, token, function(client) client:alerts() end)
  end)

  it("is not lost while an error is made", function()
    is_never_lost({ REFUSAL }, token, function(client) tostring(select(2, client:alert_ips "a")) end)
  end)

  it("is not lost between attempts", function()
    is_never_lost({ { status = 503 }, { error = "timeout" } }, token, ask)
  end)

  it("is not taken for a failure of the token function", function()
    is_never_lost({ { status = 401 } }, token, ask)
  end)

  it("is not lost in the words of an error that the token function raises", function()
    local words = setmetatable({}, { __tostring = function() return tostring "no network" end })
    is_never_lost({}, function(state)
      if not state.over then error(words) end
      return scripted.TOKEN
    end, ask)
  end)
end)

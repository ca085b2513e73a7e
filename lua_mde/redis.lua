--- A quota between machines: Redis keeps the windows for all who use the same prefix and key.
--
--     local quota = require("mde.redis").quota{
--       eval = function(script, numkeys, ...) return redis:eval(script, numkeys, ...) end,
--     }
--     local client = mde.client{ token = token, quota = quota }
--
-- It belongs to no client library: `eval` is the user's own. See examples/quota_redis.lua for redis-lua and
-- examples/quota_redis_openresty.conf for lua-resty-redis.
--
-- The promise is that of the private quota, with all processes counted together, by the server's clock: a slot is
-- taken before a request is sent, never expires in flight (before its lease ends), and is free a window and a margin
-- after it was settled.
--
-- Nothing is kept across a call of `eval` that another coroutine could spoil: it may yield.
local mde = require "mde"
local SCRIPT = require "mde.redis_script"

local redis = {}

-- --- talking to Redis ---------------------------------------------------------------------------------

local MESSAGE_MAX = 200
local PAUSE_FIRST, PAUSE_MAX = 0.1, 5 -- seconds between one try and the next, while Redis is away
local ROUNDING = 1e-9 -- 3 * 0.1 is 0.3, a third of 1500 is 500
local LINGER = 5 -- seconds: what is given up on counts as if answered so much later

--- Fit for a message.
local function plain(text) return (text:gsub("%c+", " "):sub(1, MESSAGE_MAX)) end

--- For Redis, in whole milliseconds.
local function milliseconds(seconds) return ("%.0f"):format(math.ceil(seconds * 1000)) end

--- Calls a function of the user's. Libraries raise, or return nil, false or their null, and a message.
-- @return what was expected; else nil, message
local function attempt(expected, run, ...)
  local ok, answer, message = pcall(run, ...)
  if ok and type(answer) == expected then return answer end
  if ok and message == nil then message = ("a %s expected, got %s"):format(expected, tostring(answer)) end
  return nil, tostring(ok and message or answer)
end

--- The server can hash, so nobody else needs to. It is given the keys, for clients that find a cluster's node by them.
local function hash(self, operation)
  local message
  if not self.sha then
    self.sha, message = attempt("string", self.eval, "return redis.sha1hex(ARGV[1])", 2, operation.slots,
      operation.state, SCRIPT)
  end
  return self.sha, message
end

local function evaluate(self, operation, ...)
  if self.evalsha then
    local sha, message = hash(self, operation)
    if not sha then return nil, message end
    local answer
    answer, message = attempt("table", self.evalsha, sha, 2, operation.slots, operation.state, ...)
    if answer or not message:find("NOSCRIPT", 1, true) then return answer, message end
  end
  return attempt("table", self.eval, SCRIPT, 2, operation.slots, operation.state, ...)
end

--- Is it too early to ask again? A clock that was set back must not make the pause longer.
local function is_away(self)
  local outage, now = self.outage, self.now()
  return outage ~= nil and now < outage.ends and now >= outage.begins
end

--- Those that fail together make the pause longer only once.
local function note_failure(self, message)
  if not is_away(self) then
    local pause = self.outage and math.min(self.outage.pause * 2, PAUSE_MAX) or PAUSE_FIRST
    self.outage = { pause = pause, begins = self.now(), ends = self.now() + pause - ROUNDING }
  end
  self.outage.message = "Redis does not answer: " .. plain(message)
end

--- Runs the script.
-- @return its answer: born, expires, milliseconds to wait, why, ...; nil if Redis is away
local function call(self, operation, command, ...)
  local clock = self.clock and ("%.0f"):format(self.clock() * 1000) or ""
  local answer, message = evaluate(self, operation, command, clock, operation.born, operation.expires,
    milliseconds(operation.lease), operation.windows_text, self.burst, ...)
  if not answer or not (tonumber(answer[1]) and tonumber(answer[2]) and tonumber(answer[3])) then
    note_failure(self, message or "the answer is none of the script's")
    return nil
  end
  self.outage = nil
  operation.born, operation.expires = ("%.0f"):format(answer[1]), ("%.0f"):format(answer[2])
  return answer
end

-- --- notes: what Redis is still to be told --------------------------------------------------------------

local NOTES_AT_ONCE = 100 -- Lua 5.1 passes a few thousand arguments at most
local CLOSED_MAX = 3600 -- seconds: no Retry-After holds for longer
local CLOCK_SLACK = 1 -- seconds by which an age may come out too large: two clocks drift

local unpack = table.unpack or unpack -- luacheck: ignore 113

--- After so long a note would change nothing: no call counts any more, and no Retry-After holds.
local function drop_old_notes(self, operation)
  local notes, oldest = operation.notes, self.now() - math.max(operation.longest, CLOSED_MAX) - operation.lease
  while notes[1] and notes[1].at < oldest do table.remove(notes, 1) end
end

local function add_note(self, operation, kind, id, value)
  drop_old_notes(self, operation)
  table.insert(operation.notes, { kind = kind, id = id, value = value, at = self.now() })
end

--- Moments are told as so many milliseconds from now; rather too late than too early.
local function value_now(self, note)
  if note.kind == "limit" then return note.value end
  return (note.value - math.max(0, self.now() - note.at - CLOCK_SLACK)) * 1000
end

local function take_notes(operation)
  local taken, left = {}, {}
  for i, note in ipairs(operation.notes) do table.insert(i <= NOTES_AT_ONCE and taken or left, note) end
  operation.notes = left
  return taken
end

local function put_back(operation, notes)
  for _, note in ipairs(operation.notes) do notes[#notes + 1] = note end
  operation.notes = notes
end

local function tell_some(self, operation)
  local notes, words = take_notes(operation), {}
  for _, note in ipairs(notes) do
    words[#words + 1] = note.kind
    words[#words + 1] = note.id
    words[#words + 1] = ("%.0f"):format(math.ceil(value_now(self, note)))
  end
  local told = call(self, operation, "note", unpack(words))
  if not told then put_back(operation, notes) end
  return told ~= nil
end

--- Tells Redis all that it does not know yet.
-- @return whether it is there
local function tell(self, operation)
  if is_away(self) then return false end
  while operation.notes[1] do
    if not tell_some(self, operation) then return false end
  end
  return true
end

-- --- slots ----------------------------------------------------------------------------------------------

local ID_BYTES = 12

local made = 0

--- Where there is no /dev/urandom: whatever differs between two processes or two moments.
local function mixed_id()
  made = made + 1
  return ("%x.%x.%s.%x"):format(os.time(), math.floor(os.clock() * 1e6), tostring({}):gsub("%W", ""), made)
end

--- Unlike any other, on any machine and in a forked child, too: so nothing is kept from one to the next.
local function new_id()
  local source = io.open("/dev/urandom", "rb")
  if not source then return mixed_id() end
  source:setvbuf "no"
  local bytes = source:read(ID_BYTES)
  source:close()
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

-- --- a share of one's own, while Redis is away ----------------------------------------------------------

local function part_of(calls, share) return math.floor(calls * share + ROUNDING) end

--- The windows of a share; nil and a message if it leaves nothing of one.
local function windows_of_share(windows, share)
  local scaled = {}
  for seconds, calls in pairs(windows) do
    scaled[seconds] = part_of(calls, share)
    if scaled[seconds] == 0 then
      return nil, ("a share of %.3g leaves nothing of %d calls in %g s"):format(share, calls, seconds)
    end
  end
  return next(scaled) ~= nil and scaled
end

--- A private quota of that size, on the same clock.
local function open_share(self, operation)
  if self.on_outage == "fail" then return end
  local windows, message = windows_of_share(operation.windows, self.on_outage)
  operation.no_share = message
  if windows == nil then return end
  local options = { rate_limit = windows }
  if self.burst > 0 then options.pace, options.burst = "smooth", math.max(1, part_of(self.burst, self.on_outage)) end
  operation.share = (self.clock and require("mde.testing") or mde).quota(options)
end

--- What Redis grants counts here, too, as far as there is room.
local function mirror(operation, lease)
  return operation.share and operation.share:reserve(operation.name, lease) or nil
end

--- What is granted here Redis is told when it is back.
local function grant_share(self, operation, lease)
  local slot, seconds = operation.share:reserve(operation.name, lease)
  if not slot then return nil, seconds end
  local granted = { id = new_id(), share = slot }
  add_note(self, operation, "f", granted.id, lease)
  return granted
end

--- The answer to a reservation that Redis cannot decide before so many seconds.
local function stand_in(self, operation, lease, seconds, message)
  if not operation.share then
    return nil, seconds, operation.no_share and message .. "; " .. operation.no_share or message
  end
  local slot, share_seconds = grant_share(self, operation, lease)
  if slot then return slot end
  return nil, math.min(seconds, share_seconds), message .. "; the local share is used up"
end

local function stand_in_away(self, operation, lease)
  return stand_in(self, operation, lease, math.max(self.outage.ends - self.now(), 0.001), self.outage.message)
end

-- --- operations -----------------------------------------------------------------------------------------

local function windows_text(windows)
  local words = {}
  for seconds, calls in pairs(windows) do words[#words + 1] = ("%s=%.0f"):format(milliseconds(seconds), calls) end
  return table.concat(words, " ")
end

local function longest_of(windows)
  local longest = 0
  for seconds in pairs(windows) do longest = math.max(longest, seconds) end
  return longest
end

local function windows_of(self, name)
  if self.rate_limit == nil then return mde.windows(name) end
  return self.rate_limit or {}
end

local function open_operation(self, name)
  local windows = windows_of(self, name)
  local tag = ("%s:{%s:%s}:"):format(self.prefix, self.key, name)
  local operation = {
    name = name, slots = tag .. "slots", state = tag .. "state",
    windows = windows, windows_text = windows_text(windows), longest = longest_of(windows) * 1.01 + 1,
    born = "0", expires = "0", -- as the script said last
    lease = LINGER, -- the longest of ours
    notes = {},
    unanswered = {}, -- ids of reservations that Redis may have granted without our knowing
  }
  open_share(self, operation)
  self.operations[name] = operation
  return operation
end

local function operation_of(self, name) return self.operations[name] or open_operation(self, name) end

-- --- the protocol ---------------------------------------------------------------------------------------

local LEASE_DEFAULT, LEASE_MAX, WINDOW_MAX, CALLS_MAX = 35, 200000, 31 * 86400, 1000000 -- seconds, but the calls
local CLOSED = "the quota is closed"
local LOST = "Redis has lost what it knew of the calls, so the quota counts as full"

local Quota = {}
Quota.__index = Quota

--- Those that were made here and whole, whatever else has the methods put to it.
local quotas = setmetatable({}, { __mode = "k" })

--- Blames the line that called the method.
local function check(ok, method, position, expected)
  if not ok then error(("bad argument #%d to '%s' (%s expected)"):format(position, method, expected), 3) end
end

local function check_self(self, method)
  if self == nil or not quotas[self] then
    error(("calling '%s' on bad self (a quota of mde.redis expected)"):format(method), 3)
  end
end

local function is_operation(value) return type(value) == "string" and (pcall(mde.windows, value)) end

local function is_within(value, least, most) return type(value) == "number" and value >= least and value <= most end

local function is_window(seconds, calls)
  return is_within(seconds, 0.001, WINDOW_MAX) and is_within(calls, 1, CALLS_MAX) and calls % 1 == 0
end

local function refuse(self, operation, lease, seconds, why)
  if why == "lost" then return stand_in(self, operation, lease, seconds, LOST) end
  local closed = why == "closed"
  if closed and operation.share then operation.share:penalize(operation.name, seconds) end
  return nil, seconds, nil, closed
end

--- The script's answer, and the slot's id.
local function ask(self, operation, lease)
  if not tell(self, operation) then return nil end
  local id = table.remove(operation.unanswered) or new_id()
  local answer = call(self, operation, "reserve", id, milliseconds(lease))
  if not answer then table.insert(operation.unanswered, id) end
  return answer, id
end

--- May one request be sent now?
-- @tparam string name the operation's
-- @tparam[opt] number lease seconds after which the slot counts as answered, should it never be settled: 35
-- @return a slot; else nil, the seconds until it is worth asking again, what is wrong with Redis (nil: nothing is, the
--   windows are used up), and whether a Retry-After closes the operation
function Quota:reserve(name, lease)
  check_self(self, "reserve")
  lease = lease or LEASE_DEFAULT
  check(is_operation(name), "reserve", 1, "the name of an operation")
  check(is_within(lease, 0.001, LEASE_MAX), "reserve", 2, "a number of seconds")
  if self.closed then return nil, PAUSE_MAX, CLOSED end
  local operation = operation_of(self, name)
  operation.lease = math.max(operation.lease, lease)
  local answer, id = ask(self, operation, lease)
  if not answer then return stand_in_away(self, operation, lease) end
  if answer[3] > 0 then return refuse(self, operation, lease, answer[3] / 1000, answer[4]) end
  return { id = id, share = mirror(operation, lease) }
end

--- What the end of a request means to Redis.
local ends = {
  answered = { kind = "s", seconds = 0 },
  abandoned = { kind = "s", seconds = LINGER },
  unsent = { kind = "u", seconds = 0 },
}

--- The request is over. If Redis is away, it is told later; until then the lease stands for it.
-- @tparam string name the operation's
-- @param slot from `reserve`
-- @tparam string how "answered": counted by the service, at the latest now; "abandoned": sent, and nobody waits for its
--   answer any more; "unsent": it never left the machine
function Quota:settle(name, slot, how)
  check_self(self, "settle")
  check(is_operation(name), "settle", 1, "the name of an operation")
  check(type(slot) == "table" and type(slot.id) == "string", "settle", 2, "a slot of 'reserve'")
  check(ends[how], "settle", 3, "'answered', 'abandoned' or 'unsent'")
  local operation = operation_of(self, name)
  if slot.settled then return end
  slot.settled = true
  if slot.share and operation.share then operation.share:settle(name, slot.share, how) end
  add_note(self, operation, ends[how].kind, slot.id, ends[how].seconds)
  tell(self, operation)
end

local function penalize_share(self, operation, seconds, window)
  if not operation.share then return end
  local own = window and { window[1], math.max(1, part_of(window[2], self.on_outage)) }
  operation.share:penalize(operation.name, seconds, own)
end

--- What the service has said, for all who share the quota.
-- @tparam string name the operation's
-- @tparam[opt] number seconds its Retry-After
-- @tparam[opt] table window { seconds, calls }: a limit that it named; it lowers that window, and never raises it
function Quota:penalize(name, seconds, window)
  check_self(self, "penalize")
  check(is_operation(name), "penalize", 1, "the name of an operation")
  check(type(seconds) == "nil" or is_within(seconds, 0, math.huge), "penalize", 2, "a number of seconds")
  check(type(window) == "nil" or type(window) == "table" and is_window(window[1], window[2]), "penalize", 3,
    "{ seconds, calls }")
  local operation = operation_of(self, name)
  seconds = math.min(seconds or 0, CLOSED_MAX)
  if seconds > 0 then add_note(self, operation, "closed", "", seconds) end
  if window then add_note(self, operation, "limit", milliseconds(window[1]), window[2]) end
  penalize_share(self, operation, seconds, window)
  tell(self, operation)
end

--- How much is left.
-- @tparam string name the operation's
-- @return calls left by window, { [60] = 97, [3600] = 1420 }, and the seconds until the next call is allowed; nil and a
--   message while Redis is away
function Quota:remaining(name)
  check_self(self, "remaining")
  check(is_operation(name), "remaining", 1, "the name of an operation")
  if self.closed then return nil, CLOSED end
  local operation = operation_of(self, name)
  local answer = tell(self, operation) and call(self, operation, "remaining")
  if not answer then return nil, self.outage.message end
  local left = {}
  for i = 5, #answer, 2 do left[answer[i] / 1000] = answer[i + 1] end
  return left, answer[3] / 1000
end

--- Tells Redis what it does not know yet, if it is there. Nothing more is granted; what is in flight may be settled.
function Quota:close()
  check_self(self, "close")
  self.closed = true
  local operations = {} -- another coroutine may add one meanwhile
  for _, operation in pairs(self.operations) do operations[#operations + 1] = operation end
  for _, operation in ipairs(operations) do tell(self, operation) end
end

function Quota:__tostring()
  check_self(self, "tostring")
  return ("mde.redis quota (%s:{%s})"):format(self.prefix, self.key)
end

-- --- options --------------------------------------------------------------------------------------------

local function a_function(value) return type(value) == "function" end

local function a_key_part(value) return type(value) == "string" and value:find "^[^%c{}]+$" ~= nil end

local function windows(value)
  if type(value) ~= "table" then return value == false end
  local count = 0
  for seconds, calls in pairs(value) do
    if not is_window(seconds, calls) then return false end
    count = count + 1
  end
  return count >= 1 and count <= 8
end

--- What each may be, as a test and in words.
local known_options = {
  eval = { a_function, "function" },
  evalsha = { a_function, "function" },
  clock = { a_function, "function" },
  prefix = { a_key_part, "string without braces" },
  key = { a_key_part, "string without braces" },
  rate_limit = { windows, "{ [seconds] = calls } with positive numbers, or false" },
  pace = { function(value) return value == "burst" or value == "smooth" end, "'burst' or 'smooth'" },
  burst = { function(value) return is_within(value, 1, CALLS_MAX) and value % 1 == 0 end, "whole number from 1" },
  on_outage = { function(value) return value == "fail" or is_within(value, 1e-6, 1) end,
    "'fail' or a number above 0, at most 1" },
}

--- Levenshtein's: how many characters to change, to add or to take away.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local changed = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(changed, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

local function nearest_option(name)
  local nearest, best
  for known in pairs(known_options) do
    local far = distance(name:sub(1, 64), known) -- what is longer than any name is far enough
    if not best or far < best or far == best and known < nearest then nearest, best = known, far end
  end
  return nearest
end

--- What is wrong with an option; nil: nothing is.
local function complaint_about(name, value)
  if type(name) ~= "string" then return "options are named; got a key that is a " .. type(name) end
  local option = known_options[name]
  if not option then return ("unknown option '%s'; did you mean '%s'?"):format(name, nearest_option(name)) end
  if option[1](value) then return nil end
  local got = type(value) == "table" and "a table" or tostring(value)
  return ("option '%s': %s expected, got %s"):format(name, option[2], got)
end

local function complaint(options)
  if type(options) ~= "table" then return "table expected, got " .. type(options) end
  for name, value in pairs(options) do
    local message = complaint_about(name, value)
    if message then return message end
  end
  if not options.eval then return "option 'eval' is missing: function(script, numkeys, ...) that runs EVAL" end
  if options.burst and options.pace ~= "smooth" then return "option 'burst': only with pace = 'smooth'" end
end

--- Makes a quota that lives in Redis.
-- @tparam table options
--   `eval`: function(script, numkeys, ...) -> answer, what EVAL of any Redis client does. It may raise or return
--   nil, message, and may yield. After an error it must not use the same connection again: an answer that comes late
--   would be taken for the next one.
--   `evalsha`: function(sha, numkeys, ...), the same of EVALSHA; then the script is sent only where it is not known.
--   `prefix` ("mde"), `key` ("default"): what the names of the keys begin with; who has both the same shares the quota.
--   `rate_limit`: { [seconds] = calls } or false, as in `mde.client`; the documented windows.
--   `pace`: "burst", or "smooth": after `burst` (1) calls each has its moment.
--   `on_outage`: "fail": without Redis nothing is granted; a number such as 1/3: this much of the quota is kept here
--   meanwhile.
--   `clock`: function() -> seconds, for tests, in place of the server's.
-- @return a quota: reserve, settle, penalize, remaining, close
-- @raise what is wrong with the options
function redis.quota(options)
  local message = complaint(options)
  if message then error(("bad argument #1 to 'quota' (%s)"):format(message), 2) end
  local quota = setmetatable({
    eval = options.eval, evalsha = options.evalsha,
    prefix = options.prefix or "mde", key = options.key or "default",
    rate_limit = options.rate_limit,
    burst = options.pace == "smooth" and (options.burst or 1) or 0, -- 0: no pace
    on_outage = options.on_outage or "fail",
    clock = options.clock,
    -- For pauses, and for the ages of what Redis is told late; the windows are the server's.
    now = options.clock or mde._clock,
    operations = {},
  }, Quota)
  quotas[quota] = true
  return quota
end

return redis

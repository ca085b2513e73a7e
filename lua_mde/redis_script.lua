--- What runs in Redis, at once and alone. Everything in it is in milliseconds, but `next`.
return [==[
-- mde.redis: may one more request of this operation be sent now, and if not, when?
--
-- KEYS  slots: a sorted set. 'f' and an id: in flight, its score is the end of its lease. 's' and an id: settled then.
--              'born', with a score below zero, ties it to its state.
--       state: a hash. last: the time last seen; born: when these keys were made; keep: the longest that a slot
--              counts in anybody's window; lease: the longest; closed: until then, by a Retry-After; lost: until then
--              it is not known what was sent; next: microseconds, of a smooth pace; w60000: calls that the service
--              allows in 60 s.
-- ARGV  command, clock ('': the server's), born and expires as the caller was last told, the caller's longest lease,
--       windows, burst (0: no pace); then of 'reserve' an id and its lease, of 'note' kinds, ids and values.
-- Returns born, expires, how long to wait (0: not at all) and why; of 'remaining' also each window and the calls left.
--
-- Redis before 5 lets a script write after it has asked for the time only when told so.
if redis.replicate_commands then redis.replicate_commands() end

local SLOTS, STATE = KEYS[1], KEYS[2]
local LEARNED_MAX = 8
local command, lease, burst = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[7])
local state, windows, now = { last = 0, keep = 0, lease = 0, closed = 0, lost = 0, next = 0 }, {}, 0

local function read_state()
  local fields = redis.call('HGETALL', STATE)
  for i = 1, #fields, 2 do state[fields[i]] = tonumber(fields[i + 1]) end
end

-- Never back, whatever the server's clock does.
local function read_clock()
  now = tonumber(ARGV[2])
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  now = math.max(now, state.last)
  state.last = now
end

-- How long a call counts after it was answered: as core/window.h has it.
local function held(length) return length + math.floor(length / 1000) + 3 end

-- The caller's own windows, lowered by what the service has named. Whoever wants no limit has none.
local function read_windows()
  for length, calls in ARGV[6]:gmatch('(%d+)=(%d+)') do windows[tonumber(length)] = tonumber(calls) end
  if next(windows) == nil then return end
  for name, calls in pairs(state) do
    local length = tonumber(name:match('^w(%d+)$'))
    if length then windows[length] = math.min(windows[length] or calls, calls) end
  end
  for length in pairs(windows) do state.keep = math.max(state.keep, held(length)) end
end

local function longest_window()
  local longest
  for length in pairs(windows) do longest = math.max(longest or 0, length) end
  return longest
end

-- Either key alone is worth nothing: Redis has evicted the other one. Returns whether that has happened.
local function check_birth()
  local born = -(tonumber(redis.call('ZSCORE', SLOTS, 'born')) or 0)
  if born == state.born then return false end
  local evicted = state.born ~= nil or born ~= 0
  state.born = now
  redis.call('ZADD', SLOTS, -now, 'born')
  return evicted
end

-- Has the caller seen other keys, which should still be there?
local function is_missed()
  local born, expires = tonumber(ARGV[3]), tonumber(ARGV[4])
  return born > 0 and born ~= state.born and state.born < expires
end

-- Who knows what was sent before? What is in flight since then has a lease, and counts for a window after it.
local function note_loss(evicted)
  if evicted or is_missed() then
    state.lost = math.max(state.lost, state.born + state.lease + state.keep)
  end
end

-- In flight, settled or unsent: 'f', 's' or 'u'. What is told twice is counted once.
local function put(kind, id, stamp)
  redis.call('ZREM', SLOTS, 'f' .. id, 's' .. id)
  if kind ~= 'u' then redis.call('ZADD', SLOTS, stamp, kind .. id) end
end

local function learn_limit(length, calls)
  local name, learned = 'w' .. length, 0
  for known in pairs(state) do learned = learned + (known:find('^w%d') and 1 or 0) end
  if state[name] or learned < LEARNED_MAX then state[name] = math.min(state[name] or calls, calls) end
end

local function read_note(kind, id, value)
  if kind == 'closed' then
    state.closed = math.max(state.closed, now + value)
  elseif kind == 'limit' then
    learn_limit(id, value)
  else
    put(kind, id, now + value)
  end
end

local function read_notes()
  for i = 8, #ARGV, 3 do read_note(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])) end
end

local function since(length) return ('(%.0f'):format(math.max(0, now - held(length))) end

local function live(length) return redis.call('ZCOUNT', SLOTS, since(length), '+inf') end

-- When the k-th slot that counts in a window is free at the earliest: what is in flight may be answered now.
local function free_at(length, k)
  local settled = redis.call('ZRANGEBYSCORE', SLOTS, since(length), now, 'WITHSCORES', 'LIMIT', k - 1, 1)
  if settled[2] then return settled[2] + held(length) end
  k = k - redis.call('ZCOUNT', SLOTS, since(length), now)
  local later, stamps = redis.call('ZRANGEBYSCORE', SLOTS, ('(%.0f'):format(now), '+inf', 'WITHSCORES'), {}
  for i = 1, #later, 2 do
    if later[i]:sub(1, 1) == 'f' then k = k - 1 else stamps[#stamps + 1] = later[i + 1] end
  end
  return (stamps[k] or now) + held(length)
end

local function window_wait(length, calls)
  local over = live(length) - calls
  return over < 0 and 0 or free_at(length, over + 1) - now
end

-- Beyond its burst a smooth pace gives each call its moment: as core/pace.h has it.
local function pace_wait()
  local longest = longest_window()
  if burst == 0 or not longest or live(longest) < burst then return 0 end
  return math.max(0, math.ceil(state.next / 1000 - now))
end

local function keep_pace()
  local longest = longest_window()
  if burst == 0 or not longest then return end
  local interval, late = math.floor(held(longest) * 1000 / windows[longest]), now * 1000 - state.next
  state.next = (late >= 0 and late < interval and state.next or now * 1000) + interval
end

local function ask()
  local wait, why = pace_wait(), 'used'
  for length, calls in pairs(windows) do wait = math.max(wait, window_wait(length, calls)) end
  for _, name in ipairs({ 'closed', 'lost' }) do
    local left = state[name] - now
    if left > 0 and left >= wait then wait, why = left, name end
  end
  return wait, why
end

-- Asked again, because the answer was lost: the slot that was taken then is not taken twice.
local function reserve(reply, id, slot_lease)
  put('u', id)
  reply[3], reply[4] = ask()
  if reply[3] > 0 then return end
  put('f', id, now + slot_lease)
  keep_pace()
end

local function remaining(reply)
  reply[3], reply[4] = ask()
  for length, calls in pairs(windows) do
    local left = state.lost > now and 0 or math.max(0, calls - live(length))
    reply[#reply + 1] = length
    reply[#reply + 1] = left
  end
end

-- Returns when the keys go, unless they are used again. Nothing in them counts any more then.
local function save()
  local fields, life = {}, math.max(state.keep + state.lease, state.closed - now, state.lost - now) + 1000
  for name, value in pairs(state) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HMSET', STATE, unpack(fields))
  redis.call('ZREMRANGEBYSCORE', SLOTS, 0, now - state.keep)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, life) end
  return now + life
end

read_state()
read_clock()
local evicted = check_birth()
if command == 'note' then read_notes() end
read_windows()
state.lease = math.max(state.lease, lease)
note_loss(evicted)
local reply = { state.born, 0, 0, '' }
if command == 'reserve' then reserve(reply, ARGV[8], tonumber(ARGV[9])) end
if command == 'remaining' then remaining(reply) end
reply[2] = save()
return reply
]==]

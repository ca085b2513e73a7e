-- Which IP addresses belong to thousands of alerts? One JSON line for each.
--
--   MDE_TOKEN=... lua5.4 examples/enrich.lua [OPTION...] [FILE]
--
-- Reads alert ids from FILE, or from standard input without FILE or with "-": one a line; blank lines and spaces around
-- ids do not count. Writes, in the order in which answers come, a line for each:
--
--   {"id":"da637...","ips":["104.80.104.128","23.203.232.228"]}
--   {"id":"da637...","error":{"kind":"not_found","message":"..."}}
--
--   -o FILE         append the lines to FILE, not to standard output. What FILE already answers is not asked for again:
--                   after Ctrl-C or a crash the same command goes on where it was broken off. One run at a
--                   time: FILE is not locked
--   -r              ask again for what has failed, as FILE says
--   -c NUMBER       that many calls at once (16)
--   -q FILE         share one quota with all programs that use this file
--   --progress      the progress line on standard error, even if that is not a terminal
--
-- Ends with 0 if all alerts are answered, 1 if some have failed or the token was refused, 2 if it could not begin
-- (command line, token, files), 130 after Ctrl-C. A refused token ends it at once; those alerts are left for later.
--
-- Ids are not gathered in memory; only those that FILE of -o already answers are, some 200 bytes each. So an id that
-- is twice in the input may be asked for twice.
--
-- Environment: MDE_TOKEN; MDE_BASE_URL and MDE_CA_FILE to ask another host, such as the simulator.
local cjson = require "cjson"
local mde = require "mde"

local OPERATION = "alert_ips"
local CONCURRENCY, CONCURRENCY_MAX = 16, 1000
local LINE_START = '{"id":' -- of every line that this program writes
local BLOCK = 65536
local WAIT_SHOWN = 0.5 -- seconds: shorter waits are not worth telling
local SHOWN_MOST = 3 -- times a second

local OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

local function complain(...) io.stderr:write("enrich: ", table.concat({ ... }), "\n") end

-- Ends the program from anywhere: the table is caught at the end of this file.
local function give_up(status, ...) error({ status = status, message = table.concat{ ... } }, 0) end

-- As assert, for what must be there to begin.
local function must(value, why) return value or give_up(UNUSABLE, why) end

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- --- the command line ---

local USAGE = "usage: MDE_TOKEN=... lua5.4 examples/enrich.lua [-c NUMBER] [-q FILE] [-o FILE] [-r] [--progress] [FILE]"

local with_value = { ["-o"] = "output", ["-c"] = "concurrency", ["-q"] = "quota" }
local flags = { ["-r"] = "again", ["--progress"] = "progress" }

local function read_command_line(words)
  local options = { concurrency = CONCURRENCY }
  local at = 1
  while words[at] do
    local word = words[at]
    if with_value[word] then
      at = at + 1
      options[with_value[word]] = must(words[at], word .. " needs a value\n" .. USAGE)
    elseif flags[word] then
      options[flags[word]] = true
    elseif options.input or (word:sub(1, 1) == "-" and word ~= "-") then
      give_up(UNUSABLE, "what is ", word, "?\n", USAGE)
    else
      options.input = word
    end
    at = at + 1
  end
  local number = tonumber(options.concurrency)
  if not number or number % 1 ~= 0 or number < 1 or number > CONCURRENCY_MAX then
    give_up(UNUSABLE, "-c: a whole number from 1 to ", CONCURRENCY_MAX, " expected, not ", options.concurrency)
  end
  options.concurrency = number
  return options
end

-- --- what comes in ---

local function trim(line) return line:match "^%s*(.-)%s*$" end

local function open_input(path)
  if not path or path == "-" then return io.stdin end
  return must(io.open(path, "rb"))
end

-- The next id; nil at the end.
local function read_id(input)
  while true do
    local line, why = input:read "*l"
    if why then give_up(UNUSABLE, "the ids cannot be read: ", why) end
    local id = line and trim(line)
    if id ~= "" then return id end
  end
end

-- For "time left". It needs a file, which is read twice: a pipe tells the number only at its end.
local function count_ids(input)
  local start, count = input:seek "cur", 0
  if not start then return nil end
  while read_id(input) do count = count + 1 end
  input:seek("set", start)
  return count
end

-- mde raises for what can never be an id. A line of garbage must not end the work.
local function why_no_id(id)
  if id == "." or id == ".." or id:find "%c" then return "this is no id of an alert" end
end

-- --- what is already written ---

-- known[id] is "answered" or "failed"; the last line for an id counts, but an answer stays one.
local function remember(known, line)
  local ok, record = pcall(cjson.decode, line)
  if not ok or type(record) ~= "table" or type(record.id) ~= "string" then return false end
  if record.ips then known[record.id] = "answered"
  elseif record.error then known[record.id] = known[record.id] or "failed"
  else return false end
  return true
end

-- Whether it can be a line of ours that was broken off.
local function is_start_of_line(text)
  local length = math.min(#text, #LINE_START)
  return text:sub(1, length) == LINE_START:sub(1, length)
end

-- Lua cannot shorten a file: what is whole is copied, and the copy takes its place.
local function cut(path, size)
  local copy_path = path .. ".part"
  local from, to = must(io.open(path, "rb")), must(io.open(copy_path, "wb"))
  while size > 0 do
    local block = must(from:read(math.min(size, BLOCK)))
    must(to:write(block))
    size = size - #block
  end
  from:close()
  must(to:close())
  must(os.rename(copy_path, path))
end

-- A crash can leave a last line without its end: it is cut off, and that alert asked for again.
local function read_known(path)
  local known = {}
  local file = io.open(path, "rb")
  if not file then return known end
  local size, whole, number = file:seek "end", 0, 0
  if size == 0 then return known end -- a device, perhaps
  file:seek "set"
  local _, why = file:read(0)
  if why or not size then give_up(UNUSABLE, path, ": ", why or "no file that can be appended to") end
  for line in file:lines() do
    number = number + 1
    local torn = whole + #line == size
    if not (torn and is_start_of_line(line)) and (torn or not remember(known, line)) then
      give_up(UNUSABLE, path, ", line ", number, " was not written by this program; nothing was changed")
    end
    if not torn then whole = whole + #line + 1 end
  end
  file:close()
  if whole < size then cut(path, whole) end
  return known
end

-- --- what is written ---

local function answer_line(id, ips)
  local addresses = {} -- put together by hand: cjson takes an empty table for an object
  for i, ip in ipairs(ips) do addresses[i] = cjson.encode(ip.id) end
  return ('{"id":%s,"ips":[%s]}\n'):format(cjson.encode(id), table.concat(addresses, ","))
end

local function error_line(id, err)
  return ('{"id":%s,"error":{"kind":%s,"message":%s}}\n'):format(cjson.encode(id), cjson.encode(err.kind),
    cjson.encode(err.message))
end

-- Each line is handed to the system as it is there: a crash of this program loses none.
local function write_line(output, line)
  local ok, why = output:write(line)
  if ok then ok, why = output:flush() end
  if not ok then give_up(FAILED, "the lines cannot be written: ", why) end
end

-- --- the progress line ---

local function is_terminal(descriptor)
  local status = os.execute("test -t " .. descriptor)
  return status == true or status == 0 -- Lua 5.1 returns a number
end

local function clock(seconds)
  seconds = math.ceil(seconds)
  local hours, minutes = math.floor(seconds / 3600), math.floor(seconds / 60) % 60
  return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60)
end

local Progress = {}
Progress.__index = Progress

local function new_progress(options, input, quota)
  local shown = options.progress or is_terminal(2)
  return setmetatable({
    shown = shown, quota = quota, total = shown and count_ids(input) or nil,
    done = 0,   -- lines there are
    failed = 0, -- of those
    asked = 0,  -- lines of this run
    started = os.time(), last = 0, times = 0, -- when the line was last shown, and how often in that second
  }, Progress)
end

-- The calls that may be begun now; nil while nobody knows.
function Progress:quota_left()
  local windows = self.quota:remaining(OPERATION)
  local least
  for _, left in pairs(windows or {}) do least = math.min(least or left, left) end
  return least
end

-- What the quota's windows make `calls` calls wait: each full window lets as many through as it has.
function Progress:quota_seconds(calls)
  local status = self.quota:status()
  local _, next_call = self.quota:remaining(OPERATION)
  local longest = 0
  for _, operation in ipairs(status and status.operations or {}) do
    if operation.operation == OPERATION and operation.key == "" then
      for _, window in ipairs(operation.windows) do
        local beyond = calls - (window.calls - window.used)
        local first = window.used >= window.calls and tonumber(next_call) or window.seconds
        local others = math.floor((beyond - 1) / window.calls) * window.seconds
        if beyond > 0 then longest = math.max(longest, first + others) end
      end
    end
  end
  return longest
end

function Progress:text()
  local parts = { ("done %d%s"):format(self.done, self.total and " of " .. self.total or "") }
  parts[#parts + 1] = ("failed %d"):format(self.failed)
  local rate = self.asked / math.max(1, os.time() - self.started)
  parts[#parts + 1] = ("%.1f/s"):format(rate)
  local quota_left = self:quota_left()
  if quota_left then parts[#parts + 1] = ("quota left %d"):format(quota_left) end
  if self.total and rate > 0 then
    local left = math.max(0, self.total - self.done)
    parts[#parts + 1] = clock(math.max(left / rate, self:quota_seconds(left))) .. " left"
  end
  if self.waiting then parts[#parts + 1] = self.waiting end
  return table.concat(parts, ", ")
end

-- Once a second, or `most` times.
function Progress:show(most)
  local now = os.time()
  if now ~= self.last then self.last, self.times = now, 0 end
  if not self.shown or self.times >= (most or 1) then return end
  self.times = self.times + 1
  io.stderr:write("\r", self:text(), "\27[K")
end

function Progress:finish()
  if not self.shown then return end
  self.waiting, self.last = nil, 0
  self:show()
  io.stderr:write "\n"
end

function Progress:count(failed)
  self.done = self.done + 1
  if failed then self.failed = self.failed + 1 end
end

-- For the client's on_event. Nothing else comes while it waits: what is shown must stay true, and be shown at once.
function Progress:on_event(event)
  if event.kind == "wait" and event.seconds >= WAIT_SHOWN and not self.waiting then
    self.waiting = ("waiting until %s (%s)"):format(os.date("%H:%M:%S", os.time() + math.ceil(event.seconds)),
      event.reason)
    self:show(SHOWN_MOST)
  elseif event.kind == "attempt" then
    self.waiting = nil
  end
end

-- --- the work ---

-- The ids to ask for, one by one. Those that are known only count.
local function ids_to_ask(input, known, again, progress, output)
  return function()
    for id in read_id, input do
      local state, why = known[id], why_no_id(id)
      if state == "answered" or (state == "failed" and not again) then
        progress:count(state == "failed")
      elseif why then
        write_line(output, error_line(id, { kind = "argument", message = why }))
        progress:count(true)
      else
        return id
      end
    end
  end
end

local function enrich(client, ids, options, progress, output)
  for id, ips, err in client:each(OPERATION, ids, { concurrency = options.concurrency }) do
    if err and err.kind == "auth" then give_up(FAILED, tostring(err)) end
    write_line(output, ips and answer_line(id, ips) or error_line(id, err))
    progress.asked = progress.asked + 1
    progress:count(err)
    progress:show()
  end
end

local function set_up(make, options)
  local ok, made = pcall(make, options)
  return must(ok and made, tostring(made))
end

local function open_output(path)
  if not path then return io.stdout, {} end
  local known = read_known(path)
  return must(io.open(path, "ab")), known
end

-- Calls `run`, and `finish` afterwards, whatever became of it.
local function finally(run, finish)
  local ok, problem = pcall(run)
  finish()
  if not ok then error(problem, 0) end
end

local function main()
  local options = read_command_line(arg)
  local token = must(environment "MDE_TOKEN",
    "MDE_TOKEN is not set. It holds a bearer token; README.md says how to get one.")
  local input = open_input(options.input)
  local quota = set_up(mde.quota, { path = options.quota })
  local progress = new_progress(options, input, quota)
  local client = set_up(mde.client, {
    token = token,
    base_url = environment "MDE_BASE_URL",
    ca_file = environment "MDE_CA_FILE",
    quota = quota,
    on_event = progress.shown and function(event) progress:on_event(event) end or nil,
  })
  local output, known = open_output(options.output)
  finally(function()
    local ids = ids_to_ask(input, known, options.again, progress, output)
    enrich(client, ids, options, progress, output)
  end, function()
    progress:finish()
    client:close() -- cancels what is in flight
    quota:close()
  end)
  if progress.failed == 0 then return OK end
  complain(progress.failed, " of ", progress.done, " alerts have failed",
    options.output and "; the same command with -r asks for them again" or "")
  return FAILED
end

-- Returns the exit status. Ctrl-C is an error, too: the interpreter's "interrupted!".
local function guarded()
  local ok, result = pcall(main)
  if ok then return result end
  if type(result) == "table" and result.status then
    complain(result.message)
    return result.status
  end
  if tostring(result):find "interrupted!$" then
    complain "interrupted"
    return INTERRUPTED
  end
  complain(tostring(result))
  return FAILED
end

os.exit(guarded())

--- A client without a network, for tests of automation: the clock is moved by hand and the answers
-- are written down. Everything else (quota, retries, paging, errors) is the real thing.
--
--     local testing = require "mde.testing"
--     local client = testing.client{ token = "any", answers = {
--       { body = { value = { { id = "192.0.2.1" } } } },
--       { status = 429, headers = { ["Retry-After"] = "5" } },
--       { error = "timeout" },
--     } }
--     local ips = client:alert_ips "da1"     -- waits move the clock and take no time
--     testing.advance(3600)                  -- an hour later
--
-- A blocking call that has to wait (for quota, Retry-After, a slow answer) moves the clock by itself.
local mde = require "mde"
local cjson = require("cjson").new()

local testing = {}

local clock = mde._testing.clock()
local requests_of = setmetatable({}, { __mode = "k" })

local outcomes = { timeout = true, unreachable = true, broken = true, tls = true }

local function encode(body)
  if type(body) ~= "table" then return body or "" end
  -- lua-cjson writes every empty table as an object; the API's collections are arrays.
  local ok, text = pcall(cjson.encode, body)
  if not ok then error("mde.testing: an answer's 'body' is no JSON: " .. text, 0) end
  return (text:gsub('"value":{}', '"value":[]'))
end

local function head_of(headers)
  local lines = {}
  for name, value in pairs(headers or {}) do
    lines[#lines + 1] = name .. ": " .. tostring(value) .. "\r\n"
  end
  return table.concat(lines)
end

local function is_head(value)
  if type(value) ~= "table" then return false end
  for name, words in pairs(value) do
    if type(name) ~= "string" or type(words) ~= "string" and type(words) ~= "number" then return false end
  end
  return true
end

--- What the fields of an answer may hold, in words and as a test.
local fields = {
  status = { "a whole number from 100 to 999", function(value)
    return type(value) == "number" and value % 1 == 0 and value >= 100 and value <= 999
  end },
  headers = { "a table of strings", is_head },
  body = { "a string or a table", function(value) return type(value) == "string" or type(value) == "table" end },
  seconds = { "a number, 0 or more", function(value) return type(value) == "number" and value >= 0 end },
  error = { "'timeout', 'unreachable', 'broken' or 'tls'", function(value) return outcomes[value] end },
}

--- A mistake in a test must not pass for an answer of the service.
local function check_answer(answer)
  if type(answer) ~= "table" then
    error("mde.testing: an answer is a table or a string, got " .. type(answer), 0)
  end
  for name, value in pairs(answer) do
    local field = fields[name]
    if not field then error(("mde.testing: an answer has no field '%s'"):format(tostring(name)), 0) end
    if not field[2](value) then
      error(("mde.testing: an answer's '%s' is %s, got '%s'"):format(name, field[1], tostring(value)), 0)
    end
  end
end

--- What an answer says, as the module's scripted transport wants it.
local function translate(answer)
  if type(answer) == "string" then answer = { body = answer } end
  check_answer(answer)
  if answer.error then
    -- Without a time of its own a time-out comes when the attempt's time is over.
    return answer.error, answer.seconds or (answer.error == "timeout" and math.huge or 0)
  end
  return "answer", answer.seconds or 0, answer.status or 200, head_of(answer.headers), encode(answer.body)
end

--- What a token endpoint says if a test does not care: a token of an hour.
local function any_token() return { body = { token_type = "Bearer", expires_in = 3600, access_token = "a-token" } } end

local function next_answer(answers, request, count)
  if type(answers) == "function" then return answers(request) end
  if answers[count] == nil then
    error(("mde.testing: no answer is left for request %d, %s %s")
      :format(count, request.method, request.path), 0)
  end
  return answers[count]
end

local function split_options(options)
  local rest = {}
  for name, value in pairs(options) do rest[name] = value end
  local answers, tokens, jitter = rest.answers, rest.token_answers, rest.jitter
  rest.answers, rest.token_answers, rest.jitter = nil, nil, nil
  if tokens == nil then tokens = any_token end
  if jitter == nil then jitter = 0.5 end
  return rest, answers, tokens, jitter
end

--- Blames the line that called testing.client.
local function misuse(message) error("bad argument #1 to 'client' (" .. message .. ")", 3) end

--- As above, for what the module itself finds wrong with the options.
local function make(options, script, jitter)
  local ok, client = pcall(function()
    local made = mde._testing.client(options, script, clock, jitter)
    return made
  end)
  if not ok then error(tostring(client):gsub("^[^\n]-:%d+: ", ""), 3) end
  return client
end

local function check_answers(name, answers)
  if type(answers) == "table" or type(answers) == "function" then return end
  error(("bad argument #1 to 'client' (option '%s': table or function expected, got %s)")
    :format(name, type(answers)), 4)
end

--- What asks for each request's answer. Requests for tokens are counted by themselves.
local function scripted(answers, tokens, requests)
  local counts = { api = 0, token = 0 }
  return function(operation, method, url)
    local kind = operation == "token" and "token" or "api"
    local request = {
      operation = operation, method = method, url = url,
      path = url:match("^%a+://[^/]*(/.*)$"), at = clock:now(),
    }
    requests[#requests + 1] = request
    counts[kind] = counts[kind] + 1
    return translate(next_answer(kind == "token" and tokens or answers, request, counts[kind]))
  end
end

--- Makes a client whose requests go nowhere.
-- @tparam table options those of `mde.client`, and:
--   `answers`: an array, used up in order, or `function(request) -> answer`. An answer is a string (a
--   body) or a table with `status` (200), `headers`, `body` (a string, or a table to be encoded) and
--   `seconds` (how long it takes: 0), or with `error`: "timeout", "unreachable" (never sent),
--   "broken" (sent, no answer) or "tls". A request has `operation`, `method`, `url`, `path` (with the
--   query) and `at` (the clock's time).
--   `token_answers`: likewise for the requests of a credential that fetches its tokens (the operation is
--   then "token"). By default each is answered with a token that lives for an hour.
--   `jitter`: the dice of the pauses between attempts, in [0, 1); 0.5 by default.
-- @treturn client
-- @raise what `mde.client` raises; later, from a method, an error if no answer is left.
function testing.client(options)
  if type(options) ~= "table" then misuse("table expected, got " .. type(options)) end
  local rest, answers, tokens, jitter = split_options(options)
  check_answers("answers", answers)
  check_answers("token_answers", tokens)
  if type(jitter) ~= "number" or not (jitter >= 0 and jitter < 1) then
    misuse "option 'jitter': must be a number, at least 0 and less than 1"
  end
  local requests = {}
  local client = make(rest, scripted(answers, tokens, requests), jitter)
  requests_of[client] = requests
  return client
end

--- Makes a quota on the clock that the test moves, for the option `quota` of clients made here.
-- @tparam[opt] table options those of `mde.quota`. A file is then of no use to other clients.
-- @treturn quota
-- @raise what `mde.quota` raises
function testing.quota(options)
  local ok, quota = pcall(function()
    local made = mde._testing.quota(options, clock)
    return made
  end)
  if not ok then error(tostring(quota):gsub("^[^\n]-:%d+: ", ""), 2) end
  return quota
end

--- The requests that a client has sent so far, oldest first.
-- @treturn table array of { operation, method, url, path, at }
function testing.requests(client)
  return requests_of[client] or error("bad argument #1 to 'requests' (a client of mde.testing expected)", 2)
end

--- Moves the clock of all clients made here.
-- @tparam number seconds 0 or more
function testing.advance(seconds) clock:advance(seconds) end

--- The time on that clock, in seconds; it does not start at 0.
-- @treturn number
function testing.now() return clock:now() end

return testing

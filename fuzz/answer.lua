-- A call that gets any answers: it ends within its budget with a table or a clean error, asks nobody but the API, and
-- the next call works. The first answer's head may name the operation.
local script = require "fuzz.script"
local testing = require "mde.testing"

local TOKEN, BUDGET, MAX_ITEMS = "the-token-of-the-fuzzer", 100, 3
local ORIGINS = { api = "https://api.security.microsoft.com" }
local EMPTY = '{"value":[]}'

local function call(client, operation)
  if operation == "alerts" then return client:alerts{ max_items = MAX_ITEMS, filter = "secretive eq 1" } end
  return client[operation](client, "da1")
end

local known = { alerts = true, alert = true, alert_ips = true, alert_machine = true }

return function(bytes)
  local answers = script.answers(bytes)
  local operation = answers[1].headers.Operation
  if not known[operation] then operation = "alert_ips" end
  local client = testing.client{ token = TOKEN, budget = BUDGET, answers = script.player(answers, EMPTY) }
  local start = testing.now()
  local value, err = call(client, operation)
  assert(testing.now() - start < BUDGET) -- a wait that would reach it is not begun
  assert((value == nil) ~= (err == nil))
  if value == nil then
    -- An answer may say "secretive" by itself.
    script.must_be_clean(err, { TOKEN, not bytes:find("secretive", 1, true) and "secretive" or nil })
  else
    assert(type(value) == "table")
    assert(operation ~= "alerts" or #value <= MAX_ITEMS)
  end
  script.must_be_sent_to(testing.requests(client), ORIGINS, 4 * (#answers + 1))
  script.forget(answers)
  testing.advance(3600)
  assert(client:alert_files "da2")
  client:close()
end

-- A call whose token must be fetched first, from an endpoint that says anything: it ends, nobody but the two hosts is
-- asked, and the secret is in no message.
local script = require "fuzz.script"
local testing = require "mde.testing"

local SECRET, BUDGET = "the-secret~of+the/fuzzer", 100
local ESCAPED = "the-secret~of%2Bthe%2Ffuzzer"
local ORIGINS = { api = "https://api.security.microsoft.com", token = "https://login.microsoftonline.com" }
local EMPTY = '{"value":[]}'
local TOKEN = '{"token_type":"Bearer","expires_in":3600,"access_token":"a-token"}'

return function(bytes)
  local answers = script.answers(bytes)
  local client = testing.client{
    tenant_id = "contoso.example", client_id = "app", client_secret = SECRET, budget = BUDGET,
    answers = script.player({}, EMPTY), token_answers = script.player(answers, TOKEN),
  }
  local start = testing.now()
  local value, err = client:alert_ips "da1"
  assert(testing.now() - start < BUDGET)
  assert((value == nil) ~= (err == nil))
  if err then script.must_be_clean(err, { SECRET, ESCAPED }) end
  script.must_be_sent_to(testing.requests(client), ORIGINS, 4 * (#answers + 2))
  -- Whoever was refused rests for a while; then it works, unless there are answers left.
  for _ = 1, #answers + 1 do
    testing.advance(3600)
    value, err = client:alert_ips "da1"
    if err then script.must_be_clean(err, { SECRET, ESCAPED }) end
  end
  assert(value)
  client:close()
end

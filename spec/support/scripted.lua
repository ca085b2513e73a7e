--- Clients of mde.testing in few words, for specs of what takes time.
--
--     local client, events = scripted.client({ { status = 503 }, scripted.EMPTY }, { max_attempts = 2 })
--     client:alert_ips "da1"
--     assert.same({ 0.25 }, scripted.gaps(client))       seconds between its requests
--     assert.equal("backoff", scripted.of_kind(events, "wait")[1].reason)
local testing = require "mde.testing"

local scripted = {}

scripted.EMPTY = '{"value":[]}'
scripted.TOKEN = "the-token-of-the-specs"

--- Answers each request with the same.
function scripted.always(answer) return function() return answer end end

--- Without answers every request finds an empty collection. The second result grows with what `on_event` is told;
-- a function of the spec's own is called after that.
function scripted.client(answers, options)
  local events = {}
  local all = { answers = answers or scripted.always(scripted.EMPTY) }
  for name, value in pairs(options or {}) do all[name] = value end
  if not (all.client_secret or all.token or all.token_file) then all.token = scripted.TOKEN end
  local heard = all.on_event
  all.on_event = function(event)
    events[#events + 1] = event
    if heard then heard(event) end
  end
  return testing.client(all), events
end

function scripted.of_kind(events, kind)
  local found = {}
  for _, event in ipairs(events) do
    if event.kind == kind then found[#found + 1] = event end
  end
  return found
end

--- Whole milliseconds, so that they can be compared.
function scripted.rounded(seconds) return math.floor(seconds * 1000 + 0.5) / 1000 end

--- The seconds between one request and the next.
function scripted.gaps(client)
  local gaps, requests = {}, testing.requests(client)
  for i = 2, #requests do gaps[i - 1] = scripted.rounded(requests[i].at - requests[i - 1].at) end
  return gaps
end

--- Calls, and returns the seconds that it took on the clock, then its results.
function scripted.timed(run, ...)
  local start = testing.now()
  local value, err = run(...)
  return scripted.rounded(testing.now() - start), value, err
end

--- The error that a function raises, as a string.
function scripted.raised(run, ...)
  local ok, err = pcall(run, ...)
  assert(not ok, "nothing was raised")
  return tostring(err)
end

return scripted

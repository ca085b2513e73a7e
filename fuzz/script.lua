--- What the targets in Lua share: answers read out of bytes, and what must hold after each call.
--
--     local answers = script.answers(bytes)
--     script.must_be_clean(err, { TOKEN })
--
-- The bytes are as HTTP has them, without its first word: a status, a head, an empty line, a body. A line of "%%%" is
-- before the next answer.
local script = {}

local kinds = {}
for kind in ("auth not_found rate_limited http timeout network tls json too_large cancelled closed"):gmatch "[%l_]+" do
  kinds[kind] = true
end

local function answer_of(text)
  local first, rest = text:match "^([^\n]*)(.*)$"
  local head, body = (rest .. "\n\n"):match "^(.-)\n\n(.*)$"
  local headers = {}
  for name, value in head:gmatch "([%w-]+): ([^\n]*)" do headers[name] = value end
  return { status = tonumber(first:match "^[2-9]%d%d") or 200, headers = headers, body = body:sub(1, -3) }
end

function script.answers(bytes)
  local list = {}
  for text in (bytes .. "\n%%%\n"):gmatch "(.-)\n%%%%%%\n" do list[#list + 1] = answer_of(text) end
  return list
end

--- Used up in order; then `last` for ever.
function script.player(list, last)
  local count = 0
  return function()
    count = count + 1
    return list[count] or last
  end
end

--- An error says what it must, holds no secret, and nothing that a terminal would obey.
function script.must_be_clean(err, secrets)
  assert(kinds[err.kind], err.kind)
  assert(err.retry_after == nil or err.retry_after >= 0)
  for _, words in ipairs{ tostring(err), err.code or "", err.target or "" } do
    assert(not words:find "[%z\1-\31\127]" and not words:find "\194[\128-\159]", words)
    for _, secret in ipairs(secrets) do assert(not words:find(secret, 1, true), words) end
  end
end

--- As if there had been no more of them.
function script.forget(list)
  for i = #list, 1, -1 do list[i] = nil end
end

--- Each request goes to that host, and they are not without end.
function script.must_be_sent_to(requests, origins, most)
  assert(#requests <= most, #requests)
  for _, request in ipairs(requests) do
    local origin = assert(request.url:match "^(https://[%w.]+)/")
    assert(origins[request.operation == "token" and "token" or "api"] == origin, request.url)
    assert(not request.url:find "[^!-~]", request.url)
  end
end

return script

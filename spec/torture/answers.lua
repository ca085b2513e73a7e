--- The service of scripted clients: an answer for each id that says in its name what it gets. And what the torturer
-- has prepared, named in its environment.
local answers = {}

answers.folder = os.getenv "TORTURE_FOLDER"
answers.simulator = os.getenv "MDE_SIMULATOR_DIR"
answers.token_file = answers.folder .. "/token"
answers.certificate_file = answers.folder .. "/certificate.pem"
answers.key_file = answers.folder .. "/key.pem"

answers.PAGES = 3

answers.REFUSED = '{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}'

local ENTITY = '{"id":"1","title":"t\\u00f8","nested":{"list":[1,2.5,null,true]}}'
local COLLECTION = '{"value":[{"id":"1","x":null},{"id":"2"}]}'
local SAID = '{"error":{"code":"C","message":"Bearer a-token-that-is-long","target":"t"}}'

--- The kind of each failure. Those without a status say it themselves.
answers.failures = {
  ["400"] = "http", ["401"] = "auth", ["403"] = "auth", ["404"] = "not_found", ["429"] = "rate_limited",
  ["500"] = "http", unreachable = "network", broken = "network", timeout = "timeout", tls = "tls", large = "too_large",
  html = "json", array = "json",
}

local bodies = { large = ("x"):rep(6000), html = "<html>", array = '{"value":5}' }

local once = {
  ["503"] = { status = 503 }, ["401"] = { status = 401 }, broken = { error = "broken" },
  ["429"] = { status = 429, headers = { ["Retry-After"] = 2 },
              body = '{"error":{"message":"maximum allowed 4 per 00:00:01"}}' },
}

local function page(path)
  local number = tonumber(path:match "skip=(%d+)") or 0
  if number >= answers.PAGES - 1 or path:find "top=" then return COLLECTION end
  return ('%s,"@odata.nextLink":"https://h/api/alerts?$skip=%d"}'):format(COLLECTION:sub(1, -2), number + 1)
end

local function failure(id)
  if bodies[id] then return bodies[id] end
  if not tonumber(id) then return { error = id } end
  return { status = tonumber(id), body = SAID, headers = id == "429" and { ["Retry-After"] = 100 } or nil }
end

local attempts = {}

--- The first one fails; when it has succeeded, it begins anew.
local function failing_once(id, first)
  attempts[id] = not attempts[id]
  return attempts[id] and first or COLLECTION
end

function answers.service(request)
  local path = request.path
  local id = path:match "/alerts/([^/?]+)"
  if not id then return page(path) end
  local first = once[id:match "^(%w+)%-once$"]
  if first then return failing_once(id, first) end
  if answers.failures[id] then return failure(id) end
  if id == "slow" then return { seconds = 5, body = COLLECTION } end
  local is_entity = request.operation == "alert" or request.operation:find "machine" or request.operation:find "user"
  return is_entity and ENTITY or COLLECTION
end

return answers

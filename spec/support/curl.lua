--- curl as another client, for specs that try the servers themselves.
--
--   curl.get(url, { ca_file =, token =, headers = { Name = value } })   -> { status =, body =, json =, headers = }
--   curl.post(url, { form = { name = value }, ... })
--
-- `json` is the decoded body or nil; names of `headers` are in lower case.

local cjson = require "cjson"
local shell = require "spec.support.shell"

local curl = {}

local function option(words, name, value)
  if value then words[#words + 1] = name .. " " .. shell.quote(value) end
end

local function command_of(url, options, head)
  local words = { "curl --silent --show-error --globoff --noproxy '*' --max-time 30" }
  option(words, "--cacert", options.ca_file)
  option(words, "--request", options.method)
  option(words, "--dump-header", head)
  option(words, "--header", options.token and "Authorization: Bearer " .. options.token)
  for name, value in pairs(options.headers or {}) do option(words, "--header", name .. ": " .. value) end
  for name, value in pairs(options.form or {}) do option(words, "--data-urlencode", name .. "=" .. value) end
  return table.concat(words, " ") .. " " .. shell.quote(url)
end

local function take(path)
  local text = shell.read(path)
  os.remove(path)
  return text
end

local function read_head(head)
  local headers = {}
  for name, value in head:gmatch "([%w%-]+): ([^\r\n]*)" do headers[name:lower()] = value end
  return tonumber(head:match "^HTTP/%S+ (%d+)"), headers
end

function curl.get(url, options)
  local head_path = os.tmpname()
  local body = shell.must(command_of(url, options or {}, head_path))
  local status, headers = read_head(take(head_path))
  local ok, decoded = pcall(cjson.decode, body)
  return { status = status, headers = headers, body = body, json = ok and decoded or nil }
end

function curl.post(url, options)
  options.method = "POST"
  return curl.get(url, options)
end

return curl

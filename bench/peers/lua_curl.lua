--- Lua-cURL and cjson: sequential N | page. The same surroundings and output as bench/client.lua.
--
-- Either of the two modules of this name: version 3 (lcurl), or the one that Debian has for 5.1 (curl).
local cjson = require "cjson"

local mode, count = arg[1], tonumber(arg[2])
local base = os.getenv "BENCH_BASE"

local headers = { "Authorization: Bearer " .. os.getenv "BENCH_TOKEN", "Accept: application/json" }

local function with_lcurl(lcurl)
  local parts = {}
  local easy = lcurl.easy{
    cainfo = os.getenv "BENCH_CA_FILE", httpheader = headers, accept_encoding = "gzip",
    writefunction = function(bytes) parts[#parts + 1] = bytes return #bytes end,
  }
  return function(url)
    parts = {}
    easy:setopt_url(url)
    easy:perform()
    assert(easy:getinfo(lcurl.INFO_RESPONSE_CODE) == 200)
    return table.concat(parts)
  end
end

local function with_luacurl(curl)
  local easy, parts = curl.easy_init(), {}
  easy:setopt(curl.OPT_CAINFO, os.getenv "BENCH_CA_FILE")
  easy:setopt(curl.OPT_HTTPHEADER, headers)
  if curl.OPT_ACCEPT_ENCODING then easy:setopt(curl.OPT_ACCEPT_ENCODING, "gzip") end
  easy:setopt(curl.OPT_FAILONERROR, 1)
  easy:setopt(curl.OPT_WRITEFUNCTION, function(bytes) parts[#parts + 1] = bytes return #bytes end)
  return function(url)
    parts = {}
    easy:setopt(curl.OPT_URL, url)
    assert(easy:perform() == 0)
    return table.concat(parts)
  end
end

local found, lcurl = pcall(require, "lcurl")
local fetch = found and with_lcurl(lcurl) or with_luacurl(require "curl")

local function get(path)
  return #cjson.decode(fetch(base .. "/api/alerts" .. path)).value
end

local items = 0
if mode == "page" then items = get "" end
for n = 1, count or 0 do items = items + get(("/da637472900382838869_%d/ips"):format(n)) end
print(items)

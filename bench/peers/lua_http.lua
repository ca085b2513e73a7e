--- lua-http: sequential N | each N CONCURRENCY | page. The same surroundings and output as bench/client.lua.
--
-- Its requests have no pool of connections, so the connections are made by hand, one for each coroutine: many streams
-- on one connection of HTTP/2 were seen to hang.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua" -- Debian has lpeg_patterns for 5.1 only; it is plain Lua

local cjson = require "cjson"
local cqueues = require "cqueues"
local http_client = require "http.client"
local http_headers = require "http.headers"
local http_tls = require "http.tls"
local store = require "openssl.x509.store"

local mode, count, concurrency = arg[1], tonumber(arg[2]), tonumber(arg[3])
local host, port, prefix = os.getenv("BENCH_BASE"):match "^https://([%d.]+):(%d+)(.*)$"

local function connect(version)
  local context = http_tls.new_client_context()
  local roots = store.new()
  roots:add(os.getenv "BENCH_CA_FILE")
  context:setStore(roots)
  return assert(http_client.connect{ host = host, port = tonumber(port), tls = true, ctx = context,
    version = version })
end

local function get(connection, path)
  local headers = http_headers.new()
  headers:append(":method", "GET")
  headers:append(":scheme", "https")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", prefix .. "/api/alerts" .. path)
  headers:append("authorization", "Bearer " .. os.getenv "BENCH_TOKEN", true)
  headers:append("accept", "application/json")
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(headers, true))
  local answer = assert(stream:get_headers())
  assert(answer:get ":status" == "200")
  local body = assert(stream:get_body_as_string())
  stream:shutdown()
  return #cjson.decode(body).value
end

local next_number, items = 0, 0

local function work(connection)
  while next_number < count do
    next_number = next_number + 1
    local got = get(connection, ("/da637472900382838869_%d/ips"):format(next_number)) -- others go on meanwhile
    items = items + got
  end
end

local modes = {}

function modes.sequential()
  work(connect())
end

function modes.each()
  local loop = cqueues.new()
  for _ = 1, concurrency do
    loop:wrap(function() work(connect(1.1)) end)
  end
  assert(loop:loop())
end

function modes.page()
  items = get(connect(), "")
end

modes[mode]()
print(items)

--- The least that a page can cost in Lua: a bare fetch by libcurl, and one cjson.decode.
--
-- Otherwise as `client.lua page`.
local cjson = require "cjson"
local native = require "bench_native"

local body = native.fetch(os.getenv "BENCH_BASE" .. "/api/alerts", os.getenv "BENCH_CA_FILE",
  { "Authorization: Bearer " .. os.getenv "BENCH_TOKEN", "Accept: application/json" })
print(#cjson.decode(body).value)

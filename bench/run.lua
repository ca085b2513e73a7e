--- `make bench`: the client against a bare C program on libcurl, and against what others use.
--
--   lua5.4 bench/run.lua PROGRAMS       the folder with floor, launch and, where Go is installed, net_http
--
-- From the environment: BENCH, the rows to run ("sequential page", for example); ROUNDS, how often (5); PEERS=no.
-- Ends with 1 if one of the figures that the client is to reach was not reached.
local contest = require "bench.contest"
local mde = require "mde"

local PROGRAMS = arg[1]
local ROUNDS = tonumber(os.getenv "ROUNDS") or 5
local PEER_ROUNDS = math.max(1, ROUNDS // 3)
local LAUNCHER = PROGRAMS .. "/launch"

local CALLS, BULK, CONCURRENCY, DELAY_MS = 5000, 2000, 32, 20
local PAGE = 10000

-- As long as the service's own: libcurl writes a header byte by byte, so it weighs a good deal, for every contender.
local TOKEN = ("mde-bench_"):rep(150)
local SHORT_TOKEN = "mde-bench_token"

local LUA = "lua5.4 bench/"
local FLOOR = PROGRAMS .. "/floor "

--- Two addresses for an even id, three for an odd one.
local function addresses(calls) return calls // 2 * 5 + calls % 2 * 3 end

-- --- what there is -----------------------------------------------------------------------------

local probe = mde.client{ token = "none" }
local HAS_EACH = probe.each ~= nil
local HAS_START = probe.start ~= nil
local HAS_VERSION = pcall(mde.client, { token = "none", http_version = "1.1" })
probe:close()

local function works(command) return contest.output_of(command .. " >/dev/null 2>&1") ~= nil end

-- A python3 in front of the system's would not know its packages.
local PYTHON = works "/usr/bin/python3 --version" and "/usr/bin/python3" or "python3"

local function python(name)
  return { name = "python3-" .. name, command = PYTHON .. " bench/peers/with_" .. name .. ".py ",
    check = PYTHON .. " -c 'import " .. name .. "'", each = true }
end

local function lua(name, version, program, modules)
  return { name = ("%s and cjson (%s)"):format(name, version), each = program == "lua_http",
    command = ("lua%s bench/peers/%s.lua "):format(version, program),
    check = ("lua%s -e '%s require [[%s]]; require [[cjson]]'"):format(version,
      "package.path = package.path .. [[;/usr/share/lua/5.1/?.lua]];", modules) }
end

local PEERS = {
  { name = "Go net/http", command = PROGRAMS .. "/net_http ", each = true,
    check = "test -x " .. PROGRAMS .. "/net_http" },
  lua("Lua-cURL 3", "5.4", "lua_curl", "lcurl"),
  lua("lua-curl (GnuTLS)", "5.1", "lua_curl", "curl"),
  lua("lua-http", "5.3", "lua_http", "http.client"),
  python "aiohttp", python "httpx", python "requests",
}

local function find_peers()
  local found, missing = {}, {}
  for _, peer in ipairs(PEERS) do
    if works(peer.check) then found[#found + 1] = peer else missing[#missing + 1] = peer.name end
  end
  PEERS = found
  if #missing > 0 then print("not installed: " .. table.concat(missing, ", ")) end
end

-- --- the server --------------------------------------------------------------------------------

local server = {}

--- Its address for HTTP/1.1 only, or where both versions are offered.
local function start_server(directory)
  assert(os.execute(("bench/server/server.sh start %s $PPID"):format(directory)))
  for line in io.lines(directory .. "/env") do
    local name, value = line:match "^BENCH_([%u%d_]+)=(.*)$"
    server[name:lower()] = value
  end
end

--- version: "1.1", "2", or nil for what the program does by itself where both are offered.
local function surroundings(version, path, token)
  return {
    BENCH_BASE = (version == "1.1" and server.url or server.h2_url) .. (path or ""),
    BENCH_HTTP = version or "",
    BENCH_CA_FILE = server.ca_file,
    BENCH_TOKEN = token or TOKEN,
  }
end

--- The client has no such option yet: then the server's offer decides.
local function client_surroundings(version, path, token)
  local environment = surroundings(version, path, token)
  if not HAS_VERSION then environment.BENCH_HTTP = "" end
  return environment
end

-- --- contenders ----------------------------------------------------------------------------------

local function floor(version, mode, path, token)
  return { name = ("floor: %s, HTTP/%s"):format(mode:match "^%a+", version), command = FLOOR .. mode, base = true,
    environment = surroundings(version, path, token) }
end

local function client_name(version) return version and "mde, HTTP/" .. version or "mde" end

local function client(version, mode, items, path, token)
  return { name = client_name(version), command = LUA .. "client.lua " .. mode, items = items,
    environment = client_surroundings(version, path, token) }
end

--- Shown beside the others: what the client is held to is the program that one would write first, by
--- curl_multi_perform and curl_multi_poll, over the HTTP version that the client uses itself.
local function beside(contender)
  contender.base = nil
  return contender
end

local function add_peers(contenders, mode, items, path)
  if os.getenv "PEERS" == "no" then return end
  for _, peer in ipairs(PEERS) do
    if peer.each or not mode:find "^each" then
      contenders[#contenders + 1] = { name = peer.name, command = peer.command .. mode, items = items,
        rounds = PEER_ROUNDS, environment = surroundings(nil, path) }
    end
  end
end

-- --- what is printed ---------------------------------------------------------------------------

local verdicts = {}
local missed = false

local function verdict(text, value, most, remark)
  local reached = value <= most
  missed = missed or not reached
  verdicts[#verdicts + 1] = ("%-12s %s: %.2f, at most %.2f%s"):format(reached and "reached" or "NOT REACHED", text,
    value, most, remark or "")
end

local function skipped(text) verdicts[#verdicts + 1] = ("%-12s %s"):format("not measured", text) end

local function load()
  local file = io.open "/proc/loadavg"
  if not file then return "" end
  local text = file:read "a":match "^%S+"
  file:close()
  return ", load " .. text
end

local function print_results(title, results)
  print(("\n%s%s"):format(title, load()))
  print(("  %-34s %9s %7s %9s %7s %9s %5s"):format("", "CPU ms", "times", "wall ms", "times", "peak MiB", "runs"))
  for _, result in ipairs(results) do
    if result.cpu then
      print(("  %-34s %9.1f %7.2f %9.1f %7.2f %9.1f %5d%s"):format(result.name, result.cpu, result.ratio,
        result.wall, result.wall_ratio, result.peak, result.runs, result.is_floor and "  floor" or ""))
    else
      print(("  %-34s failed: %s"):format(result.name, (result.trouble or ""):sub(-200):gsub("%s+", " ")))
    end
  end
end

local function named(results, name)
  for _, result in ipairs(results) do
    if result.name == name then return result.cpu and result end
  end
end

--- HTTP/2 over HTTP/1.1.
local function print_versions(results, first, second)
  local old, new = named(results, first), named(results, second)
  if old and new then
    print(("  %s over %s: CPU %.2f, wall %.2f"):format(second, first, new.cpu / old.cpu, new.wall / old.wall))
  end
end

-- --- the rows ----------------------------------------------------------------------------------

local rows = {}
local ORDER = { "sequential", "token", "each", "page", "memory", "growth" }

function rows.sequential()
  local mode, items = "sequential " .. CALLS, addresses(CALLS)
  local contenders = { floor("1.1", mode), floor("2", mode), client(nil, mode, items), client("1.1", mode, items),
    client("2", mode, items) }
  local stepwise = floor("1.1", ("socket %d 1"):format(CALLS)) -- curl_easy_perform is not the cheapest way
  stepwise.base = nil
  table.insert(contenders, 3, stepwise)
  add_peers(contenders, mode, items)
  local results = contest.run(LAUNCHER, contenders, ROUNDS)
  print_results(("sequential: %d alert_ips in a row on one kept connection"):format(CALLS), results)
  print_versions(results, "floor: sequential, HTTP/1.1", "floor: sequential, HTTP/2")
  print_versions(results, "mde, HTTP/1.1", "mde, HTTP/2")
  local own = named(results, "mde")
  if own then verdict("sequential, CPU over the floor's", own.ratio, 1.10) end
end

function rows.token()
  local mode, items = "sequential " .. CALLS, addresses(CALLS)
  local results = contest.run(LAUNCHER, { floor("1.1", mode, nil, SHORT_TOKEN), floor("2", mode, nil, SHORT_TOKEN),
    client(nil, mode, items, nil, SHORT_TOKEN) }, ROUNDS)
  print_results("token: the same with a token of 15 bytes, so that libcurl has less to do", results)
end

--- What the server's 20 ms come to, as the floor sees a single call: its own lateness is not the client's.
local function delay_ms()
  local alone = floor("1.1", "sequential 50", "/slow")
  return contest.run(LAUNCHER, { alone }, 3)[1].work / 50
end

--- Without the start of the programs.
local function print_work(results, ideal_ms)
  for _, result in ipairs(results) do
    if result.work then
      print(("  the work alone: %7.1f ms, %.3f times the delays: %s"):format(result.work, result.work / ideal_ms,
        result.name))
    end
  end
end

local function floor_work(results)
  for _, result in ipairs(results) do
    if result.is_floor then return result.work end
  end
end

function rows.each()
  local title = ("each: %d alert_ips, %d at once, answered after %d ms"):format(BULK, CONCURRENCY, DELAY_MS)
  local bulk, items = ("%d %d"):format(BULK, CONCURRENCY), addresses(BULK)
  local contenders = { floor("1.1", "multi " .. bulk, "/slow"), beside(floor("1.1", "socket " .. bulk, "/slow")),
    beside(floor("2", "multi " .. bulk, "/slow")), beside(floor("2", "socket " .. bulk, "/slow")) }
  if HAS_EACH then
    for _, version in ipairs{ false, "1.1", "2" } do
      contenders[#contenders + 1] = client(version or nil, "each " .. bulk, items, "/slow")
    end
  end
  add_peers(contenders, "each " .. bulk, items, "/slow")
  local results = contest.run(LAUNCHER, contenders, ROUNDS)
  local delay = delay_ms()
  local ideal_ms = BULK / CONCURRENCY * delay
  print_results(title, results)
  print(("  a single call takes %.2f ms; %d / %d x that: %.0f ms"):format(delay, BULK, CONCURRENCY, ideal_ms))
  print_work(results, ideal_ms)
  print_versions(results, "floor: socket, HTTP/1.1", "floor: socket, HTTP/2")
  print_versions(results, "mde, HTTP/1.1", "mde, HTTP/2")
  local own = named(results, "mde")
  if own then
    verdict("each, wall over the delays alone", own.work / ideal_ms, 1.05,
      (" (the floor's: %.2f; over %d ms sharp: %.2f)"):format(floor_work(results) / ideal_ms, DELAY_MS,
        own.work / (BULK / CONCURRENCY * DELAY_MS)))
    local sockets = named(results, "floor: socket, HTTP/1.1")
    verdict("each, CPU over the floor's", own.ratio, 1.15,
      sockets and (" (over that of one by curl_multi_socket_action: %.2f)"):format(own.ratio / sockets.ratio))
  else
    skipped "each: this client has no `each`"
  end
end

function rows.page()
  local function decode(path)
    return { name = "bare fetch, cjson.decode", command = LUA .. "decode.lua", items = PAGE, base = true,
      environment = surroundings("1.1", path) }
  end
  local bare = floor("1.1", "page")
  bare.base = nil
  local contenders = { bare, decode() }
  for _, version in ipairs{ false, "1.1", "2" } do
    contenders[#contenders + 1] = client(version or nil, "page", PAGE)
  end
  add_peers(contenders, "page", PAGE)
  local results = contest.run(LAUNCHER, contenders, 3 * ROUNDS)
  print_results(("page: one of %d alerts"):format(PAGE), results)
  local own = named(results, "mde")
  if own then
    verdict("page, CPU over a bare fetch and decode", own.ratio, 1.05)
    verdict("page, peak memory over theirs", own.peak_ratio, 1.10)
  end
  local zipped = contest.run(LAUNCHER, { decode "/gzip", client(nil, "page", PAGE, "/gzip") }, 3 * ROUNDS)
  print_results("page, compressed by gzip", zipped)
end

--- The numbers that a program prints, or nil and what it says instead.
local function numbers_of(command, environment)
  local words = { "env" }
  for name, value in pairs(environment) do words[#words + 1] = contest.quote(name .. "=" .. value) end
  local output, trouble = contest.output_of(table.concat(words, " ") .. " " .. command .. " 2>&1")
  if not output then return nil, trouble end
  local numbers = {}
  for number in output:gmatch "[%d.]+" do numbers[#numbers + 1] = tonumber(number) end
  return numbers
end

local function print_memory(text, mode, version)
  local numbers, trouble = numbers_of(LUA .. "memory.lua " .. mode, client_surroundings(version))
  print(("  %-58s %s"):format(text, numbers and ("%9.1f KiB"):format(numbers[1]) or "failed: " .. trouble:sub(1, 200)))
end

function rows.memory()
  print("\nmemory: what is resident for each" .. load())
  print_memory("a client that has asked nothing yet", "idle 1000")
  print_memory("a client with a kept connection, HTTP/1.1", "kept 200", "1.1")
  print_memory("a client with a kept connection, HTTP/2", "kept 200", "2")
  if HAS_START then print_memory("a call that is started and waits", "queued 10000") end
  if not HAS_EACH then return skipped "memory per call in flight: this client has no `each`" end
  print_memory("a call in flight (256 at once), HTTP/1.1", "flight 256", "1.1")
  print_memory("a call in flight (256 at once), HTTP/2", "flight 256", "2")
  local few = client(nil, ("each %d %d"):format(1000, CONCURRENCY))
  local many = client(nil, ("each %d %d"):format(10000, CONCURRENCY))
  few.name, many.name, few.base = "each over 1 000 ids", "each over 10 000 ids", true
  local results = contest.run(LAUNCHER, { few, many }, 3)
  print_results("memory: queued ids hold nothing", results)
  if results[1].peak and results[2].peak then
    verdict("memory, KiB of peak for 9 000 more ids", (results[2].peak - results[1].peak) * 1024, 512)
  end
end

local function print_growth(program, numbers)
  local words = {}
  for i = 1, #numbers, 2 do words[#words + 1] = ("%d: %.1f"):format(numbers[i], numbers[i + 1]) end
  print(("  %-34s %s"):format(program, table.concat(words, "   ")))
end

local function grow_client(version, mode)
  local numbers, trouble = numbers_of(LUA .. "growth.lua " .. mode, client_surroundings(version))
  if not numbers then return print(("  %-34s failed: %s"):format(client_name(version), trouble:sub(1, 200))) end
  print_growth(client_name(version), numbers)
  return numbers[#numbers] / numbers[2]
end

--- What a call costs with 256 in flight over what it costs alone.
local function grow_floor(version, mode)
  local numbers = {}
  for _, level in ipairs{ 1, 4, 16, 64, 256 } do
    local costs = {}
    for i = 1, math.max(1, ROUNDS // 2) do
      costs[i] = (numbers_of(FLOOR .. mode .. (" 5000 %d"):format(level), surroundings(version)) or { 0, 0, 0 })[3]
    end
    table.move({ level, math.min(table.unpack(costs)) }, 1, 2, #numbers + 1, numbers)
  end
  print_growth(("floor: %s, HTTP/%s"):format(mode, version), numbers)
  return numbers[#numbers] / numbers[2]
end

function rows.growth()
  print("\ngrowth: microseconds of CPU per call, by calls made so far" .. load())
  local calls = grow_client(nil, "calls 100000")
  if calls then verdict("growth from 100 to 100 000 calls", calls, 1.05) end
  print "  by calls in flight:"
  local floors = {}
  for _, version in ipairs{ "1.1", "2" } do floors[version] = grow_floor(version, "socket") end
  if not HAS_EACH then return skipped "growth by calls in flight: this client has no `each`" end
  local many = grow_client("2", "flight 3000")
  if many then
    verdict("growth from 1 to 256 calls in flight, HTTP/2", many, 1.05, (" (the floor's: %.2f)"):format(floors["2"]))
  end
  -- 256 connections cost libcurl and the kernel more than one does, whoever uses them.
  many = grow_client("1.1", "flight 3000")
  if many then
    verdict("the same, HTTP/1.1, over the floor's growth", many / floors["1.1"], 1.05,
      (" (%.2f and %.2f)"):format(many, floors["1.1"]))
  end
end

-- --- all of it ---------------------------------------------------------------------------------

local function wanted_rows()
  local wanted, words = {}, os.getenv "BENCH" or ""
  if not words:find "%S" then words = table.concat(ORDER, " ") end
  for name in words:gmatch "[%w_]+" do
    if not rows[name] then
      io.stderr:write(("bench: no row %q; there are: %s\n"):format(name, table.concat(ORDER, " ")))
      os.exit(2)
    end
    wanted[#wanted + 1] = name
  end
  return wanted
end

local function machine()
  local model = contest.output_of "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"
  local cores = contest.output_of "nproc"
  return ("%s, %s cores%s"):format((model or "?"):gsub("\n", ""), (cores or "?"):gsub("\n", ""), load())
end

local function main()
  local wanted = wanted_rows()
  local directory = os.tmpname()
  os.remove(directory)
  start_server(directory)
  print(machine())
  print((contest.output_of(FLOOR .. "version"):gsub("\n", "")))
  find_peers()
  local began = os.time()
  local ok, trouble = xpcall(function()
    for _, name in ipairs(wanted) do rows[name]() end
  end, debug.traceback)
  os.execute(("bench/server/server.sh stop %s; rm -rf %s"):format(directory, directory))
  if not ok then error(trouble, 0) end
  print(("\n%s\n%d seconds%s"):format(table.concat(verdicts, "\n"), os.time() - began, load()))
end

io.stdout:setvbuf "line"
main()
os.exit(missed and 1 or 0)

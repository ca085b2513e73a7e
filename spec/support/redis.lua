--- Starts a real redis-server for specs, and talks to it through redis-lua.
--
--     local server = redis.start()             on a free port of 127.0.0.1, in a directory of its own, all in memory
--     local client = server:client()
--     mde_redis.quota{ eval = client.eval, evalsha = client.evalsha }
--     server:command("flushall")               what redis-cli prints
--     server:stop(); server:resume()           away, and back on the same port without its data
--
-- The server ends with this process, however that ends. `serve` does the same for any server.
local background = require "spec.support.background"
local shell = require "spec.support.shell"

local redis = {}

-- The server is a child of a shell, which ends it, by its id, when its own standard input says so or ends. That is also
-- when this process has ended, unless another child of it holds the pipe open: so it is watched besides.
local FRAME = [[
owner=$PPID
%s & server=$!
until { %s; } >/dev/null 2>&1; do
  kill -0 $server 2>/dev/null || { echo "it ended at once"; exit 1; }
  sleep 0.02
done
{ while kill -0 $owner; do sleep 0.5; done; kill $server; } >/dev/null 2>&1 & watcher=$!
echo ready
read -r _
kill $watcher $server
wait $server]]

--- Runs a server until `stop`; in `ready`, a command that succeeds when it answers, $server is its process id.
-- A server in the foreground; it must write its log elsewhere than on its outputs.
function redis.serve(command, ready)
  local process, line = background.start(FRAME:format(command, ready))
  if line == "ready" then return process end
  process:stop()
  return nil, line .. ": " .. command
end

local function load_client_library()
  local found, library = pcall(require, "redis")
  if found then return library end
  -- Debian installs it for the versions of its day; it works with later ones.
  local path = package.path
  package.path = path .. ";/usr/share/lua/5.1/?.lua"
  library = require "redis"
  package.path = path
  return library
end

local function free_port()
  local socket = require "socket"
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return tonumber(port)
end

redis.free_port = free_port

local Server = {}
Server.__index = Server

local RUN = "redis-server --bind 127.0.0.1 --port %d --dir %s --logfile %s/log --save '' --appendonly no %s"
local CLI = "redis-cli -h 127.0.0.1 -p %d"
-- Not whoever else may have taken the port meanwhile.
local READY = CLI .. ' info server | grep -q "process_id:$server"'

function Server:resume()
  local run = RUN:format(self.port, self.directory, self.directory, self.settings)
  self.process = assert(redis.serve(run, READY:format(self.port)))
end

function Server:stop()
  self.process:stop()
  self.process = nil
end

--- For good.
function Server:close()
  if self.process then self:stop() end
  shell.must("rm -rf " .. self.directory)
end

function Server:command(words)
  return shell.must(CLI:format(self.port) .. " " .. words)
end

--- A connection that is made when it is needed, and not used again after an error.
local function connection_of(server)
  local library, connection = load_client_library(), nil
  return function(name, ...)
    connection = connection or library.connect("127.0.0.1", server.port)
    local answer = { pcall(connection[name], connection, ...) }
    if answer[1] then return answer[2] end
    connection = nil
    error(answer[2], 0)
  end
end

--- { eval =, evalsha =, run = function(command, ...) }; each raises, as redis-lua does.
function Server:client()
  local run = connection_of(self)
  return {
    run = run,
    eval = function(...) return run("eval", ...) end,
    evalsha = function(...) return run("evalsha", ...) end,
  }
end

--- With `cluster` it is a cluster of one, which refuses commands with keys that could be on two nodes.
function redis.start(options)
  local cluster = options and options.cluster
  local server = setmetatable({ port = free_port(), directory = shell.temporary_directory() }, Server)
  server.settings = cluster and "--cluster-enabled yes --cluster-port " .. free_port() or ""
  server:resume()
  if cluster then
    server:command "cluster addslotsrange 0 16383"
    while not server:command "cluster info":find "cluster_state:ok" do shell.must "sleep 0.05" end
  end
  return server
end

return redis

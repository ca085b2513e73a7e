-- Starts faulty_tcp.py for specs.
--
--   local server = faulty_tcp.start "silent"       the modes are listed in faulty_tcp.py
--   server.url                                     "http://127.0.0.1:PORT"; server.port; server.https_url
--   server:stop()
--
-- It ends with this process at the latest, because its standard input is a pipe from here.

local faulty_tcp = {}

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec/support"

local Server = {}
Server.__index = Server

local function shell(command, ...)
  return (command:gsub("@(%d)", { ["1"] = (select(1, ...)), ["2"] = (select(2, ...)), ["3"] = (select(3, ...)) }))
end

-- Reading from a fifo waits until the port is there, where popen could not give us both ends.
function faulty_tcp.start(mode)
  local fifo = os.tmpname()
  os.execute(shell("rm -f @1 && mkfifo @1", fifo))
  local input = assert(io.popen(shell("exec python3 '@1/faulty_tcp.py' @2 >@3", HERE, mode, fifo), "w"))
  local reader = assert(io.open(fifo))
  local port = reader:read "*l"
  reader:close()
  os.remove(fifo)
  assert(port, "faulty_tcp.py does not start")
  return setmetatable({
    port = tonumber(port), url = "http://127.0.0.1:" .. port, https_url = "https://127.0.0.1:" .. port, input = input,
  }, Server)
end

-- Says so instead of only closing: a child forked in between may hold another end of the pipe.
function Server:stop()
  if not self.input then return end
  self.input:write "stop\n"
  self.input:close()
  self.input = nil
end

return faulty_tcp

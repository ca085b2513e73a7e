--- Starts odd_server.py for specs.
--
--     local server = odd_server.start "proxy"      the modes are listed in odd_server.py
--     server.url                                   "http://127.0.0.1:PORT"; server.port
--     server:connections()                         how many were made to it
--     server:received()                            all that was received, as one string
--     server:forget()                              all of that
--     server:stop()
local background = require "spec.support.background"
local shell = require "spec.support.shell"

local odd_server = {}

local Server = {}
Server.__index = Server

function odd_server.start(mode)
  local log = shell.must "mktemp"
  local process, port = background.start(("exec python3 spec/support/odd_server.py %s %s"):format(mode, log))
  return setmetatable({
    port = tonumber(port), url = "http://127.0.0.1:" .. port, process = process, log = log,
  }, Server)
end

function Server:connections()
  return select(2, shell.read(self.log):gsub("connection\n", ""))
end

function Server:received()
  local parts = {}
  for hex in shell.read(self.log):gmatch "received (%x+)" do
    parts[#parts + 1] = hex:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end)
  end
  return table.concat(parts)
end

function Server:forget()
  io.open(self.log, "w"):close()
end

function Server:stop()
  self.process:stop()
  os.remove(self.log)
end

return odd_server

--- A server that does to each connection what a spec says, byte by byte. The actions are listed in fault_server.py.
--
--     local server = fault_server.start()
--     server:play({ { "expect" }, { "send", "HTTP/1.1 200 OK\r\n" }, { "reset" } })     what each connection will see
--     server:play({ { "expect" }, { "reset" } }, { { "drain" } })                  the first one, and all the others
--     server.url, server.https_url           "http://127.0.0.1:PORT", and with https; server.port
--     server:connections()                   how many were made since play
--     server:received()                      all that came on them, as one string
--     server:requests "GET"                  how many of those began
--     server:crowded_url()                   of a listener that nobody can connect to: its backlog is full
--     server:stop()
--
-- It ends with this process at the latest.
local background = require "spec.support.background"
local cjson = require "cjson"

local fault_server = {}

local Server = {}
Server.__index = Server

function fault_server.start()
  local process, port = background.start "exec python3 spec/support/fault_server.py"
  local address = "127.0.0.1:" .. port
  return setmetatable({
    process = process, port = tonumber(port), url = "http://" .. address, https_url = "https://" .. address,
  }, Server)
end

function Server:ask(command)
  self.process.input:write(cjson.encode(command), "\n")
  self.process.input:flush()
  return cjson.decode("[" .. self.process.reader:read "*l" .. "]")[1]
end

function Server:play(...) self:ask { play = { ... } } end

function Server:report() return self:ask { report = true } end

function Server:connections() return #self:report() end

function Server:received() return table.concat(self:report()) end

function Server:requests(method)
  local _, count = self:received():gsub(method .. " /", "")
  return count
end

function Server:crowded_url() return ("http://127.0.0.1:%d"):format(self:ask { crowd = true }) end

function Server:stop() self.process:stop() end

return fault_server

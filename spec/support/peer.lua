--- Another process that runs the Lua code that it is told, under any interpreter that the module was built for.
--
--     local other = peer.start(peer.interpreters()[2])
--     other:run [[ q = require("mde").quota{ path = "/dev/shm/q" } ]]         its globals stay
--     assert.equal(97, other:run [[ return q:remaining("alert_ips")[60] ]])
--     other:tell [[ while true do work() end ]]                               without waiting for an answer
--     other:kill()                                                            as SIGKILL does, or other:stop()
--
-- What is returned travels as JSON. An error there is an error here. It ends with this process at the latest.
local background = require "spec.support.background"
local cjson = require "cjson"
local shell = require "spec.support.shell"

local peer = {}

-- What it runs; it tells its id first, so that its answers are told from what a prefix may say.
local LOOP = [[
local cjson = require "cjson"
local compile = rawget(_G, "loadstring") or load
io.stdout:setvbuf "line"
print "ready"
for line in io.lines() do
  if line == "stop" then break end
  local ok, result = pcall(function()
    local value = assert(compile(cjson.decode(line).code, "=(told)"))()
    return value
  end)
  print(cjson.encode{ ok = ok, result = ok and result or not ok and tostring(result) or nil })
end
]]

local NAMES = { "lua5.1", "lua5.2", "lua5.3", "lua5.4", "luajit" }

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function own_name()
  local jit = rawget(_G, "jit")
  return jit and "luajit" or "lua" .. _VERSION:match "%d%.%d"
end

--- The others of this build: of build/lua5.4-gcc, for example, build/luajit-gcc.
local function find_others(list)
  local folder, variant = (os.getenv "MDE_BUILD" or ""):match "^(.-)[^/-]+(%-[^/]*)$"
  if not folder then return end
  for _, name in ipairs(NAMES) do
    local build = folder .. name .. variant
    if name ~= own_name() and exists(build .. "/mde.so") and shell.run("command -v " .. name) then
      list[#list + 1] = { name = name, command = ("env 'LUA_PATH=%s/?.lua;./?.lua;;' 'LUA_CPATH=%s/?.so;;' %s")
        :format(build, build, name) }
    end
  end
end

local found

--- An array of { name =, command = }: the interpreter of the specs first.
function peer.interpreters()
  if not found then
    found = { { name = own_name(), command = shell.interpreter() } }
    find_others(found)
  end
  return found
end

local Peer = {}
Peer.__index = Peer

--- The shell names its process, which then becomes the interpreter's. `prefix`: a command that runs a command.
function peer.start(interpreter, prefix)
  interpreter = interpreter or peer.interpreters()[1]
  local source = os.tmpname()
  local file = assert(io.open(source, "w"))
  file:write(LOOP)
  file:close()
  local process, pid = background.start(
    ("echo $$; exec %s %s %s"):format(prefix or "", interpreter.command, source), "^%d+$")
  local self = setmetatable({ process = process, pid = pid }, Peer)
  self:read_until "^ready$"
  os.remove(source)
  return self
end

function Peer:read_until(pattern)
  local said = {}
  for line in self.process.reader:lines() do
    if line:match(pattern) then return line end
    said[#said + 1] = line
  end
  error("the other process has ended: " .. table.concat(said, "\n"))
end

function Peer:tell(code)
  self.process.input:write(cjson.encode{ code = code }, "\n")
  self.process.input:flush()
end

function Peer:answer()
  local answer = cjson.decode(self:read_until '^{"')
  if not answer.ok then error("the other process says: " .. answer.result, 2) end
  return answer.result
end

function Peer:run(code)
  self:tell(code)
  return self:answer()
end

function Peer:stop()
  if self.process then self.process:stop() end
  self.process = nil
end

--- Nothing may be written to it any more: that would end this process, too.
function Peer:kill()
  shell.must("kill -9 " .. self.pid)
  self.process.input:close()
  self.process.reader:close()
  shell.must("rm -rf " .. self.process.directory)
  self.process = nil
end

return peer

--- Starts a command that runs beside the specs.
--
--     local process, line = background.start("exec python3 server.py")     line: the first that it prints
--     process:stop()                                                       closes its standard input
--
-- The command must end when its standard input does: then it ends with this process at the latest.
local shell = require "spec.support.shell"

local background = {}

local Process = {}
Process.__index = Process

--- Reading from a fifo waits until the line is there, where popen could not give us both ends. With `pattern` the lines
-- before one that matches are skipped.
function background.start(command, pattern)
  local directory = shell.temporary_directory()
  local fifo = directory .. "/fifo"
  shell.must("mkfifo " .. fifo)
  local input = assert(io.popen(("{ %s; } >%s 2>&1"):format(command, fifo), "w"))
  local reader = assert(io.open(fifo))
  local line
  repeat line = reader:read "*l" until not line or line:match(pattern or "")
  if not line then error("it does not start: " .. command) end
  return setmetatable({ input = input, reader = reader, directory = directory }, Process), line
end

--- Says so instead of only closing: a child forked in between may hold another end of the pipe.
function Process:stop()
  if not self.input then return end
  self.input:write "stop\n"
  self.input:close()
  self.reader:close()
  self.input = nil
  shell.must("rm -rf " .. self.directory)
end

return background

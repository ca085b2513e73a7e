--- Starts processes, stops them and kills them while others go on.
--
--     local member = crowd.start("exec lua5.1 script.lua", "/tmp/output")       both outputs are appended to that file
--     member:signal "STOP"
--     member:signal "CONT"
--     member:kill()                   by SIGKILL; returns when it is gone
--
-- Each process has a shell that knows its pid, and that alone waits for it: the number is nobody else's until then. The
-- shell kills it when its own standard input ends, so none is left behind when this process has ended, however it did.
local shell = require "spec.support.shell"

local crowd = {}

-- The shell must outlive what ends this process (Ctrl-C goes to all), to see the end of its input.
local KEEPER = [[
trap '' INT TERM HUP
{ %s; } </dev/null >>%s 2>&1 &
while read -r signal; do kill -"$signal" $!; done 2>/dev/null
kill -KILL $! 2>/dev/null
wait
]]

local Member = {}
Member.__index = Member

--- The command is the process itself: it begins with exec.
function crowd.start(command, output)
  return setmetatable({ input = assert(io.popen(KEEPER:format(command, shell.quote(output)), "w")) }, Member)
end

function Member:signal(name)
  self.input:write(name, "\n")
  self.input:flush()
end

function Member:kill()
  if not self.input then return end
  self.input:close()
  self.input = nil
end

return crowd

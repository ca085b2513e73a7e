--- What Linux knows of the process that runs this.
--
--     process.descriptors()            "0\n1\n2\n": the open ones
--     process.threads()                "4711\n"
--     process.resident_kilobytes()     12345
--
-- os.execute rather than popen: the shell might look while its parent still holds both ends of the pipe.
local process = {}

local function output_of(command)
  local path = os.tmpname()
  os.execute(("{ %s; } >%s"):format(command, path))
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  os.remove(path)
  return text
end

function process.descriptors() return output_of "ls /proc/$PPID/fd" end

function process.threads() return output_of "ls /proc/$PPID/task" end

function process.resident_kilobytes()
  return tonumber((output_of "cat /proc/$PPID/status":match "VmRSS:%s*(%d+)"))
end

return process

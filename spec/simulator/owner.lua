-- Ends the simulator when the process that started it is gone, so that a crashed test leaves no stray server.

local ffi = require "ffi"

ffi.cdef "int kill(int pid, int signal);"

local owner = {}

local NO_SUCH_PROCESS, SIGTERM = 3, 15

local function is_gone(pid)
  return ffi.C.kill(pid, 0) ~= 0 and ffi.errno() == NO_SUCH_PROCESS
end

-- Watches process `pid`; 0 stands for none.
function owner.watch(pid)
  if pid == 0 then return end
  ngx.timer.every(0.5, function()
    if is_gone(pid) then ffi.C.kill(ngx.worker.pid(), SIGTERM) end
  end)
end

return owner

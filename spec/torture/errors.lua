--- How each allocator and each system call fails, and what may be said of that.
local torture = torture -- luacheck: ignore 113

local errors = {}

--- What each may say on Linux, but for mistakes of ours such as EBADF. What only happens once is in `passing`.
local CODES = {
  open = "EACCES EMFILE ENFILE ENOMEM ENOSPC EROFS ELOOP EINTR", close = "EINTR EIO", read = "EINTR EIO EAGAIN",
  pread = "EINTR EIO EAGAIN", stat = "EACCES ENOENT ENOMEM EIO", fstat = "EIO ENOMEM", fstatfs = "EIO EINTR ENOSYS",
  flock = "EINTR ENOLCK EWOULDBLOCK", fchmod = "EPERM EROFS EIO", fcntl = "EINTR ENOMEM",
  posix_fallocate = "ENOSPC EFBIG EINTR EOPNOTSUPP EIO", link = "EACCES EDQUOT EEXIST ENOSPC EPERM EIO EROFS",
  rename = "EACCES EBUSY ENOSPC EIO EROFS", unlink = "EACCES ENOENT EBUSY EIO", getcwd = "ENOENT ERANGE EACCES ENOMEM",
  getentropy = "ENOSYS EIO", madvise = "EINVAL EAGAIN ENOMEM", sysconf = "EINVAL", kill = "ESRCH EPERM",
  socket = "EMFILE ENFILE ENOBUFS ENOMEM EACCES", dup2 = "EINTR EBUSY EMFILE", mmap = "ENOMEM EAGAIN ENODEV EACCES",
  munmap = "ENOMEM", epoll_create1 = "EMFILE ENFILE ENOMEM", epoll_ctl = "ENOMEM ENOSPC", epoll_wait = "EINTR",
}

local passing = { EINTR = true, EAGAIN = true, EWOULDBLOCK = true }

local function fault(name, for_good, code)
  local how = (code and code .. ", " or "") .. (for_good and "from then on" or "once")
  return { name = name, for_good = for_good, code = code and torture.codes[code], how = how }
end

--- The ways in which it fails. A block of memory is just not there.
function errors.of(name)
  if not CODES[name] then return { fault(name, false), fault(name, true) } end
  local list = {}
  for code in CODES[name]:gmatch "%S+" do
    list[#list + 1] = fault(name, false, code)
    if not passing[code] then list[#list + 1] = fault(name, true, code) end
  end
  return list
end

--- Errors of the module begin with their kind.
local function is_module_error(words) return words:find "^%l[%l_]*: " ~= nil end

--- For want of memory nothing else may be said; but libcurl has other words for that, and for a socket that we have no
-- room to note. A system call's failure is the world's: an error of the module, or what mde.quota raises of its file.
function errors.is_clean(of, words)
  if words:find("not enough memory", 1, true) then return true end
  if of.name == "lua" or of.name == "epoll_ctl" then return false end -- what the kernel does not watch, we look at
  if of.name == "own" then return words:find("Couldn't connect", 1, true) ~= nil end
  return is_module_error(words) or of.name ~= "curl" and words:find("quota file '", 1, true) ~= nil
end

return errors

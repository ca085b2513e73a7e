--- Files of quotas for specs: where they are, who uses them, what stands where in them, and how they come to harm.
--
--     local path = quota_files.path()                    a new name in a folder of its own
--     local quota = quota_files.quota(path)              on mde.testing's clock
--     quota_files.use(quota, 3)
--     assert.equal(2, quota_files.left(quota))
--     local place = quota_files.places(path, "alert_ips")
--     quota_files.write(path, place.words, "garbage")
--     quota_files.clear()                                after each spec: those named
--     quota_files.remove()                               in teardown: the folder
--
-- The places are those of lua_mde/io/quota_format.h.
local shell = require "spec.support.shell"
local testing = require "mde.testing"

local quota_files = {}

local HEADER_BYTES, CELLS, BLOCK = 4096, 128, 64
local KEY, OPERATION, WINDOWS, MEMORY, BOUNDS = 16, 88, 136, 200, 272 -- in a cell

local folder
local paths = {}

--- A name that is used for the first time.
function quota_files.path(name)
  folder = folder or shell.temporary_directory()
  local path = ("%s/%s%d"):format(folder, name or "quota", #paths + 1)
  paths[#paths + 1] = path
  return path
end

--- Each is larger than a megabyte.
function quota_files.clear()
  for _, path in ipairs(paths) do os.remove(path) end
end

function quota_files.remove()
  if folder then shell.must("rm -rf " .. folder) end
  folder = nil
end

--- On the moved clock, with 5 calls in 60 s unless the options say otherwise.
function quota_files.quota(path, options)
  local all = { path = path, rate_limit = { [60] = 5 } }
  for name, value in pairs(options or {}) do all[name] = value end
  return testing.quota(all)
end

--- Takes and settles so many slots.
function quota_files.use(quota, times, operation)
  operation = operation or "alert_ips"
  for _ = 1, times do quota:settle(operation, assert(quota:reserve(operation)), "answered") end
end

--- Takes slots until there is none; returns how many, and what was said then.
function quota_files.take_all(quota, operation, lease)
  for taken = 0, 20000 do
    local slot, seconds, message, closed = quota:reserve(operation or "alert_ips", lease)
    if not slot then return taken, seconds, message, closed end
  end
end

--- What is left in the window of a minute.
function quota_files.left(quota, operation) return quota:remaining(operation or "alert_ips")[60] end

function quota_files.write(path, offset, bytes)
  local file = assert(io.open(path, "r+b"))
  assert(file:seek("set", offset))
  assert(file:write(bytes))
  file:close()
end

--- The same file with other contents, as `>` in a shell does it.
function quota_files.overwrite(path, contents)
  local file = assert(io.open(path, "wb"))
  file:write(contents)
  file:close()
end

--- Where an operation's cell has its parts, as offsets in the file; nil if it has none. The cell is at `id`, and
-- `finish` is behind it.
function quota_files.places(path, operation)
  local text = shell.read(path)
  local at = text:find(operation .. "\0", HEADER_BYTES, true)
  if not at then return nil end
  local bytes = (#text - HEADER_BYTES) / CELLS
  local cell = at - 1 - OPERATION
  -- A block has a bound and so many words, and then the cell is filled up to 64 bytes.
  local blocks = math.floor((bytes - BOUNDS) / (8 * (BLOCK + 1)))
  return {
    id = cell, guard = cell + 8, key = cell + KEY, operation = cell + OPERATION, windows = cell + WINDOWS,
    memory = cell + MEMORY, closed_until = cell + MEMORY + 16, longest = cell + MEMORY + 32,
    learned = cell + MEMORY + 40, bounds = cell + BOUNDS, words = cell + BOUNDS + 8 * blocks, finish = cell + bytes,
  }
end

return quota_files

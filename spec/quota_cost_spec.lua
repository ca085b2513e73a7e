-- What a decision costs, by the benchmark that everybody can run.

-- It measures C, so one interpreter is enough.
if _VERSION ~= "Lua 5.4" then return end

local shell = require "spec.support.shell"

local build = os.getenv "MDE_BUILD" or "build/lua5.4-gcc"
local compiler = build:match "%-([^/%-]+)$"

describe("a decision of the quota #timing", function()
  local least

  setup(function()
    local _, output = shell.run("MDE_ROUNDS=9 make -s bench-quota LUA=lua5.4 CC=" .. shell.quote(compiler))
    least = {}
    for name, nanoseconds in output:gmatch "([^\n]-)%s+(%d+)%s+%d+[^\n]*" do least[name] = tonumber(nanoseconds) end
    assert(least["a decision in the process, settling included"], output)
  end)

  it("takes at most 100 ns in the process", function()
    assert.is_true(least["a decision in the process, settling included"] <= 100)
  end)

  -- What a system call takes differs between machines by a factor of ten; where it is slow, so would be a lock.
  it("takes at most 2 microseconds through the file, or less than to lock and unlock a file would", function()
    local most = math.max(2000, least["a bare lock and unlock of a file (flock)"])
    assert.is_true(least["a decision through the file"] <= most)
  end)
end)

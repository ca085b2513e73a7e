-- The rules of doc/internals.md that a program can check.
local shell = require "spec.support.shell"

local function files(pattern) return shell.lines(shell.must("ls " .. pattern)) end

local function join(...)
  local all = {}
  for _, list in ipairs{ ... } do
    for _, path in ipairs(list) do all[#all + 1] = path end
  end
  return all
end

local function without(list, name)
  local rest = {}
  for _, path in ipairs(list) do
    if not path:find(name, 1, true) then rest[#rest + 1] = path end
  end
  return rest
end

--- The lines of a C file; of comments only their line breaks are left.
local function code_of(path)
  local text = shell.read(path):gsub("/%*.-%*/", function(comment) return (comment:gsub("[^\n]", "")) end)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

--- "path:line: code" of each line that matches. What is captured is offered to `allowed` first.
local function matches(paths, pattern, allowed)
  local found = {}
  for _, path in ipairs(paths) do
    for number, line in ipairs(code_of(path)) do
      local capture = line:match(pattern)
      if capture and not (allowed and allowed(capture)) then
        found[#found + 1] = ("%s:%d: %s"):format(path, number, line)
      end
    end
  end
  return found
end

local function calls_of(paths, names)
  local found = {}
  for name in names:gmatch "%S+" do
    found = join(found, matches(paths, "%f[%w_]" .. name .. "%s*%("))
  end
  return found
end

local core, outside, bind = files "lua_mde/core/*.[ch]", files "lua_mde/io/*.[ch]", files "lua_mde/bind/*.[ch]"
local all = join(core, outside, bind)
local build = os.getenv "MDE_BUILD" -- build/lua5.4-gcc; its common part is in build/common-gcc
local common = build and build:gsub("[^/%-]+(%-[^/]+)$", "common%1")

describe("the architecture #as-built", function()
  it("finds the sources that it is about to check", function()
    assert.is_true(#core > 20 and #outside > 5 and #bind > 15)
    assert.is_string(build, "MDE_BUILD names the build folder; `make test-lua5.4 SPEC=...` sets it")
  end)

  describe("includes", function()
    local include = '^%s*#%s*include%s*(%S+)'

    it("nothing but itself and the C library in core/", function()
      local library = {}
      for name in ("assert ctype errno float inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint "
        .. "stdio stdlib stdnoreturn string time"):gmatch "%a+" do library["<" .. name .. ".h>"] = true end
      assert.same({}, matches(core, include, function(header) return library[header] or header:find '^"core/' end))
    end)

    it("nothing of bind/ in io/", function()
      assert.same({}, matches(outside, include, function(header)
        return header:find '^<' or header:find '^"core/' or header:find '^"io/'
      end))
    end)

    it("Lua's headers in bind/ only", function()
      assert.same({}, matches(join(core, outside), include, function(header)
        return not header:find '^[<"]lua' and not header:find "lauxlib" and not header:find "luajit"
      end))
    end)

    it("curl's header in io/transport.c only", function()
      local others = without(all, "io/transport.c")
      assert.same({}, matches(others, include, function(header) return not header:find "curl" end))
      assert.equal(1, #matches({ "lua_mde/io/transport.c" }, "#include <curl/curl%.h>"))
    end)

    it("OpenSSL's headers in io/signer.c only", function()
      local others = without(all, "io/signer.c")
      assert.same({}, matches(others, include, function(header) return not header:find "openssl" end))
      assert.is_true(#matches({ "lua_mde/io/signer.c" }, "#include <openssl/") > 0)
    end)
  end)

  it("reads no clock, sleeps nowhere and asks no environment in core/", function()
    assert.same({}, calls_of(core, "time clock clock_gettime gettimeofday sleep usleep nanosleep rand random getrandom"
      .. " getenv poll select printf fprintf abort exit"))
  end)

  it("takes memory in core/memory.c only", function()
    assert.same({}, calls_of(without(all, "core/memory.c"), "malloc calloc realloc free strdup strndup"))
  end)

  it("never ends the program that it is loaded into", function()
    assert.same({}, calls_of(all, "abort exit _exit quick_exit raise"))
  end)

  it("exports luaopen_mde and nothing else", function()
    local symbols = shell.must("nm -D --defined-only " .. build .. "/mde.so | awk '{ print $3 }' | grep -v '^_'")
    assert.equal("luaopen_mde", symbols)
  end)

  it("has mutable state at file scope for libcurl's one-time start only", function()
    -- Constant tables with pointers are in .data.rel.ro, which is not .data.
    local sizes = shell.must(("size -A %s/core/*.o %s/io/*.o %s/bind/*.o"):format(common, common, build))
    local object
    for _, line in ipairs(shell.lines(sizes)) do
      object = line:match "^(%S+)%s*:$" or object
      local section, size = line:match "^(%.%S+)%s+(%d+)"
      if section and (section:find "^%.t?bss" or section:find "^%.t?data" and not section:find "^%.data%.rel%.ro") then
        local most = object:find "io/transport%.o$" and 80 or 0 -- a mutex, and whether it has started
        assert.is_true(tonumber(size) <= most, ("%s has %s bytes in %s"):format(object, size, section))
      end
    end
    assert.is_string(object)
  end)

  it("keeps a header under 90 lines, and opens it with what the thing is", function()
    for _, path in ipairs(all) do
      if path:find "%.h$" then
        local lines = shell.lines(shell.read(path))
        assert.is_true(#lines < 90, path .. " has " .. #lines .. " lines")
        assert.is_truthy(lines[1]:find "^/%* %S", path .. " opens with: " .. lines[1])
      end
    end
  end)

  it("keeps functions under 60 lines", function()
    local functions = 0
    for _, path in ipairs(all) do
      local start
      for number, line in ipairs(code_of(path)) do
        if line == "{" then start = number end
        if line == "}" and start then
          functions = functions + 1
          assert.is_true(number - start < 60, ("%s:%d: a function of %d lines"):format(path, start, number - start))
          start = nil
        end
      end
    end
    assert.is_true(functions > 100)
  end)

  it("holds no private key", function()
    -- Without git's help when the sources are no checkout of this user's.
    local kept = "{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f ! -path './build/*'; }"
    assert.is_truthy(shell.must(kept):find "Makefile")
    local found, output = shell.run(kept .. " | grep -E '\\.(key|p12|pfx)$'")
    assert.is_false(found, output)
    found, output = shell.run(kept .. " | xargs grep -lE -e '-----BEGIN ([A-Z]+ )?PRIVATE KEY'")
    assert.is_false(found, output)
  end)

  it("names the version in one place, and the rockspec and the CHANGELOG agree", function()
    local version = shell.read "lua_mde/core/version.h":match 'MDE_VERSION "([%d.]+)"'
    assert.equal(version, require("mde")._VERSION)
    assert.equal(version, shell.read "CHANGELOG.md":match "\n## %[?v?([%d.]+)")
    assert.equal(1, #matches(all, '"[^"]*' .. version:gsub("%.", "%%."), nil), "the version is written in one file")
    for _, rockspec in ipairs(files "rockspec/*.rockspec") do
      local named = shell.read(rockspec):match '\nversion = "([^"]+)"'
      assert.is_true(named == "scm-1" or named:match "^[%d.]+" == version, rockspec .. " says " .. named)
    end
  end)
end)

-- Installing, as a user does it: LuaRocks without any variables, and `make install` without LuaRocks.
local shell = require "spec.support.shell"

local version = _VERSION:match "%d%.%d"
local interpreter = shell.interpreter()

-- LuaJIT installs as Lua 5.1 does; one run of LuaRocks for that version is enough.
local by_luarocks = not rawget(_G, "jit") and (version == "5.1" or version == "5.4")

local use = [[
  local mde = require "mde"
  local client = require("mde.testing").client{
    token = "any",
    answers = { { status = 200, body = '{"value":[{"id":"192.0.2.1"}]}' } },
  }
  io.write(mde._VERSION, " ", client:alert_ips("da1")[1].id)]]
local expected = require("mde")._VERSION .. " 192.0.2.1"

--- Where this interpreter finds lua-cjson, as an entry of package.cpath.
local function cpath_of_cjson()
  for entry in package.cpath:gmatch "[^;]+" do
    local file = io.open((entry:gsub("%?", "cjson")))
    if file then
      file:close()
      return entry
    end
  end
  error "lua-cjson is not installed"
end

--- What a fresh interpreter says that finds nothing but this tree and lua-cjson.
local function use_from(tree)
  return shell.must(("env -i LUA_CPATH='%s/lib/lua/%s/?.so;%s' LUA_PATH='%s/share/lua/%s/?.lua' %s -e %s")
    :format(tree, version, cpath_of_cjson(), tree, version, interpreter, shell.quote(use)))
end

describe("installing #as-built", function()
  local work

  --- In a copy of the sources: what is built here stays as it is. Nothing of the suite's settings is left.
  local function in_copy(command)
    return shell.must(("cd %s && env -u LUA_PATH -u LUA_CPATH -u CC -u CFLAGS %s"):format(work, command))
  end

  setup(function()
    work = shell.temporary_directory()
    shell.must("tar cf - --exclude=./build --exclude=./.git . | tar xf - -C " .. work)
  end)

  teardown(function() shell.must("rm -rf " .. work) end)

  if by_luarocks then
    it("works with `luarocks make` and no variables", function()
      in_copy(("luarocks --lua-version %s make --tree tree"):format(version))
      assert.equal(expected, use_from(work .. "/tree"))
    end)

    it("is told to LuaRocks: Lua 5.4 unless another is asked for", function()
      assert.equal("5.4", in_copy "luarocks config lua_version")
      assert.equal(version, in_copy("luarocks --lua-version " .. version .. " config lua_version"))
    end)

    it("tells LuaRocks that it depends on lua-cjson", function()
      assert.is_truthy(shell.read "rockspec/mde-scm-1.rockspec":find '"lua%-cjson >= ')
    end)
  end

  it("works with `make install`, and `make uninstall` leaves nothing", function()
    local where = ("PREFIX=/prefix DESTDIR=%s/stage LUA=%s"):format(work, interpreter)
    in_copy("make -s install " .. where)
    assert.equal(expected, use_from(work .. "/stage/prefix"))
    in_copy("make -s uninstall " .. where)
    assert.equal("", shell.must("find " .. work .. "/stage -type f"))
  end)
end)

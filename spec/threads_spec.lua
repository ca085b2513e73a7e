-- Two Lua states in two threads of one process: what they share of the module is its code, and libcurl's start.
local cjson = require "cjson"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local is_jit = rawget(_G, "jit") ~= nil
local version = _VERSION:match "%d%.%d"
local build = os.getenv "MDE_BUILD"

describe("two states in two threads #as-built", function()
  local directory, space

  setup(function() simulator.start() end)

  before_each(function()
    directory = shell.temporary_directory()
    space = simulator.namespace()
    space:control{ limits = false }
    shell.write(directory .. "/given.json", cjson.encode{
      url = simulator.url, ca_file = simulator.ca_file, token = space.token, id = "da637472900382838869_1364969609",
      account = { tenant_id = space.tenant_id, client_id = space.client_id, client_secret = space.client_secret,
                  authority = space:authority() },
    })
  end)

  after_each(function() shell.must("rm -rf " .. directory) end)

  local function compile(compiler, flags)
    local package = is_jit and "luajit" or "lua" .. version
    shell.must(("%s -O1 -g -Wall -Wextra -Werror %s $(pkg-config --cflags %s) spec/support/two_states.c "
      .. "-o %s/two_states $(pkg-config --libs %s) -lpthread"):format(compiler, flags, package, directory, package))
  end

  local function run(folder, settings)
    return shell.run(("env %s 'LUA_PATH=%s/?.lua;./?.lua;;' 'LUA_CPATH=%s/?.so;;' timeout 120 %s/two_states "
      .. "spec/support/two_states_scenario.lua %s %s/given.json")
      :format(settings, folder, folder, directory, directory, directory))
  end

  it("do not disturb one another", function()
    compile("cc", "")
    for _ = 1, 3 do
      local ok, output = run(build, "")
      assert.equal("", output)
      assert.is_true(ok)
    end
  end)

  if is_jit or version ~= "5.4" then return end

  -- Only what was compiled here is watched: Lua, libcurl and OpenSSL are as the distribution has built them.
  it("do not race, by ThreadSanitizer", function()
    local folder = "build/lua5.4-clang-threads"
    shell.must("make -s --no-print-directory CC=clang LUA=lua5.4 SANITIZE=thread SANITIZE_SHARED= "
      .. "VARIANT=clang-threads all")
    compile("clang", "-fsanitize=thread -rdynamic")
    local ok, output = run(folder, "TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=0")
    assert.equal("", output)
    assert.is_true(ok)
  end)
end)

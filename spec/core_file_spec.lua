-- A core file of a process whose client is closed holds neither its token nor its secret.
-- What a script holds itself is its own; so it runs on spec/support/wiping_lua.c, where nothing is left of what
-- it has let go of. Linux lets root and whoever may trace take the core file of a running process.
if _VERSION ~= "Lua 5.4" or not os.getenv "MDE_BUILD" then return end

local background = require "spec.support.background"
local cjson = require "cjson"
local key_pair = require "spec.support.key_pair"
local leak = require "spec.support.leak"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local with = require "spec.support.merged"

local ALERT = "da637472900382838869_1364969609"
local SECRET = "s3cret~Marked-Wq9ZtLk2Vb7Xr5Np1Hd8Jf4Gs6Yu3Ic0"
local FETCHED = ".F3tchedMarkedTokenQwErTyUiOpAsDfGhJkLzXcVbNm12"

describe("a core file after close #as-built", function()
  local directory, space

  setup(function()
    simulator.start()
    directory = shell.temporary_directory()
    shell.must(("cc -O1 -Wall -Wextra -Werror $(pkg-config --cflags lua5.4) spec/support/wiping_lua.c -o %s/wiping_lua "
      .. "$(pkg-config --libs lua5.4)"):format(directory))
  end)

  teardown(function() shell.must("rm -rf " .. directory) end)

  before_each(function()
    space = simulator.namespace()
    space:register{ secrets = { SECRET } }
    space:fault{ operation = "token", times = -1,
                 body = cjson.encode{ access_token = space.token .. FETCHED, expires_in = 3600 } }
  end)

  local function a_file(text) return shell.write_secret(directory .. "/secret", text) end

  --- Runs a script to its end, and returns what is in the memory of the process then.
  local function image(order, script)
    local all = with({ id = ALERT, times = 3, reversed = {} }, order)
    all.options = with({ base_url = simulator.url, ca_file = simulator.ca_file, proxy = "" }, order.options)
    shell.write(directory .. "/order.json", cjson.encode(all))
    local process, line = background.start(("echo $$; exec env %s %s/wiping_lua %s %s/order.json")
      :format(order.environment or "", directory, script or "spec/support/core_scenario.lua", directory))
    local told = process.reader:read "*l"
    assert.equal("closed", told)
    shell.must(("gcore -o %s/core %s"):format(directory, line))
    local text = shell.read(("%s/core.%s"):format(directory, line))
    process:stop()
    os.remove(("%s/core.%s"):format(directory, line))
    assert.is_truthy(text:find("core_scenario", 1, true))
    return text
  end

  local function assert_clean(order, secrets)
    local text = image(order)
    assert.equal(3, space:report().operations.alert_ips.requests)
    for what, secret in pairs(secrets) do assert.is_nil(leak.find(text, secret), what) end
  end

  it("would show what a process holds", function()
    local text = image{ options = { token = space.token .. FETCHED } } -- the order's file, read by the script, is JSON
    assert.is_nil(leak.find(text, SECRET))
    shell.write(directory .. "/holds.lua", ([[
      Kept = (%q):reverse()
      print "closed"
      io.stdout:flush()
      local core_scenario = io.read()]]):format(SECRET:reverse()))
    assert.is_truthy(leak.find(image({}, directory .. "/holds.lua"), SECRET))
  end)

  for _, url in ipairs{ "url", "http_url" } do
    it("shows neither a client secret nor the token that it has brought, over " .. url, function()
      local options = space:account{ base_url = simulator[url] }
      assert_clean({ options = options, reversed = { client_secret = SECRET:reverse() } },
        { secret = SECRET, token = FETCHED })
    end)

    it("shows no token string and no token of a file, over " .. url, function()
      local token, base = space.token .. FETCHED, { base_url = simulator[url] }
      assert_clean({ options = base, reversed = { token = token:reverse() } }, { token = FETCHED })
      space:control{ reset = true }
      assert_clean({ options = with(base, { token_file = a_file(token) }) }, { token = FETCHED })
    end)
  end

  describe("over HTTP/2", function()
    local function order(environment)
      return { options = space:account{ base_url = simulator.h2_url, http_version = "2" }, environment = environment,
               reversed = { client_secret = SECRET:reverse() } }
    end

    it("shows no client secret", function() assert_clean(order(), { secret = SECRET }) end)

    -- nghttp2 copies the head of a request, and does not overwrite it; nor can it be told to by libcurl.
    it("shows no token where the C library overwrites what is given back", function()
      assert_clean(order "GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0", { token = FETCHED })
    end)
  end)

  it("shows no federated token", function()
    assert_clean({ options = space:account{ federated_token_file = a_file("eyJh." .. SECRET .. ".c2ln") } },
      { assertion = SECRET, token = FETCHED })
  end)

  it("shows neither a certificate's private key nor its passphrase", function()
    local pair = key_pair.new{ password = SECRET }
    local der = shell.must(("openssl pkey -in %s -passin pass:%s -outform DER | od -An -v -tx1 | tr -d ' \\n'")
      :format(pair.key_file, SECRET)):gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
    assert_clean({ options = space:account{ certificate = pair.certificate_file, private_key = pair.key_file },
                   reversed = { passphrase = SECRET:reverse() } },
      { passphrase = SECRET, key = der:sub(-512), token = FETCHED }) -- its end: the beginning is public
    pair:remove()
  end)
end)

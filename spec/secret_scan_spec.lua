-- Whatever comes of a call, by whichever credential: nothing that is to be seen holds the secret, whole or in part, as
-- it is or encoded. Errors, events, prints, statistics, what the process writes, and the simulator's own logs.
local cjson = require "cjson"
local fault_server = require "spec.support.fault_server"
local key_pair = require "spec.support.key_pair"
local leak = require "spec.support.leak"
local mde = require "mde"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local variables = require "spec.support.variables"
local with = require "spec.support.merged"

local ALERT = "da637472900382838869_1364969609"
local SECRET = "s3cret-Marked/Wq9ZtLk2Vb+7Xr5Np1Hd8~Jf4Gs6Yu3Ic0="
local MARK = ".F3tchedMarkedTokenQwErTyUiOpAsDfGhJkLzXcVbNm12"
local PASSWORD = "Pr0xyMarkedPassWord77Zz"

describe("the search for a secret", function()
  local encoded = {
    ["as it is"] = SECRET, ["a part of it"] = SECRET:sub(9, 20), ["base64"] = leak.base64("user:" .. SECRET),
    ["base64url"] = leak.base64("x" .. SECRET):gsub("+", "-"):gsub("/", "_"),
    ["hexadecimal"] = SECRET:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end),
    ["percent-encoded"] = SECRET:gsub("[/+~=]", function(byte) return ("%%%02X"):format(byte:byte()) end),
  }
  for how, text in pairs(encoded) do
    it("finds " .. how, function() assert.is_truthy(leak.find("before " .. text .. " after", SECRET)) end)
  end

  it("agrees with openssl's base64", function()
    for _, text in ipairs{ "", "a", "ab", "abc", "\0\255\128~" } do
      assert.equal(key_pair.base64url(text), (leak.base64(text):gsub("+", "-"):gsub("/", "_")))
    end
  end)

  it("finds nothing in other words", function() assert.is_nil(leak.find(("other words "):rep(100), SECRET)) end)
end)

describe("what is to be seen", function()
  local directory, space, pair

  setup(function()
    simulator.start()
    variables.open()
    directory = shell.temporary_directory()
    pair = key_pair.new()
  end)

  teardown(function()
    variables.close()
    pair:remove()
    shell.must("rm -rf " .. directory)
  end)

  before_each(function()
    space = simulator.namespace()
    space:register{ secrets = { SECRET } }
  end)

  local function a_file(text) return shell.write_secret(directory .. "/secret", text) end

  local function token() return space.token .. MARK end

  local ASSERTION = "eyJh." .. SECRET:gsub("[^%w-]", "_") .. ".c2ln" -- as a JWT is written

  --- How each credential is given: options, variables of the environment, and the secret that it sends for a token.
  local credentials = {
    ["a token string"] = function() return { token = token() } end,
    ["a token function"] = function() return { token = function() return token() end } end,
    ["a token file"] = function() return { token_file = a_file(token()) } end,
    ["a client secret"] = function() return space:account{ client_secret = SECRET }, {}, SECRET end,
    ["a certificate"] = function()
      return space:account{ certificate = pair.certificate_file, private_key = pair.key_file }
    end,
    ["a federation"] = function()
      return space:account{ federated_token_file = a_file(ASSERTION) }, {}, ASSERTION
    end,
    ["a managed identity"] = function()
      return { managed_identity = true }, { AZURE_POD_IDENTITY_AUTHORITY_HOST = space:imds_host() }
    end,
    ["an app service"] = function()
      local endpoint, header = space:identity_endpoint()
      return { managed_identity = true }, { IDENTITY_ENDPOINT = endpoint, IDENTITY_HEADER = header }, header
    end,
    ["the environment"] = function()
      return { credential = "environment" }, {
        AZURE_TENANT_ID = space.tenant_id, AZURE_CLIENT_ID = space.client_id, AZURE_CLIENT_SECRET = SECRET,
        AZURE_AUTHORITY_HOST = space:authority(),
      }, SECRET
    end,
  }

  local ECHO = "Authorization: Bearer %s"

  --- What goes wrong, given the secret that is sent: other options, faults of the simulator, further secrets, a server.
  local failures = {
    ["a success"] = function() return {} end,
    ["a 401 that echoes the token"] = function()
      local text = ECHO:format(token())
      local fault = { status = 401, code = "X" .. token(), message = text, target = text, times = -1 }
      return { max_attempts = 2 }, { fault }
    end,
    ["a 403 whose body is the token"] = function() return {}, { { status = 403, body = token(), times = -1 } } end,
    ["a 500 in JSON that echoes it"] = function()
      local body = '{"error":{"message":"' .. token():gsub("F", "\\u0046") .. '"}}'
      return {}, { { status = 500, body = body, times = -1 } }
    end,
    ["a refusal that echoes the secret"] = function(sent)
      return {}, { { operation = "token", status = 400, message = "AADSTS1: " .. sent, code = sent, times = -1 } }
    end,
    ["an unreadable grant"] = function()
      return {}, { { operation = "token", body = '{"access_token":"' .. token() .. '\n"', times = -1 } }
    end,
    ["a refused certificate"] = function() return { base_url = simulator.expired_url, ca_file = simulator.ca_file } end,
    ["an unknown authority"] = function() return { base_url = simulator.unknown_ca_url } end,
    ["a time-out"] = function() return { timeout = 0.05 }, { { delay = 1, times = -1 } } end,
    ["a reset"] = function() return {}, { { reset = "middle", times = -1 } } end,
    ["a refused connection"] = function() return { base_url = "https://127.0.0.1:1" } end,
    ["a proxy that is not there"] = function()
      return { proxy = "http://user:" .. PASSWORD .. "@127.0.0.1:1" }, nil, { password = PASSWORD }
    end,
    ["a proxy's address that cannot be used"] = function()
      return { proxy = "foo://user:" .. PASSWORD .. "@[::1" }, nil, { password = PASSWORD }
    end,
    ["a proxy in the way"] = function()
      local server = fault_server.start()
      server:play { { "expect" }, { "send", "HTTP/1.1 200 Connection established\r\n\r\n" }, { "tunnel" } }
      local proxy = "http://user:" .. PASSWORD .. "@127.0.0.1:" .. server.port
      return { proxy = proxy }, nil, { password = PASSWORD }, server
    end,
    ["an address with a password"] = function()
      return { base_url = "https://user:" .. PASSWORD .. "@127.0.0.1" }, nil, { password = PASSWORD }
    end,
    ["plain http to others"] = function() return { base_url = "http://192.0.2.1" } end,
    ["a mistake in an option"] = function() return { timeuot = 5 } end,
  }

  --- Everything that a value shows: fields, keys and prints.
  local function add_text(parts, value)
    parts[#parts + 1] = tostring(value)
    for key, one in pairs(type(value) == "table" and value or {}) do
      add_text(parts, key)
      add_text(parts, one)
    end
  end

  --- What is seen of two calls, the second of which is started; and of a client that has been closed.
  local function use(options, seen)
    local client = mde.client(with(options, { on_event = function(event) add_text(seen, event) end }))
    add_text(seen, { client, client:alert_ips(ALERT) })
    add_text(seen, select(2, client:alert_ips(ALERT)) or "")
    local call = client:start("alert_ips", ALERT)
    while not call:done() do client:step(5) end
    add_text(seen, { call, call:result() })
    add_text(seen, select(2, call:result()) or "")
    add_text(seen, client:stats())
    client:close()
    add_text(seen, { client, select(2, client:alert_ips(ALERT)) })
  end

  --- The one that is fetched is known, too.
  local function order_faults(faults)
    for _, fault in ipairs(faults or {}) do space:fault(fault) end
    local grant = cjson.encode{ access_token = token(), expires_in = 3600, token_type = "Bearer" }
    space:fault{ operation = "token", body = grant, times = -1 }
  end

  local function log_of_simulator(name) return shell.read(simulator.directory .. "/" .. name .. ".log") end

  local function assert_unseen(credential, failure)
    local base = { base_url = simulator.url, ca_file = simulator.ca_file, proxy = "", max_attempts = 1,
                   rate_limit = false }
    local options, environment, sent = credential()
    local changes, faults, more, server = failure(sent or SECRET)
    order_faults(faults)
    local seen = {}
    variables.within(environment or {}, function()
      local ok, message = pcall(use, with(with(base, options), changes), seen)
      if not ok then add_text(seen, message) end
    end)
    if server then server:stop() end
    assert.is_true(#seen > 0)
    local text = table.concat(seen, "\n") .. log_of_simulator "access" .. log_of_simulator "error"
    for what, secret in pairs(with({ sent = sent, token = MARK }, more)) do
      assert.is_nil(leak.find(text, secret), what)
    end
  end

  for who, credential in pairs(credentials) do
    for what, failure in pairs(failures) do
      it(("of %s holds no secret: %s"):format(who, what), function() assert_unseen(credential, failure) end)
    end
  end
end)

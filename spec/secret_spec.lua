-- The token appears nowhere: not in errors, events or prints, and not in the Lua state.
local cjson = require "cjson"
local mde = require "mde"
local testing = require "mde.testing"
local connect = require "spec.support.connect"
local reach = require "spec.support.reach"
local scripted = require "spec.support.scripted"
local simulator = require "spec.support.simulator"

local EMPTY = scripted.EMPTY

-- Never joined here, so that this script itself does not hold a token.
local ONE, OTHER, RENEWED = "eyJ0eXAiOi-first-half-", "-other-half-5f0c1b", "-renewed-half-77aa02"

local function collect()
  collectgarbage()
  collectgarbage()
end

local function is_held(other)
  collect()
  return reach.holds(ONE, other or OTHER)
end

describe("the search for a token", function()
  --- Whether it is found while `hold` has it held; it must not be before and after.
  local function finds(hold)
    assert.is_false(is_held())
    local release = hold(ONE .. OTHER)
    local found = is_held()
    if release then release() end
    assert.is_false(is_held())
    return found
  end

  it("finds it in a table of the registry, as a value or a key", function()
    local registry = debug.getregistry()
    assert.is_true(finds(function(token)
      registry.spec = { deep = { { token } } }
      return function() registry.spec = nil end
    end))
    assert.is_true(finds(function(token)
      registry.spec = { [token] = 1 }
      return function() registry.spec = nil end
    end))
  end)

  it("finds it within a longer string", function()
    assert.is_true(finds(function(token)
      package.loaded.spec = "Authorization: Bearer " .. ONE .. token .. "\r\n"
      return function() package.loaded.spec = nil end
    end))
  end)

  it("finds it in a metatable, an upvalue and a coroutine's local", function()
    local registry = debug.getregistry()
    assert.is_true(finds(function(token)
      registry.spec = setmetatable({}, { secret = token })
      return function() registry.spec = nil end
    end))
    assert.is_true(finds(function(token)
      registry.spec = function() return token end
      return function() registry.spec = nil end
    end))
    assert.is_true(finds(function(token)
      registry.spec = coroutine.create(function()
        local kept = token .. "."
        coroutine.yield()
        return kept
      end)
      coroutine.resume(registry.spec)
      return function() registry.spec = nil end
    end))
  end)

  it("finds it in what the running functions have on the stack", function()
    assert.is_false(is_held())
    local token = ONE .. OTHER
    assert.is_true(is_held())
    token = #token
    assert.is_false(is_held())
    assert.is_number(token)
  end)

  it("finds it in what a client holds of the script's", function()
    local registry = debug.getregistry()
    assert.is_true(finds(function(token)
      registry.spec = testing.client{ token = "another-token", answers = {}, on_event = function() return token end }
      return function() registry.spec = nil end
    end))
  end)
end)

describe("in the Lua state", function()
  --- `options` gets a token function that builds the token anew each time, or the string itself.
  local function make(kind, answers)
    local count = 0
    return scripted.client(answers, { token = kind == "string" and ONE .. OTHER or function()
      count = count + 1
      return ONE .. (count == 1 and OTHER or RENEWED), 3600
    end })
  end

  for _, kind in ipairs{ "string", "function" } do
    describe("a token from a " .. kind, function()
      it("is held by nothing once the client has it", function()
        local client = make(kind)
        client:alert_ips "da1"
        assert.is_false(is_held())
        client:alert_ips "da1"
        client:close()
      end)

      it("is held by nothing after errors of all kinds", function()
        local client, events = make(kind, { { status = 401 }, { status = 500 }, { error = "tls" }, { status = 404 },
          '{"value":[', { error = "timeout" }, EMPTY })
        local errors = {}
        for i = 1, 3 do errors[i] = select(2, client:alert_ips("da1", { max_attempts = 2 })) end
        assert.is_false(is_held())
        assert.is_false(is_held(RENEWED))
        assert.is_true(#errors > 1 and #events > 3)
      end)

      it("is held by nothing after close", function()
        local client = make(kind)
        client:alert_ips "da1"
        client:close()
        assert.is_false(is_held())
        assert.matches("closed", tostring(client))
      end)

      it("is held by nothing after an error was thrown through a call", function()
        local client = make(kind, function() error "the transport fails" end)
        pcall(client.alert_ips, client, "da1")
        assert.is_false(is_held())
      end)

      it("is held by nothing after a call in a coroutine that lives on", function()
        local client = make(kind)
        local co = coroutine.create(function()
          client:alert_ips "da1"
          coroutine.yield()
        end)
        coroutine.resume(co)
        assert.is_false(is_held())
        assert.equal("suspended", coroutine.status(co))
      end)
    end)
  end

  it("a renewed token is held by nothing, nor the old one", function()
    local client = make("function", { EMPTY, EMPTY, { status = 401 }, EMPTY })
    client:alert_ips "da1"
    testing.advance(3600)
    client:alert_ips "da1"
    client:alert_ips "da1"
    assert.equal(3, client:stats().tokens)
    assert.is_false(is_held())
    assert.is_false(is_held(RENEWED))
    client:close()
    assert.is_false(is_held(RENEWED))
  end)

  -- The search cannot look at what a C function keeps on the stack; memory can be counted.
  it("a token leaves no room taken", function()
    local LENGTH = 60000
    local function with_token(length)
      local client = testing.client{ answers = scripted.always(EMPTY), token = function()
        return ("x"):rep(length), 3600
      end }
      client:alert_ips "da1"
      return client
    end
    local function growth()
      local kept = { with_token(10) }
      collect()
      local before = collectgarbage "count"
      for i = 1, 5 do kept[i + 1] = with_token(LENGTH + i) end
      collect()
      local grown = (collectgarbage "count" - before) * 1024
      assert.equal(6, #kept)
      return grown
    end
    -- What LuaJIT compiles meanwhile counts, too, but only once.
    local least = math.min(growth(), growth(), growth())
    assert.is_true(least < LENGTH, least .. " bytes more")
  end)
end)

describe("in the Lua state of a script that uses a network", function()
  local ALERT = "da637472900382838869_1364969609"
  local space

  setup(simulator.start)

  before_each(function() space = simulator.namespace() end)

  --- The simulator knows its namespaces by the beginning of the token.
  local function token(last) return ("%s.%s%s"):format(space.token, ONE, last) end

  it("a token is held by nothing, whatever has come of the calls", function()
    local client = connect(space, { token = token(OTHER), max_attempts = 1 })
    local faults = {
      function() return { status = 403, message = token(OTHER) } end,
      function() return { body = "<html>" .. token(OTHER) } end,
      function() return { reset = "middle" } end,
      function() return { truncate = 9 } end,
    }
    assert(client:alert_ips(ALERT))
    for _, fault in ipairs(faults) do
      space:fault(fault())
      local result, err = client:alert_ips(ALERT)
      assert.is_nil(result)
      assert.not_matches(OTHER, tostring(err), 1, true)
      assert.is_false(is_held())
    end
    client:close()
    assert.is_false(is_held())
  end)

  it("a renewed token is held by nothing, nor the old one", function()
    local asked = 0
    local client = connect(space, { token = function()
      asked = asked + 1
      return token(asked == 1 and OTHER or RENEWED), 3600
    end })
    assert(client:alert_ips(ALERT))
    space:control{ revoked = { token(OTHER) } }
    assert(client:alert_ips(ALERT))
    assert.equal(2, asked)
    assert.is_false(is_held())
    assert.is_false(is_held(RENEWED))
    client:close()
    assert.is_false(is_held(RENEWED))
  end)
end)

describe("in the Lua state of a client that fetches its tokens", function()
  local ALERT = "da637472900382838869_1364969609"
  local space

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
    space:register{ secrets = { ONE .. OTHER } }
  end)

  local function by_secret(options)
    local all = { base_url = simulator.url, ca_file = simulator.ca_file, proxy = "", tenant_id = space.tenant_id,
                  client_id = space.client_id, client_secret = ONE .. OTHER, authority = space:authority() }
    for name, value in pairs(options or {}) do all[name] = value end
    return mde.client(all)
  end

  it("the secret is held by nothing, whatever has come of the calls", function()
    local client = by_secret()
    assert(client:alert_ips(ALERT))
    assert.is_false(is_held())
    space:control{ expire_tokens = true }
    assert(client:alert_ips(ALERT))
    assert.is_false(is_held())
    client:close()
    assert.is_false(is_held())
  end)

  it("the token is held by nothing, nor what it came in", function()
    local count = 0
    local client = scripted.client({ EMPTY, { status = 401 }, EMPTY }, {
      tenant_id = "tenant", client_id = "app", client_secret = "another-secret",
      token_answers = function()
        count = count + 1
        return '{"expires_in":3600,"access_token":"' .. ONE .. (count == 1 and OTHER or RENEWED) .. '"}'
      end,
    })
    assert(client:alert_ips "da1")
    assert.is_false(is_held())
    assert(client:alert_ips "da1")
    assert.equal(2, count)
    assert.is_false(is_held())
    assert.is_false(is_held(RENEWED))
    client:close()
    assert.is_false(is_held(RENEWED))
  end)

  it("a secret that the endpoint repeats is in no error and no event", function()
    space:fault{ operation = "token", status = 400, message = "AADSTS1: " .. ONE .. OTHER, times = -1 }
    local told = {}
    local client = by_secret{ on_event = function(event) told[#told + 1] = event end }
    local _, err = client:alert_ips(ALERT)
    assert.equal("auth", err.kind)
    assert.truthy(err.message:find("AADSTS1: ***", 1, true), err.message)
    assert.is_false(is_held())
    client:close()
  end)
end)

describe("in what people see", function()
  local TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"

  --- Everything that a value shows: fields, keys and prints.
  local function all_text(value, parts)
    parts = parts or {}
    parts[#parts + 1] = tostring(value)
    if type(value) == "table" then
      for key, one in pairs(value) do
        all_text(key, parts)
        all_text(one, parts)
      end
    end
    return table.concat(parts, "\n")
  end

  --- What is to be seen of a call: events, result, error, prints of the client.
  local function seen_of(answers, options)
    local all = { token = TOKEN, max_attempts = 2 }
    for name, value in pairs(options or {}) do all[name] = value end
    local client, events = scripted.client(answers, all)
    local result = { pcall(client.alert_ips, client, "da1") }
    local text = all_text{ events, result, client:stats() } .. tostring(client)
    client:close()
    return text .. tostring(client) .. all_text{ client:alert_ips "da1" }, result
  end

  local function from_function() return { token = function() return TOKEN end } end

  local echo = { error = { code = "X" .. TOKEN, message = "Bad header: Authorization: Bearer " .. TOKEN,
                           target = TOKEN } }
  local cases = {
    ["a success"] = { EMPTY },
    ["a time-out"] = scripted.always{ error = "timeout" },
    ["a broken connection"] = scripted.always{ error = "broken" },
    ["an unreachable host"] = scripted.always{ error = "unreachable" },
    ["a refused certificate"] = scripted.always{ error = "tls" },
    ["malformed JSON"] = { TOKEN },
    ["another JSON"] = { cjson.encode{ Authorization = "Bearer " .. TOKEN } },
    ["a link to another place"] = { '{"value":[],"@odata.nextLink":"' .. TOKEN .. '"}' },
    ["an error of the script of answers"] = function() error "no" end,
  }

  for what, answers in pairs(cases) do
    it("it is not shown by " .. what, function()
      assert.not_matches(TOKEN, seen_of(answers), 1, true)
    end)
  end

  for _, status in ipairs{ 300, 301, 400, 401, 403, 404, 409, 429, 500, 503 } do
    it(("it is not shown by an error %d whose body echoes it"):format(status), function()
      for _, options in ipairs{ {}, from_function(), { max_attempts = 1, token = from_function().token } } do
        local text, result = seen_of(scripted.always{ status = status, body = echo }, options)
        assert.is_table(result[3])
        assert.not_matches(TOKEN, text, 1, true)
      end
    end)
  end

  it("it is not shown by an error whose body echoes it escaped", function()
    -- JSON may write a slash as it is or as "\\/", and any character as "\\u0061".
    local token = "abcdefgh/ijklmnop+qrstuvwx="
    local escaped = { token, (token:gsub("/", "\\/")), (token:gsub("a", "\\u0061")) }
    for _, written in ipairs(escaped) do
      for _, status in ipairs{ 401, 403, 500 } do
        for _, given in ipairs{ token, function() return token end } do
          local body = ('{"error":{"code":"C","message":"Bearer %s","target":"%s"}}'):format(written, written)
          local text = seen_of(scripted.always{ status = status, body = body }, { token = given })
          assert.not_matches(token, text, 1, true)
        end
      end
    end
  end)

  describe("the query", function()
    -- A client whose answers are `answer`, asked for what is confidential: events and error as text, and the request.
    local function ask(answer)
      local client, events = scripted.client(function(request)
        return type(answer) == "function" and answer(request) or answer
      end, { max_attempts = 1 })
      local value, err = client:alerts{ filter = "contains(title,'a confidential word')" }
      assert.is_nil(value)
      return all_text{ err, events }, testing.requests(client)[1]
    end

    it("is not shown by an error", function()
      local text, request = ask{ status = 500 }
      assert.matches("confidential", request.path)
      assert.not_matches("confidential", text)
    end)

    local echoes = {
      ["the request line"] = function(request) return ("GET %s HTTP/1.1"):format(request.path) end,
      ["the address"] = function(request) return request.url end,
      ["the address in quotes"] = function(request) return ('No route for "%s".'):format(request.url) end,
      ["the address without a path"] = function(request) return "alerts" .. request.path:match "%?.*" end,
      ["the query alone"] = function(request) return request.path:match "%?.*" end,
      ["the decoded address"] = function(request)
        return (request.url:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
      end,
    }
    for what, echo_of in pairs(echoes) do
      for _, field in ipairs{ "code", "message", "target" } do
        it(("is not shown by an error whose %s echoes %s"):format(field, what), function()
          for _, status in ipairs{ 400, 401, 403, 404, 429, 500 } do
            local text = ask(function(request)
              assert.matches("confidential", echo_of(request))
              return { status = status, body = { error = { [field] = echo_of(request) } } }
            end)
            assert.matches(tostring(status), text)
            assert.not_matches("confidential", text)
          end
        end)
      end
    end

    it("is not shown by an error that echoes the whole request with its headers", function()
      local head = "GET /api/alerts?$filter=confidential HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " .. TOKEN
      local text = seen_of(scripted.always{ status = 400, body = { error = { code = head, message = head,
                                                                             target = head } } })
      assert.matches("GET /api/alerts", text)
      assert.not_matches("confidential", text)
      assert.not_matches(TOKEN, text, 1, true)
    end)

    it("is not taken for one where the service asks a question", function()
      local answer = { status = 400, body = { error = { message = "Why? Nobody knows." } } }
      local client = scripted.client(scripted.always(answer))
      assert.matches("Why? Nobody knows.", select(2, client:alert_ips "da1").message, 1, true)
    end)
  end)

  it("the token is not shown by the message of a misuse", function()
    for _, options in ipairs{ { token = TOKEN .. "\n" }, { token = { TOKEN } }, { token = TOKEN, timeout = "5" },
                              { token = TOKEN, timeuot = 5 }, { token = TOKEN, base_url = "http://example.org" } } do
      local ok, message = pcall(mde.client, options)
      assert.is_false(ok)
      assert.not_matches(TOKEN, tostring(message), 1, true)
    end
  end)

  it("a token that cannot be used is not shown", function()
    local text = seen_of({}, { token = function() return TOKEN .. "\n" end })
    assert.matches("no token", text)
    assert.not_matches(TOKEN, text, 1, true)
  end)

  it("a proxy's password is not shown", function()
    local client = testing.client{ token = TOKEN, answers = scripted.always{ error = "unreachable" },
      proxy = "http://user:hunter2@proxy.example.org:3128" }
    local _, err = client:alert_ips "da1"
    assert.not_matches("hunter2", all_text(err) .. tostring(client))
  end)

  it("a proxy's password is not shown where libcurl refuses the proxy's address", function()
    for _, proxy in ipairs{ "http://user:hunter2@h:99999", "foo://user:hunter2@h:1", "http://user:hunter2@[::1",
                            "http://user:hunter2@h/" .. ("x"):rep(300), "http://user:hunter2@127.0.0.1:1" } do
      local events = {}
      local client = mde.client{
        token = TOKEN, proxy = proxy, max_attempts = 1, timeout = 2, rate_limit = false,
        on_event = function(event) events[#events + 1] = event end,
      }
      local value, err = client:alert_ips "da1"
      assert.is_nil(value)
      assert.is_true(#events > 0)
      assert.not_matches("hunter2", all_text{ err, events } .. tostring(client))
      client:close()
    end
  end)
end)

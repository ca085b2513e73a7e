-- Options, of a client and of one call: what is taken, and what those who err are told.
local mde = require "mde"
local scripted = require "spec.support.scripted"
local testing = require "mde.testing"

local HUGE, NAN = math.huge, 0 / 0

--- What mde.client says against these options, beside a token.
local function complaint(options)
  local all = { token = "token" }
  for name, value in pairs(options) do all[name] = value end
  return scripted.raised(mde.client, all)
end

local function accepts(options)
  local all = { token = "token" }
  for name, value in pairs(options) do all[name] = value end
  mde.client(all):close()
end

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, one in pairs(value) do parts[#parts + 1] = ("[%s] = %s"):format(key, tostring(one)) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- option -> what is taken, what is not, and what is then said
local options = {
  timeout = {
    good = { 0.001, 0.5, 1, 30, 86400 },
    bad = { 0, -1, 86401, HUGE, -HUGE, NAN, 0.0001 }, says = "must be between 0.001 and 86400",
    types = { "30", true, {}, print }, type_says = "number of seconds expected",
  },
  connect_timeout = {
    good = { 0.001, 10, 86400 },
    bad = { 0, -1, 86401, HUGE, NAN }, says = "must be between 0.001 and 86400",
    types = { "10", false, {} }, type_says = "number of seconds expected",
  },
  budget = {
    good = { 0, 0.5, 3600, 1e9 },
    bad = { -1, 1e10, HUGE, NAN }, says = "must be between 0",
    types = { "10", false, {} }, type_says = "number of seconds expected",
  },
  max_attempts = {
    good = { 1, 4, 100 },
    bad = { 0, -1, 101, HUGE, -HUGE, NAN }, says = "must be between 1",
    fractions = { 1.5, 99.999 },
    types = { "4", true, {} }, type_says = "number expected",
  },
  concurrency = {
    good = { 1, 8, 1000 },
    bad = { 0, -8, 1001, HUGE, NAN }, says = "must be between 1",
    fractions = { 1.5 },
    types = { "8", true, {} }, type_says = "number expected",
  },
  max_body = {
    good = { 1, 65536, 2 ^ 32 },
    bad = { 0, -1, 2 ^ 41, HUGE, NAN }, says = "must be between 1",
    fractions = { 1000.5 },
    types = { "64 MiB", true, {} }, type_says = "number expected",
  },
  rate_limit = {
    good = { false, { [60] = 100 }, { [0.001] = 1 }, { [1] = 20, [3600] = 1000000 },
             { [1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7, [8] = 8 } },
    bad = { { [60] = 0 }, { [60] = -1 }, { [60] = 1.5 }, { [60] = "100" }, { [60] = 1000001 }, { [60] = NAN },
            { [60] = HUGE }, { ["60"] = 100 }, { [0] = 1 }, { [-1] = 1 }, { [HUGE] = 1 }, { [1e9] = 1 },
            { [60] = true } },
    says = "{ [seconds] = calls } with positive numbers expected",
    types = { true, 100, "100", print }, type_says = "{ [seconds] = calls } or false expected",
  },
  base_url = {
    good = { "https://api.example.org", "https://api.example.org/", "https://api.example.org:8443/prefix",
             "https://[2001:db8::1]", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1" },
    bad = { "", "api.example.org", "ftp://api.example.org", "https://", "https:///x", "https://h:port",
            "https://user:secret@api.example.org", "https://api.example.org?x=1", "https://api.example.org#x",
            "https://" .. ("x"):rep(3000) },
    says = "https://HOST[:PORT][/PREFIX] expected",
    types = { 1, true, {} }, type_says = "string expected",
  },
  proxy = {
    good = { "", "http://proxy.example.org:3128" },
    bad = { "http://proxy\r\n", "http://pr\0xy", "http://prøxy" }, says = "a character that cannot stand there",
    types = { 3128, false, {} }, type_says = "string expected",
  },
  no_proxy = {
    good = { "", "*", "localhost,.example.org" },
    bad = { "localhost\n", "a\0b" }, says = "a character that cannot stand there",
    types = { {}, true, 1 }, type_says = "string expected",
  },
  ca_file = {
    good = { "", "/nowhere/ca.pem", "/home/søren/ca.pem" },
    bad = { "/etc/ca.pem\n", "/etc/\0" }, says = "a character that cannot stand there",
    types = { false, true, {} }, type_says = "string expected",
  },
  user_agent = {
    good = { "", "enrich/1.0 (soc@example.org)" },
    bad = { "enrich\r\nX-Admin: 1", "enrich\0", "søren/1" }, says = "a character that cannot stand there",
    types = { 1, false, {} }, type_says = "string expected",
  },
  on_event = {
    good = { print, function() end },
    bad = {}, says = "",
    types = { "print", true, {}, 1 }, type_says = "function expected",
  },
}

for name, option in pairs(options) do
  describe("the option " .. name, function()
    for _, value in ipairs(option.good) do
      it("may be " .. show(value):sub(1, 60), function()
        assert.has_no.errors(function() accepts{ [name] = value } end)
      end)
    end

    for _, value in ipairs(option.bad) do
      it(("must not be %q"):format(show(value):sub(1, 60)), function()
        local message = complaint{ [name] = value }
        assert.truthy(message:find("bad argument #1 to ", 1, true), message)
        assert.truthy(message:find(("(option '%s': "):format(name), 1, true), message)
        assert.truthy(message:find(option.says, 1, true), message)
      end)
    end

    for _, value in ipairs(option.fractions or {}) do
      it("must not be the fraction " .. value, function()
        assert.truthy(complaint{ [name] = value }:find(("(option '%s': must be a whole number)"):format(name), 1, true))
      end)
    end

    for _, value in ipairs(option.types) do
      it(("must not be a %s"):format(type(value)), function()
        local message = complaint{ [name] = value }
        local says = ("(option '%s': %s, got %s)"):format(name, option.type_says, type(value))
        assert.truthy(message:find(says, 1, true), message)
      end)
    end
  end)
end

describe("the option rate_limit", function()
  it("must not be an empty table, which could mean two things", function()
    assert.matches("no window; false means no limit", complaint{ rate_limit = {} }, 1, true)
  end)

  it("must not have more windows than anybody needs", function()
    local windows = {}
    for i = 1, 9 do windows[i] = i end
    assert.matches("too many windows", complaint{ rate_limit = windows }, 1, true)
  end)

  it("is read when the client is made: a later change of the table changes nothing", function()
    local windows = { [10] = 1 }
    local client = scripted.client(nil, { rate_limit = windows })
    windows[10] = 5
    client:alert_ips "da1"
    assert.is_true(scripted.timed(client.alert_ips, client, "da1") >= 10)
  end)
end)

describe("the option base_url", function()
  it("must be https, since plain http would show the token", function()
    for _, url in ipairs{ "http://api.example.org", "http://10.0.0.1", "http://127.0.0.1.example.org",
                          "http://localhost.example.org" } do
      assert.matches("plain http would show the token", complaint{ base_url = url }, 1, true)
    end
  end)

  it("does not show a password that was put into it", function()
    assert.not_matches("hunter2", complaint{ base_url = "https://user:hunter2@api.example.org" }, 1, true)
  end)

  it("leads all requests to it, with its prefix", function()
    local client = scripted.client(nil, { base_url = "https://gateway.example.org:8443/mde/" })
    client:alert_ips "da1"
    assert.equal("https://gateway.example.org:8443/mde/api/alerts/da1/ips", testing.requests(client)[1].url)
  end)
end)

describe("the option proxy", function()
  it("must be on this machine when base_url is plain http", function()
    local message = complaint{ base_url = "http://127.0.0.1:1", proxy = "http://proxy.example.org:3128" }
    assert.matches("a loopback proxy", message, 1, true)
    assert.has_no.errors(function() accepts{ base_url = "http://127.0.0.1:1", proxy = "http://127.0.0.1:2" } end)
  end)
end)

describe("unknown options", function()
  local typos = {
    tokn = "token", Token = "token", access_token = "token", tokens = "token", baseurl = "base_url",
    base_uri = "base_url", ratelimit = "rate_limit", rate_limits = "rate_limit", timeuot = "timeout",
    time_out = "timeout", connecttimeout = "connect_timeout", connection_timeout = "connect_timeout",
    bugdet = "budget", max_attempt = "max_attempts", max_attepmts = "max_attempts", max_bodysize = "max_body",
    concurency = "concurrency", poxy = "proxy", noproxy = "no_proxy", cafile = "ca_file", ca_path = "ca_file",
    useragent = "user_agent", ["user-agent"] = "user_agent", onevent = "on_event", on_events = "on_event",
  }
  for typo, meant in pairs(typos) do
    it(("such as '%s' are told apart: did you mean '%s'?"):format(typo, meant), function()
      local says = ("(unknown option '%s'; did you mean '%s'?)"):format(typo, meant)
      assert.matches(says, complaint{ [typo] = 1 }, 1, true)
    end)
  end

  it("are told apart whatever they look like", function()
    for _, name in ipairs{ "", "x", ("x"):rep(1e5), "%s%n", "token\0", "Ω" } do
      assert.matches("unknown option '", complaint{ [name] = 1 }, 1, true)
    end
  end)

  it("are told apart when their value is false", function()
    assert.matches("unknown option 'verify'", complaint{ verify = false }, 1, true)
  end)

  it("must be named by strings", function()
    assert.matches("options are named; got a key that is a number", complaint{ "token" }, 1, true)
    assert.matches("options are named; got a key that is a boolean", complaint{ [true] = "token" }, 1, true)
    assert.matches("options are named; got a key that is a table", complaint{ [{}] = "token" }, 1, true)
  end)
end)

describe("mde.client", function()
  it("wants a table of options", function()
    assert.matches("a table of options expected: mde.client{ token = ... }", scripted.raised(mde.client), 1, true)
    for _, wrong in ipairs{ "token", 5, true, print } do
      assert.matches("table expected, got " .. type(wrong), scripted.raised(mde.client, wrong), 1, true)
    end
    assert.matches("table expected, got nil", scripted.raised(mde.client, nil), 1, true)
  end)

  it("blames its argument and the caller's line", function()
    local message = scripted.raised(function() local client = mde.client{ token = 5 } return client end)
    assert.matches("options_spec%.lua:%d+: bad argument #1 to 'client' %(option 'token'", message)
  end)

  it("does not change the options, and may be given them twice", function()
    local all = { token = "token", timeout = 5, rate_limit = { [60] = 5 }, on_event = print }
    mde.client(all):close()
    mde.client(all):close()
    assert.same({ token = "token", timeout = 5, rate_limit = { [60] = 5 }, on_event = print }, all)
  end)

  it("heeds the table's own options only, not those of a metatable", function()
    local inherited = { token = "token", rate_limit = { [60] = 1 }, on_event = error }
    assert.matches("no credential",
      scripted.raised(mde.client, setmetatable({}, { __index = inherited })), 1, true)
    -- BUG once: a limit in the metatable was seen by one half of the code, and meant no limit at all.
    local client = testing.client(setmetatable({ token = "token", answers = scripted.always(scripted.EMPTY) },
      { __index = { rate_limit = { [60] = 1 } } }))
    for _ = 1, 100 do client:alert_ips "da1" end
    assert.is_true(scripted.timed(client.alert_ips, client, "da1") >= 60)
  end)
end)

describe("the option token", function()
  it("must be there, and the message thinks of the environment", function()
    for _, given in ipairs{ {}, { token = os.getenv "MDE_NO_SUCH_VARIABLE" } } do
      local message = scripted.raised(mde.client, given)
      assert.matches("no credential: give 'token'", message, 1, true)
      assert.matches("environment variable", message, 1, true)
    end
  end)

  it("must be a string or a function", function()
    for _, wrong in ipairs{ 5, true, false, {}, io.stdout } do
      local message = scripted.raised(mde.client, { token = wrong })
      assert.matches("option 'token': string or function expected, got " .. type(wrong), message, 1, true)
    end
  end)

  local unsuitable = { "", "secret value", "secret\n", "secret\r\nX-Admin: 1", "\tsecret", "sec\0ret", "secrét",
                       "\239\187\191secret", "secret\127", ("secret"):rep(11000) }
  for _, token in ipairs(unsuitable) do
    it(("must not be %q, and is not shown"):format(token:sub(1, 20)), function()
      local message = scripted.raised(mde.client, { token = token })
      assert.matches("option 'token': empty, too long, or with characters that no token holds", message, 1, true)
      assert.not_matches("secr", message, 1, true)
    end)
  end

  it("may be of any visible ASCII, up to 65536 bytes", function()
    local visible = {}
    for byte = 0x21, 0x7e do visible[#visible + 1] = string.char(byte) end
    assert.has_no.errors(function()
      mde.client{ token = table.concat(visible) }:close()
      mde.client{ token = "x" }:close()
      mde.client{ token = ("x"):rep(65536) }:close()
    end)
  end)

  it("is not shown by complaints about other options", function()
    for _, wrong in ipairs{ { timeout = -1 }, { nonsense = 1 }, { base_url = "x" }, { rate_limit = 5 } } do
      wrong.token = "secret-token"
      assert.not_matches("secret-token", scripted.raised(mde.client, wrong), 1, true)
    end
  end)
end)

describe("options of one call", function()
  local client
  before_each(function() client = scripted.client() end)

  local function call_complaint(method, ...)
    return scripted.raised(client[method], client, ...)
  end

  it("may be left out, or nil, or empty", function()
    assert.same({}, client:alert_ips("da1"))
    assert.same({}, client:alert_ips("da1", nil))
    assert.same({}, client:alert_ips("da1", {}))
    assert.same({}, client:alerts())
    assert.same({}, client:alerts(nil))
  end)

  it("are timeout, budget, max_attempts and max_body", function()
    assert.same({}, client:alert_ips("da1", { timeout = 1, budget = 1, max_attempts = 1, max_body = 100 }))
  end)

  it("have the ranges of the client's", function()
    for name, value in pairs{ timeout = 0, budget = -1, max_attempts = 0, max_body = 0 } do
      assert.matches(("option '%s': must be between"):format(name),
        call_complaint("alert_ips", "da1", { [name] = value }))
    end
    assert.matches("option 'timeout': number of seconds expected, got string",
      call_complaint("alert_ips", "da1", { timeout = "5" }))
  end)

  it("are not the client's own", function()
    for _, name in ipairs{ "token", "rate_limit", "base_url", "on_event", "connect_timeout", "concurrency" } do
      assert.matches(("unknown option '%s'"):format(name), call_complaint("alert_ips", "da1", { [name] = 1 }))
    end
  end)

  it("of a query are for lists only", function()
    local query = { filter = "severity eq 'High'", expand = "evidence", top = 5, skip = 0, max_items = 3 }
    assert.same({}, client:alerts(query))
    for _, name in ipairs{ "filter", "expand", "top", "skip", "max_items" } do
      assert.matches(("unknown option '%s'"):format(name), call_complaint("alert_ips", "da1", { [name] = 1 }))
    end
  end)

  it("of a query have types and ranges, too", function()
    assert.matches("option 'top': must be between 1", call_complaint("alerts", { top = 0 }))
    assert.matches("option 'top': must be between 1", call_complaint("alerts", { top = 10001 }))
    assert.matches("option 'top': must be a whole number", call_complaint("alerts", { top = 1.5 }))
    assert.matches("option 'skip': must be between 0", call_complaint("alerts", { skip = -1 }))
    assert.matches("option 'max_items': must be between 1", call_complaint("alerts", { max_items = 0 }))
    assert.matches("option 'filter': string expected, got number", call_complaint("alerts", { filter = 5 }))
    assert.matches("option 'filter': a character that cannot", call_complaint("alerts", { filter = "a\nb" }))
  end)

  it("name the nearest known one", function()
    assert.matches("unknown option 'fliter'; did you mean 'filter'?",
      call_complaint("alerts", { fliter = "" }), 1, true)
    assert.matches("unknown option 'timout'; did you mean 'timeout'?",
      call_complaint("alert_ips", "da1", { timout = 1 }), 1, true)
  end)

  it("must be a table", function()
    for _, wrong in ipairs{ 5, "options", true } do
      assert.matches("table expected, got " .. type(wrong), call_complaint("alert_ips", "da1", wrong))
      assert.matches("table expected, got " .. type(wrong), call_complaint("alerts", wrong))
    end
  end)

  it("are blamed by their position, and on the caller's line", function()
    local function by_method() local ips = client:alert_ips("da1", { timeout = 0 }) return ips end
    local function by_function() local ips = client.alert_ips(client, "da1", { timeout = 0 }) return ips end
    assert.matches("options_spec%.lua:%d+: bad argument #2 to 'alert_ips' %(option 'timeout'",
      scripted.raised(by_method))
    assert.matches("bad argument #3 to 'alert_ips' %(option 'timeout'", scripted.raised(by_function))
  end)

  it("raise before anything is sent, and leave the client usable", function()
    call_complaint("alert_ips", "da1", { timeout = 0 })
    assert.same({}, testing.requests(client))
    assert.equal(0, client:stats().calls)
    assert.same({}, client:alert_ips "da1")
  end)

  it("are for that call only", function()
    local slow = scripted.client(scripted.always{ error = "timeout" }, { timeout = 20, max_attempts = 1 })
    assert.equal(3, (scripted.timed(slow.alert_ips, slow, "da1", { timeout = 3 })))
    assert.equal(20, (scripted.timed(slow.alert_ips, slow, "da1")))
  end)
end)

-- Bugs: what was too long for the transport was said to be libcurl's fault or the memory's, and was not named; a name
-- of megabytes was compared with each known one to its end, which took seconds.
describe("what is far too long", function()
  for _, name in ipairs{ "proxy", "no_proxy", "ca_file", "user_agent", "client_secret", "tenant_id" } do
    it("is refused by its name: " .. name, function()
      local says = ("option '%s': more than 65536 bytes"):format(name)
      assert.matches(says, complaint{ [name] = ("x"):rep(65537) }, 1, true)
    end)
  end

  it("is taken at the limit, with the client's own name behind it", function()
    accepts{ user_agent = ("x"):rep(65536) }
  end)

  it("is refused at once as a name #brisk", function()
    local before = os.clock()
    assert.matches("unknown option", complaint{ [("x"):rep(3000000)] = 1 })
    assert.is_true(os.clock() - before < 0.3)
  end)
end)

-- examples/gateway: the configuration that a platform team may start from, in a real nginx with two workers.
-- nginx's interpreter is LuaJIT, so these run where the module is built for that.
if not rawget(_G, "jit") then return end

local cjson = require "cjson"
local curl = require "spec.support.curl"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT, OTHER = "da637472900382838869_1364969609", "da637308392288907382_-880718168"
local quote = shell.quote

local space, directory, gateway

local function script(order, environment)
  return ("%s examples/gateway/gateway.sh %s %s %s"):format(environment or "", order, quote(os.getenv "MDE_BUILD"),
    quote(directory))
end

local function environment_of(changes)
  local all = {
    AZURE_TENANT_ID = space.tenant_id, AZURE_CLIENT_ID = space.client_id, AZURE_CLIENT_SECRET = space.client_secret,
    AZURE_AUTHORITY_HOST = space:authority(), MDE_BASE_URL = simulator.url, MDE_CA_FILE = simulator.ca_file,
  }
  for name, value in pairs(changes or {}) do all[name] = value end
  local words = {}
  for name, value in pairs(all) do words[#words + 1] = name .. "=" .. quote(value) end
  return table.concat(words, " ")
end

local function start(changes)
  directory = shell.temporary_directory()
  shell.must(script("start", environment_of(changes)))
  gateway = {}
  for name, value in shell.read(directory .. "/env"):gmatch "GATEWAY_(%u+)=(%S+)" do gateway[name:lower()] = value end
end

local function get(path, options)
  options = options or {}
  if options.key ~= false then options.token = options.key or gateway.key end
  options.key = nil
  return curl.get(gateway.url .. path, options)
end

local function ips(id, options) return get("/v1/alerts/" .. id .. "/ips", options) end

-- What so many requests at once are answered; {} in the id is the number of each.
local function many(count, id)
  return shell.must(("seq %d | xargs -P 20 -I{} curl -s --noproxy '*' -H 'Authorization: Bearer %s' "
    .. "'%s/v1/alerts/%s/ips'"):format(count, gateway.key, gateway.url, id))
end

local function problem(status, answer)
  assert.equal(status, answer.status, answer.body)
  assert.equal("application/problem+json", answer.headers["content-type"])
  assert.equal(status, answer.json.status)
  assert.is_string(answer.json.title)
  assert.is_string(answer.json.detail)
  return answer.json
end

local function requests()
  local operation = space:report().operations.alert_ips
  return operation and operation.requests or 0
end

setup(simulator.start)

before_each(function()
  space = simulator.namespace()
  space:control { limits = false }
end)

after_each(function()
  shell.must(script "stop")
  shell.must("rm -rf " .. quote(directory))
end)

describe("the gateway #nginx", function()
  it("says which addresses belong to an alert", function()
    start()
    local answer = ips(ALERT)
    assert.equal(200, answer.status, answer.body)
    assert.equal("application/json", answer.headers["content-type"])
    assert.same({ id = ALERT, ips = { "104.80.104.128", "23.203.232.228" }, cached = false }, answer.json)
  end)

  it("answers an alert without addresses with an empty array", function()
    start()
    space:fault { operation = "alert_ips", body = '{"value":[]}' }
    assert.truthy(ips(ALERT).body:find('"ips":[]', 1, true))
  end)

  it("keeps an answer for all workers", function()
    start()
    ips(ALERT)
    for _ = 1, 20 do assert.is_true(ips(ALERT).json.cached) end
    assert.equal(1, requests())
  end)

  it("asks once for equal requests that come at once", function()
    start()
    space:fault { operation = "alert_ips", delay = 0.5 }
    local output = many(20, ALERT)
    local _, count = output:gsub('"104%.80%.104%.128"', "")
    assert.equal(20, count)
    assert.equal(1, requests())
  end)

  it("tells all who wait of a failure, and does not keep it", function()
    start()
    space:fault { operation = "alert_ips", delay = 0.5, status = 403, times = 1 }
    local _, failed = many(20, ALERT):gsub('"kind":"auth"', "")
    assert.equal(20, failed)
    assert.equal(1, requests())
    assert.equal(200, ips(ALERT).status)
  end)

  it("goes on for the others when the one who asked first goes away", function()
    start()
    space:fault { operation = "alert_ips", delay = 1 }
    os.execute(("curl -s --max-time 0.3 --noproxy '*' -H 'X-API-Key: %s' '%s/v1/alerts/%s/ips' &"):format(gateway.key,
      gateway.url, ALERT))
    shell.must "sleep 0.1"
    local _, good = many(10, ALERT):gsub('"104%.80%.104%.128"', "")
    assert.equal(10, good)
    assert.equal(1, requests())
  end)

  it("goes on after workers were killed in the middle of a call", function()
    start()
    space:fault { operation = "alert_ips", delay = 5, times = 1 }
    os.execute(("curl -s --noproxy '*' -H 'X-API-Key: %s' '%s/v1/alerts/%s/ips' &"):format(gateway.key, gateway.url,
      ALERT))
    shell.must "sleep 0.5"
    shell.must("kill -9 $(pgrep -P " .. gateway.pid .. ")")
    shell.must "sleep 0.3"
    local started = os.time()
    assert.equal(200, ips(ALERT).status)
    assert.is_true(os.time() - started <= 3)
    assert.equal(2, requests())
  end)

  it("keeps one quota for both workers", function()
    start()
    space:control { limits = { [60] = 100, [3600] = 1500 } }
    many(30, "no-such-alert-{}")
    local answer = get "/v1/quota"
    assert.same({ ["60"] = 70, ["3600"] = 1470 }, answer.json.windows)
    assert.equal(0, answer.json.seconds)
    assert.equal(0, space:report().operations.alert_ips.throttled)
  end)

  it("lets no more through than the limit, by both workers together", function()
    start()
    space:control { limits = { [60] = 100, [3600] = 1500 } }
    local output = many(130, "alert-{}")
    local _, missing = output:gsub('"kind":"not_found"', "")
    local _, limited = output:gsub('"kind":"rate_limited"', "")
    assert.same({ 100, 30 }, { missing, limited })
    local report = space:report().operations.alert_ips
    assert.same({ 100, 0 }, { report.requests, report.throttled })
    local answer = ips "one-more"
    local seconds = tonumber(answer.headers["retry-after"])
    assert.is_true(seconds >= 20 and seconds <= 60, answer.headers["retry-after"])
    assert.equal(seconds, problem(429, answer).retry_after)
    assert.equal(0, get("/v1/quota").json.windows["60"])
    assert.is_true(get("/v1/quota").json.seconds > 20)
  end)
end)

describe("the configuration #nginx", function()
  it("is taken by Debian's nginx as it is, but for where to listen", function()
    directory = shell.temporary_directory()
    shell.must("cp -R examples/gateway/. " .. directory)
    shell.must("mkdir " .. directory .. "/run")
    shell.write(directory .. "/keys", "")
    shell.write(directory .. "/listen.conf", "listen unix:" .. directory .. "/socket;\n")
    local _, told = shell.run(("PATH=$PATH:/usr/sbin:/sbin; nginx -t -p %s -c nginx.conf"):format(directory))
    assert.truthy(told:find("test is successful", 1, true), told)
  end)
end)

describe("a problem #nginx", function()
  it("tells of an alert that is not there, and remembers it for a while", function()
    start()
    assert.equal("not_found", problem(404, ips "da000000000000000000_0").kind)
    problem(404, ips "da000000000000000000_0")
    assert.equal(1, requests())
  end)

  it("tells of an id that cannot be one", function()
    start()
    for _, id in ipairs{ "", "%0a", "a%20b", "%ff", ("x"):rep(300) } do problem(400, ips(id)) end
    assert.equal(400, ips("%00").status)
    assert.equal(0, requests())
    assert.truthy(problem(404, ips "a%2541").kind)
    local asked = {}
    for i, request in ipairs(space:requests()) do asked[i] = request.raw_uri end
    assert.truthy(table.concat(asked, " "):find("/alerts/a%2541/ips", 1, true), "unescaped once")
  end)

  it("tells of another path or method", function()
    start()
    problem(404, get "/v1/somewhere")
    for _, path in ipairs{ "/v1/alerts/x/ips", "/v1/quota", "/metrics" } do
      local answer = get(path, { method = "DELETE" })
      problem(405, answer)
      assert.equal("GET, HEAD", answer.headers.allow)
    end
  end)

  it("asks for a key, and takes no other", function()
    start()
    for _, key in ipairs{ false, "wrong", gateway.key .. "0", gateway.key:sub(2), ("x"):rep(2000) } do
      local answer = ips(ALERT, { key = key })
      problem(401, answer)
      assert.equal('Bearer realm="mde"', answer.headers["www-authenticate"])
    end
    problem(401, get("/metrics", { key = false }))
    problem(401, get("/v1/quota", { key = false }))
    assert.equal(0, requests())
  end)

  it("says when to come again if the quota is used up", function()
    start()
    space:fault { operation = "alert_ips", status = 429, headers = { ["Retry-After"] = "120" } }
    local answer = ips(ALERT)
    assert.equal("rate_limited", problem(429, answer).kind)
    assert.is_true(tonumber(answer.headers["retry-after"]) >= 100)
  end)

  for kind, fault in pairs{
    auth = { status = 403, times = -1 },
    http = { status = 400, times = -1 },
    json = { body = "<html>", times = -1 },
  } do
    it(("is a bad gateway's if the kind is %s, without our own troubles in it"):format(kind), function()
      start()
      fault.operation = "alert_ips"
      space:fault(fault)
      local told = problem(502, ips(ALERT))
      assert.equal(kind, told.kind)
      assert.equal(kind ~= "http", told.detail == "The service could not be asked.")
    end)
  end

  it("is a bad gateway's if the secret is wrong, and shows no secret, in the log neither", function()
    start { AZURE_CLIENT_SECRET = "this-is-not-the-secret" }
    local told = problem(502, ips(ALERT))
    assert.equal("auth", told.kind)
    local log = shell.read(directory .. "/error.log")
    assert.truthy(log:find("AADSTS7000215", 1, true))
    assert.is_nil((log .. cjson.encode(told)):find("this-is-not-the-secret", 1, true))
    assert.is_nil(log:find(gateway.key, 1, true))
  end)

  it("is a bad gateway's if the service is not there, or is not who it says", function()
    start { MDE_BASE_URL = "https://127.0.0.1:1" }
    assert.equal("network", problem(502, ips(ALERT)).kind)
    shell.must(script "stop")
    start { MDE_BASE_URL = simulator.unknown_ca_url }
    local told = problem(502, ips(ALERT))
    assert.equal("tls", told.kind)
    assert.equal("The service could not be asked.", told.detail)
  end)

  it("is the gateway's own if the credential is none, and the log says why", function()
    start { AZURE_TENANT_ID = "" }
    assert.is_nil(problem(500, ips(ALERT)).kind)
    assert.truthy(shell.read(directory .. "/error.log"):find "AZURE_TENANT_ID")
  end)

  it("is never one of another's secrets", function()
    start()
    local told = { ips(ALERT).body, ips("none").body, get("/metrics").body, get("/v1/quota").body }
    space:fault { operation = "alert_ips", status = 500, times = -1 }
    told[#told + 1] = ips(OTHER).body
    for _, file in ipairs{ "error.log", "access.log" } do told[#told + 1] = shell.read(directory .. "/" .. file) end
    local all = table.concat(told)
    for _, secret in ipairs{ space.client_secret, gateway.key, "eyJ", "simulator-token" } do
      assert.is_nil(all:find(secret, 1, true), secret)
    end
    assert.truthy(all:find(" demo [", 1, true), "the caller's name is in the log")
  end)

  it("is a timeout's if the service does not answer within the budget", function()
    start()
    space:fault { operation = "alert_ips", status = 503, headers = { ["Retry-After"] = "1" }, times = -1 }
    problem(502, ips(ALERT))
    space:control { faults = false }
    space:fault { operation = "alert_ips", delay = 40, times = -1 }
    local _, timeouts = many(4, OTHER):gsub('"kind":"timeout"', "") -- at once, not one after the other
    assert.equal(4, timeouts)
  end)
end)

describe("what watches the gateway #nginx", function()
  it("finds its health without a key, and whether the last calls have worked", function()
    start()
    local function health()
      local answer = get("/health", { key = false })
      assert.equal(200, answer.status)
      assert.equal("ok", answer.json.status)
      return answer.json.calls
    end
    assert.equal("none", health())
    space:fault { operation = "alert_ips", status = 400, times = 3 }
    for i = 1, 3 do ips("id-" .. i) end
    assert.equal("failing", health())
    ips(ALERT)
    assert.equal("working", health())
    assert.equal(4, requests())
  end)

  it("finds metrics in Prometheus' text format", function()
    start()
    for _ = 1, 5 do ips(ALERT) end
    ips "da000000000000000000_0"
    local answer = get "/metrics"
    assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
    local values, described = {}, {}
    for line in answer.body:gmatch "[^\n]+" do
      local name, kind = line:match "^# TYPE (%S+) (%a+)$"
      if name then
        assert.truthy(kind == "counter" or kind == "gauge", line)
        described[name] = true
      elseif not line:match "^# HELP %S+ ." then
        local series, base, value = line:match "^(([%a_]+){?[^}]*}?) ([%d.e+-]+)$"
        assert.is_string(series, line)
        assert.is_true(described[base], line)
        values[series] = tonumber(value)
      end
    end
    assert.equal(5, values['gateway_requests_total{status="200"}'])
    assert.equal(1, values['gateway_requests_total{status="404"}'])
    assert.equal(4, values['gateway_cache_total{state="hit"}'])
    assert.equal(98, values['mde_quota_remaining_calls{window="60"}'])
    assert.equal(2, values['gateway_cache_total{state="miss"}'])
    assert.equal(2, values.mde_calls_total)
    assert.equal(2, values.mde_attempts_total)
    assert.equal(1, values.mde_errors_total)
    assert.equal(0, values.mde_in_flight)
    assert.is_true(values.mde_tokens_total >= 1)
    shell.must("kill -HUP " .. gateway.pid)
    shell.must "sleep 1"
    assert.truthy(get("/metrics").body:find "\nmde_calls_total 2\n", "counters outlive a reload")
  end)
end)

describe("the page #nginx", function()
  it("needs no key, brings all that it needs, and allows nothing else", function()
    start()
    local answer = get("/", { key = false })
    assert.equal(200, answer.status)
    assert.equal("text/html", answer.headers["content-type"]:match "^[^;]+")
    assert.equal("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
      .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'", answer.headers["content-security-policy"])
    assert.equal("nosniff", answer.headers["x-content-type-options"])
    assert.is_string(answer.headers["cache-control"])
    assert.equal("no-referrer", answer.headers["referrer-policy"])
    local loaded = get("/assets/index.html", { key = false })
    assert.equal(200, loaded.status)
    assert.equal(answer.headers["content-security-policy"], loaded.headers["content-security-policy"])
    for path in answer.body:gmatch '[hs][rt][ec]f?="(/assets/[^"]+)"' do
      assert.equal(200, get(path, { key = false }).status, path)
    end
    assert.is_nil(answer.body:find("https?://"))
    for _, path in ipairs{ "/keys", "/nginx.conf", "/assets/../keys", "/lua/gateway/keys.lua", "/run/quota" } do
      assert.not_equal(200, get(path, { key = false }).status, path)
    end
  end)
end)

describe("a reload #nginx", function()
  it("finishes what is in flight, and takes in new keys", function()
    start()
    space:fault { operation = "alert_ips", delay = 1 }
    local output = os.tmpname()
    os.execute(("curl -s --noproxy '*' -H 'X-API-Key: %s' '%s/v1/alerts/%s/ips' > %s &")
      :format(gateway.key, gateway.url, ALERT, output))
    shell.must "sleep 0.3"
    shell.must(("printf 'other %%s\\n' $(printf %%s other-key | sha256sum | cut -d' ' -f1) > %s/keys")
      :format(directory))
    shell.must("kill -HUP " .. gateway.pid)
    shell.must "sleep 1.5"
    assert.truthy(shell.read(output):find "104.80.104.128")
    problem(401, ips(ALERT))
    assert.equal(200, ips(ALERT, { key = "other-key" }).status)
    os.remove(output)
  end)
end)

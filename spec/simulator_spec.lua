-- The simulator is what the other specs trust, so it is itself tested, from outside and with another client: curl.
-- Once is enough: the interpreter that runs this file has no part in it.
if _VERSION ~= "Lua 5.4" then return end

local cjson = require "cjson"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"
local IPS = "/api/alerts/" .. ALERT .. "/ips"

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local contents = file:read "*a"
  file:close()
  os.remove(path)
  return contents
end

-- Runs curl on `url`; `options` is a string of more arguments.
-- { exit = code of curl, status =, version =, body =, head = with lower-case names, seconds = }
local function fetch(url, options)
  local body, head = os.tmpname(), os.tmpname()
  local command = "curl --silent --globoff --noproxy '*' --max-time 20 %s -o %s --dump-header %s -w %s %s; echo $?"
  local report = quote "%{http_code} %{http_version} %{time_total} "
  local pipe = io.popen(command:format(options or "", body, head, report, quote(url)))
  local status, version, seconds, exit = pipe:read "*a":match "^(%d+) (%S+) ([%d.]+) (%d+)"
  pipe:close()
  return {
    exit = tonumber(exit), status = tonumber(status), version = version, seconds = tonumber(seconds),
    body = read_file(body), head = read_file(head):lower(),
  }
end

local function trusted(options)
  return "--cacert " .. simulator.ca_file .. " " .. (options or "")
end

-- GET with the namespace's token.
local function get(space, path, options, url)
  local authorization = ("-H 'Authorization: Bearer %s' "):format(space.token)
  return fetch((url or simulator.url) .. path, trusted(authorization .. (options or "")))
end

local function get_json(space, path)
  local response = get(space, path)
  assert.equal(200, response.status)
  return cjson.decode(response.body)
end

local function error_of(response)
  return cjson.decode(response.body).error
end

-- `count` requests over one connection as fast as curl can. Returns how many times each status was answered.
local function burst(space, path, count)
  local command = ("curl --silent --noproxy '*' %s -H 'Authorization: Bearer %s' -o /dev/null -w '%s' '%s?n=[1-%d]'")
    :format(trusted(), space.token, "%{http_code}\\n", simulator.url .. path, count)
  local pipe, counts = io.popen(command), {}
  for status in pipe:lines() do counts[tonumber(status)] = (counts[tonumber(status)] or 0) + 1 end
  pipe:close()
  return counts
end

local function ids(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = item.id end
  return list
end

describe("simulator #simulator", function()
  local space

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
  end)

  describe("operations", function()
    it("answers an alert's addresses", function()
      local answer = get_json(space, IPS)
      assert.same({ "104.80.104.128", "23.203.232.228" }, ids(answer.value))
      assert.equal("https://api.security.microsoft.com/api/$metadata#Ips", answer["@odata.context"])
    end)

    it("answers an alert with nulls for what is unknown", function()
      local alert = get_json(space, "/api/alerts/" .. ALERT)
      assert.equal(ALERT, alert.id)
      assert.equal(cjson.null, alert.resolvedTime)
      assert.is_nil(alert.evidence)
    end)

    it("answers domains, files, machine and user", function()
      local path = "/api/alerts/" .. ALERT
      assert.equal("cdn.contoso.example", get_json(space, path .. "/domains").value[1].host)
      assert.equal(40, #get_json(space, path .. "/files").value[1].sha1)
      assert.equal("workstation-17.contoso.example", get_json(space, path .. "/machine").computerDnsName)
      assert.equal("contoso\\alice", get_json(space, path .. "/user").id)
    end)

    it("answers an empty array when an alert has no addresses", function()
      local response = get(space, "/api/alerts/da637594113580412977_1905837754/ips")
      assert.truthy(response.body:find('"value":[]', 1, true))
    end)

    it("answers 404 for an unknown alert, and for a machine and user that an alert lacks", function()
      for _, path in ipairs { "/unknown", "/unknown/ips", "/da637612390715220145_-1276340398/machine",
        "/da637612390715220145_-1276340398/user" } do
        local response = get(space, "/api/alerts" .. path)
        assert.equal(404, response.status)
        assert.equal("ResourceNotFound", error_of(response).code)
        assert.equal(36, #error_of(response).target)
      end
      assert.equal("Alert unknown was not found", error_of(get(space, "/api/alerts/unknown")).message)
    end)

    it("answers under /api/v1.0 too", function()
      assert.equal(2, #get_json(space, "/api/v1.0/alerts/" .. ALERT .. "/ips").value)
    end)

    it("takes an encoded id as one segment, whatever is in it", function()
      local encoded = {
        ["custom%20alert%201"] = "192.0.2.21", ["custom%2Falert%2F2"] = "192.0.2.22", ["100%25_sure"] = "192.0.2.23",
        ["custom%234"] = "192.0.2.24", ["custom%3Fid%3D5%26x"] = "192.0.2.25", ["..x"] = "192.0.2.26",
        ["a%252Fb%2Bc"] = "192.0.2.27", ["%C3%A5larm-%E6%97%A5%E6%9C%AC_1"] = "2001:db8::28",
      }
      for id, address in pairs(encoded) do
        assert.same({ address }, ids(get_json(space, "/api/alerts/" .. id .. "/ips").value))
      end
    end)

    it("does not repair an id that was sent unencoded", function()
      assert.equal(404, get(space, "/api/alerts/custom/alert/2/ips", "--path-as-is").status)
      assert.equal(404, get(space, "/api//alerts/" .. ALERT, "--path-as-is").status)
    end)

    it("answers 404 for no operation and 405 for another method", function()
      assert.equal(404, get(space, "/api/nothing").status)
      assert.equal(405, get(space, IPS, "--request DELETE").status)
    end)
  end)

  describe("alerts", function()
    -- Follows the links. Returns the number of items of each page, and of different ids.
    local function walk(path)
      local sizes, seen, distinct = {}, {}, 0
      repeat
        local page = get_json(space, path)
        sizes[#sizes + 1] = #page.value
        for _, id in ipairs(ids(page.value)) do
          if not seen[id] then seen[id], distinct = true, distinct + 1 end
        end
        local link = page["@odata.nextLink"]
        path = link and link:sub(#simulator.url + 1)
      until not path
      return sizes, distinct
    end

    it("are 250, in pages linked to each other", function()
      local sizes, distinct = walk "/api/alerts"
      assert.same({ 100, 100, 50 }, sizes)
      assert.equal(250, distinct)
    end)

    it("are paged as the namespace says", function()
      space:control { page_size = 120, next_link_style = "skiptoken", next_link_host = "other.example" }
      local link = get_json(space, "/api/alerts")["@odata.nextLink"]
      assert.equal("https://other.example/api/alerts?$skiptoken=120", link)
    end)

    it("have no link with $top, unless the namespace says so", function()
      assert.same({ 150 }, (walk "/api/alerts?$top=150"))
      assert.same({ 50 }, (walk "/api/alerts?$top=100&$skip=200"))
      space:control { next_link_with_top = true }
      assert.same({ 100, 50 }, (walk "/api/alerts?$top=150"))
    end)

    it("are filtered, on every page", function()
      space:control { page_size = 10 }
      local filter = "severity+eq+'High'+and+alertCreationTime+gt+2026-02-01T02:00:00Z+and+status+ne+'Resolved'"
      local sizes, distinct = walk("/api/alerts?$filter=" .. filter)
      assert.equal(10, sizes[1])
      assert.is_true(distinct > 10 and distinct < 60)
      assert.equal(1, #get_json(space, "/api/alerts?$filter=id%20eq%20'" .. ALERT .. "'").value)
      local quoted = "title+eq+'An+active+''Contoso''+malware+was+prevented'"
      assert.equal(1, #get_json(space, "/api/alerts?$filter=" .. quoted).value)
      assert.equal(0, #get_json(space, "/api/alerts?$filter=category+eq+''").value)
    end)

    it("have evidence only on request", function()
      local evidence = get_json(space, "/api/alerts?$top=1&$expand=evidence").value[1].evidence
      assert.equal("File", evidence[1].entityType)
      assert.equal("104.80.104.128", evidence[2].ipAddress)
      assert.is_nil(get_json(space, "/api/alerts?$top=1").value[1].evidence)
    end)

    it("answer 400 to what they do not understand", function()
      local queries = {
        "$top=0", "$top=10001", "$top=x", "$skip=-1", "$expand=files", "$orderby=id", "$filter=id", "$filter=id+eq+'x",
        "$filter=nothing+eq+'x'", "$filter=id+eq+'x'+or+id+eq+'y'", "$filter=id+eq+'x'+and",
      }
      for _, query in ipairs(queries) do
        local response = get(space, "/api/alerts?" .. query)
        assert.equal(400, response.status, query)
        assert.equal("ODataError", error_of(response).code)
      end
    end)

    it("link to what a fault wants", function()
      local function link_with(next_link, path)
        space:fault { operation = "alerts", next_link = next_link }
        return get_json(space, path or "/api/alerts")["@odata.nextLink"]
      end
      assert.equal("https://other.example/api/alerts?$skip=100", link_with "other_host")
      assert.equal(simulator.url .. "/api/alerts?$skip=100", link_with("loop", "/api/alerts?$skip=200"))
      assert.equal(simulator.url .. "/api/alerts?$skip=5100", link_with("endless", "/api/alerts?$skip=5000"))
      assert.equal("https://[::1/api/alerts?$skip=%zz", link_with "malformed")
      assert.is_nil(link_with "dropped")
      assert.equal("ftp://literal", link_with "ftp://literal")
      assert.is_true(link_with(true))
      local filtered = link_with("without_filter", "/api/alerts?$filter=id+ne+'x'")
      assert.equal(simulator.url .. "/api/alerts?$skip=100", filtered)
    end)
  end)

  describe("authorization", function()
    it("refuses a missing and a foreign token", function()
      local without = fetch(simulator.url .. IPS, trusted())
      local foreign = fetch(simulator.url .. IPS, trusted "-H 'Authorization: Bearer simulator-tokenx'")
      for _, response in ipairs { without, foreign } do
        assert.equal(401, response.status)
        assert.equal("Unauthorized", error_of(response).code)
        assert.truthy(response.head:find("www%-authenticate: bearer"))
      end
    end)

    it("refuses a revoked token, and lets its namespace's others in", function()
      local function status_of(token)
        return get({ token = token }, IPS).status
      end
      space:control { revoked = { space:token_numbered(1) } }
      assert.equal(401, status_of(space:token_numbered(1)))
      assert.equal(200, status_of(space:token_numbered(2)))
      assert.equal(200, status_of(space.token))
      assert.equal(3, space:report().operations.alert_ips.requests)
    end)

    it("refuses a denied operation and names the permission", function()
      space:control { denied = { "alert_ips" } }
      local response = get(space, IPS)
      assert.equal(403, response.status)
      assert.equal("Forbidden", error_of(response).code)
      assert.truthy(error_of(response).message:find("API required roles: Ip.Read.All", 1, true))
      assert.equal(200, get(space, "/api/alerts/" .. ALERT).status)
    end)
  end)

  describe("limits", function()
    it("let exactly as many through as they say", function()
      space:control { limits = { [60] = 30, [3600] = 1000 } }
      assert.same({ [200] = 30, [429] = 10 }, burst(space, IPS, 40))
      local operation = space:report().operations.alert_ips
      assert.same({ ["60"] = 40, ["3600"] = 40 }, operation.largest)
      assert.equal(40, operation.requests)
      assert.equal(10, operation.throttled)
    end)

    it("slide", function()
      space:control { limits = { [0.5] = 5 } }
      assert.same({ [200] = 5 }, burst(space, IPS, 5))
      os.execute "sleep 0.5"
      assert.same({ [200] = 5 }, burst(space, IPS, 5))
      assert.equal(5, space:report().operations.alert_ips.largest["0.5"])
    end)

    it("hold for each operation and namespace by itself", function()
      space:control { limits = { [60] = 1, alert = { [60] = 2 } } }
      assert.same({ [200] = 1, [429] = 2 }, burst(space, IPS, 3))
      assert.same({ [200] = 2, [429] = 1 }, burst(space, "/api/alerts/" .. ALERT, 3))
      assert.same({ [200] = 3 }, burst(simulator.namespace(), IPS, 3))
    end)

    it("are 100 a minute unless set, and can be off", function()
      assert.same({ [200] = 100, [429] = 1 }, burst(space, IPS, 101))
      space:control { limits = false }
      assert.same({ [200] = 101 }, burst(space, IPS, 101))
      assert.equal(101, space:report().operations.alert_ips.largest["60"])
    end)

    it("refuse in the service's words, with the seconds to wait", function()
      space:control { limits = { [60] = 0 } }
      local response = get(space, IPS)
      assert.equal("429", error_of(response).code)
      assert.equal("API calls quota exceeded! maximum allowed 0 per 00:01:00", error_of(response).message)
      assert.truthy(response.head:find "\nretry%-after: 60\r")
    end)

    it("tell when to come again in the form that is set", function()
      local function retry_after(form)
        space:control { retry_after = form, throttle_code = "TooManyRequests", limits = { [3600] = 0 } }
        local response = get(space, IPS)
        assert.equal("TooManyRequests", error_of(response).code)
        return response.head:match "\nretry%-after: ([^\r]*)"
      end
      assert.is_nil(retry_after(false))
      assert.truthy(retry_after "http_date":match "^%a+, %d%d %a+ %d%d%d%d %d%d:%d%d:%d%d gmt$")
      assert.truthy(retry_after "rfc850":match "^%a+day, %d%d%-%a+%-%d%d %d%d:%d%d:%d%d gmt$")
      assert.truthy(retry_after "asctime":match "^%a+ %a+ [ %d]%d %d%d:%d%d:%d%d %d%d%d%d$")
    end)
  end)

  describe("faults", function()
    local urls = { "url", "h2_url" }

    -- The response to a fault over HTTP/1.1 and then over HTTP/2.
    local function each_version(fault, check, options)
      fault.times = 2
      space:fault(fault)
      for _, name in ipairs(urls) do check(get(space, IPS, options, simulator[name]), name == "h2_url") end
    end

    it("answer with a status and the real error body", function()
      local headers = { ["Retry-After"] = "soon", ["retry-after-ms"] = "10" }
      each_version({ status = 503, headers = headers }, function(response)
        assert.equal(503, response.status)
        assert.equal("ServiceUnavailable", error_of(response).code)
        assert.truthy(response.head:find "retry%-after: soon")
        assert.truthy(response.head:find "retry%-after%-ms: 10")
      end)
      space:fault { status = 418, code = "Teapot", message = "short and stout", target = "shelf" }
      assert.same({ code = "Teapot", message = "short and stout", target = "shelf" }, error_of(get(space, IPS)))
    end)

    it("answer with any body, status and Date", function()
      local body = "\239\187\191<html>\0\255</html>"
      each_version({ body = body, headers = { Date = "Sun, 06 Nov 1994 08:49:37 GMT" } }, function(response)
        assert.equal(200, response.status)
        assert.equal(body, response.body)
        assert.truthy(response.head:find "date: sun, 06 nov 1994 08:49:37 gmt")
      end)
      space:fault { body = "", status = 502 }
      assert.equal(0, #get(space, IPS).body)
    end)

    it("redirect", function()
      each_version({ status = 302, headers = { Location = "https://other.example/" } }, function(response)
        assert.equal(302, response.status)
        assert.truthy(response.head:find "location: https://other.example/")
      end)
    end)

    it("delay", function()
      each_version({ delay = 0.3 }, function(response)
        assert.is_true(response.seconds >= 0.3 and response.seconds < 5)
        assert.equal(200, response.status)
      end)
    end)

    it("truncate", function()
      each_version({ truncate = 20 }, function(response, is_h2)
        assert.equal(is_h2 and 92 or 18, response.exit)
        assert.equal(20, #response.body)
        assert.is_true(response.seconds < 5)
      end)
    end)

    it("reset before the answer", function()
      each_version({ reset = "before" }, function(response, is_h2)
        assert.equal(is_h2 and 92 or 56, response.exit)
        assert.equal("", response.head)
      end)
    end)

    it("reset in the middle of the body", function()
      each_version({ reset = "middle" }, function(response, is_h2)
        assert.equal(is_h2 and 92 or 56, response.exit)
        assert.equal(66, #response.body)
      end)
    end)

    it("trickle", function()
      each_version({ trickle = { bytes = 30, every = 0.05 } }, function(response)
        assert.is_true(response.seconds >= 0.2)
        assert.equal(2, #cjson.decode(response.body).value)
      end)
    end)

    it("make a huge and valid collection of exactly the size", function()
      each_version({ huge = 3000001 }, function(response)
        assert.equal(3000001, #response.body)
        assert.equal("192.0.2.1", table.remove(cjson.decode(response.body).value).id)
      end, "-H 'Accept-Encoding: gzip'")
    end)

    it("make a bomb that is small on the wire", function()
      each_version({ gzip_bomb = 20000000 }, function(response)
        assert.truthy(response.head:find "content%-encoding: gzip")
        assert.is_true(#response.body < 200000)
      end)
      space:fault { gzip_bomb = 20000000 }
      assert.equal(20000000, #get(space, IPS, "--compressed").body)
    end)

    it("send in chunks, compressed or not, as they say", function()
      space:control { faults = { { chunked = true }, { gzip = true }, { gzip = false } } }
      assert.truthy(get(space, IPS).head:find "transfer%-encoding: chunked")
      assert.truthy(get(space, IPS).head:find "content%-encoding: gzip")
      assert.falsy(get(space, "/api/alerts", "-H 'Accept-Encoding: gzip'").head:find "content%-encoding")
    end)

    it("hit the operation and id that they name, as often as they say, in their order", function()
      space:control { faults = {
        { operation = "alert", status = 500 },
        { id = "custom/alert/2", status = 501 },
        { operation = "alert_ips", status = 502, times = 2 },
        { operation = "*", status = 503, times = -1 },
      } }
      local statuses = {}
      for i, path in ipairs { IPS, IPS, IPS, "/api/alerts/custom%2Falert%2F2", "/api/alerts/custom%2Falert%2F2" } do
        statuses[i] = get(space, path).status
      end
      assert.same({ 502, 502, 503, 500, 501 }, statuses)
      space:control { faults = false }
      assert.equal(200, get(space, IPS).status)
    end)

    it("hit each so many of the requests that they fit", function()
      space:fault { operation = "alert_ips", status = 500, every = 3, times = 2 }
      local statuses = {}
      for i = 1, 8 do
        statuses[i] = get(space, IPS).status
        get(space, "/api/alerts/" .. ALERT)
      end
      assert.same({ 200, 200, 500, 200, 200, 500, 200, 200 }, statuses)
    end)

    it("are refused when they are misspelt", function()
      assert.has_error(function() space:fault { statsu = 500 } end, "simulator: no fault has a field 'statsu'")
      assert.has_error(function() space:fault { reset = "after" } end)
      assert.has_error(function() space:control { limit = {} } end, "simulator: there is no instruction 'limit'")
    end)
  end)

  describe("encoding", function()
    it("is gzip for long answers to those who ask for it", function()
      assert.truthy(get(space, "/api/alerts", "-H 'Accept-Encoding: gzip'").head:find "content%-encoding: gzip")
      assert.falsy(get(space, "/api/alerts").head:find "content%-encoding")
      assert.falsy(get(space, IPS, "-H 'Accept-Encoding: gzip'").head:find "content%-encoding")
    end)
  end)

  describe("report", function()
    it("tells the requests in order, and no token", function()
      get(space, IPS .. "?a=%20b", "-H 'Accept-Encoding: gzip' -A spec/1")
      get({ token = space:token_numbered(7) }, "/api/alerts/unknown", nil, simulator.h2_url)
      local first, second = (table.unpack or unpack)(space:requests()) -- luacheck: ignore 143
      assert.same({ "alert_ips", "GET", IPS .. "?a=%20b", "HTTP/1.1", "spec/1", "gzip", 200, "" }, {
        first.operation, first.method, first.raw_uri, first.http_version, first.user_agent, first.accept_encoding,
        first.status, first.token_suffix,
      })
      assert.same({ "alert", "HTTP/2.0", 404, "7" }, {
        second.operation, second.http_version, second.status, second.token_suffix,
      })
      assert.is_true(second.seconds > first.seconds and second.connection ~= first.connection)
      assert.falsy(cjson.encode(space:report()):find("simulator-token", 1, true))
    end)

    it("tells how many requests were in flight at once", function()
      space:fault { delay = 0.3, times = 3 }
      os.execute(("curl --silent --noproxy '*' --parallel %s -H 'Authorization: Bearer %s' '%s?n=[1-3]' >%s 2>&1")
        :format(trusted(), space.token, simulator.url .. IPS, "/dev/null"))
      assert.equal(3, space:report().largest_in_flight)
      assert.equal(0, space:report().in_flight)
    end)

    it("tells which statuses were given, which faults happened, and how many bytes whole answers had", function()
      space:control { faults = {
        { name = "down", status = 503, body = "down" }, { name = "short", truncate = 20 }, { reset = "before" },
        { name = "short", truncate = 1000 }, { reset = "middle" }, { huge = 5000 },
      } }
      local bytes = 0
      for _ = 1, 7 do
        local response = get(space, IPS)
        bytes = bytes + (response.exit == 0 and #response.body or 0)
      end
      bytes = bytes + #get(space, "/api/alerts/unknown").body
      local operations = space:report().operations
      assert.same({ ["0"] = 3, ["200"] = 3, ["503"] = 1 }, operations.alert_ips.statuses)
      assert.same({ down = 1, short = 2 }, operations.alert_ips.faults)
      assert.same({ ["404"] = 1 }, operations.alert.statuses)
      assert.equal(bytes, space:report().bytes)
    end)

    it("tells on how many connections requests came", function()
      for i, name in ipairs { "url", "h2_url", "http_url" } do
        local url = simulator[name] .. IPS
        os.execute(("curl --silent --noproxy '*' %s -H 'Authorization: Bearer %s' '%s?n=[1-3]' >/dev/null")
          :format(trusted(), space.token, url))
        assert.equal(i, space:report().connections)
        assert.equal(3 * i, space:report().operations.alert_ips.requests)
      end
    end)

    it("starts over on reset", function()
      get(space, IPS)
      space:control { denied = { "alert_ips" } }
      space:control { reset = true }
      assert.same({}, space:requests())
      assert.equal(200, get(space, IPS).status)
    end)
  end)

  describe("listeners", function()
    it("speak HTTP/1.1, HTTP/2 and HTTP without TLS", function()
      assert.equal("1.1", get(space, IPS).version)
      assert.equal("2", get(space, IPS, nil, simulator.h2_url).version)
      assert.equal(200, get(space, IPS, nil, simulator.http_url).status)
      assert.equal(200, get(space, IPS, nil, (simulator.url:gsub("127.0.0.1", "localhost"))).status)
    end)

    it("have certificates that must be refused, each for its own reason", function()
      local reasons = { expired_url = "has expired", wrong_host_url = "no alternative certificate subject name",
        unknown_ca_url = "unable to get local issuer" }
      for name, reason in pairs(reasons) do
        local pipe = io.popen("curl --silent --show-error --noproxy '*' " .. trusted(simulator[name]) .. " 2>&1")
        assert.truthy(pipe:read "*a":find(reason, 1, true), name)
        pipe:close()
        assert.equal(200, get(space, IPS, "--insecure", simulator[name]).status)
      end
    end)
  end)

  describe("process", function()
    local script = "sh spec/simulator/simulator.sh "
    local directories

    before_each(function()
      directories = {}
      for i = 1, 4 do
        directories[i] = os.tmpname()
        os.remove(directories[i])
      end
    end)

    after_each(function()
      for _, directory in ipairs(directories) do
        os.execute(script .. "stop " .. directory .. "; rm -rf " .. directory)
      end
    end)

    -- What curl ends with at the simulator in `directory`: 0, or 7 for a refused connection.
    local function asker(directory)
      local file = assert(io.open(directory .. "/env"))
      local url = file:read "*a":match "SIMULATOR_HTTP_URL=(%S+)"
      file:close()
      return function() return fetch(url .. "/_simulator/report").exit end
    end

    it("ends when it is told to", function()
      os.execute(script .. "start " .. directories[1])
      local ask = asker(directories[1])
      assert.equal(0, ask())
      os.execute(script .. "stop " .. directories[1])
      assert.equal(7, ask())
    end)

    it("ends when its owner has ended", function()
      os.execute("sh -c '" .. script .. "start " .. directories[1] .. " $$; true'")
      local ask = asker(directories[1])
      for _ = 1, 50 do
        if ask() ~= 7 then os.execute "sleep 0.1" end
      end
      assert.equal(7, ask())
    end)

    it("starts several at once, each on ports of its own", function()
      local commands = {}
      for i, directory in ipairs(directories) do commands[i] = script .. "start " .. directory .. " & " end
      os.execute(table.concat(commands) .. "wait")
      for _, directory in ipairs(directories) do assert.equal(0, asker(directory)()) end
    end)

    it("does not log the requests of a namespace that wants it so", function()
      local log = simulator.directory .. "/access.log"
      local function lines_of(path)
        get(space, path)
        return select(2, (io.open(log):read "*a"):gsub(path, ""))
      end
      assert.equal(1, lines_of "/api/alerts/logged")
      space:control { access_log = false }
      assert.equal(0, lines_of "/api/alerts/quiet")
    end)

    it("writes no token into its logs", function()
      get(space, IPS)
      local pipe = io.popen("grep -c simulator-token " .. simulator.directory .. "/*.log")
      assert.falsy(pipe:read "*a":find ":[1-9]")
      pipe:close()
    end)
  end)
end)

-- What each status of the service becomes: the error's fields and its words, and whether the call is tried again.

local connect = require "spec.support.connect"
local fault_server = require "spec.support.fault_server"
local simulator = require "spec.support.simulator"

local unpack = table.unpack or unpack -- luacheck: ignore 143

local ALERT = "da637472900382838869_1364969609"
local TARGET = "4f2a0c1e-0000-4000-8000-00000000beef"

-- Makes pauses between attempts short, as the service could.
local SOON = { ["retry-after-ms"] = "10" }

-- operation -> the permission that the documentation names for it
local permissions = {
  alerts = "Alert.Read.All", alert = "Alert.Read.All", alert_ips = "Ip.Read.All", alert_domains = "URL.Read.All",
  alert_files = "File.Read.All", alert_machine = "Machine.Read.All", alert_user = "User.Read.All",
}

describe("status", function()
  local space, client

  setup(simulator.start)

  before_each(function()
    space = simulator.namespace()
    client = connect(space)
  end)

  after_each(function() client:close() end)

  local function reconnect(options)
    client:close()
    client = connect(space, options)
  end

  local function requests() return #space:requests() end

  -- The error of a call.
  local function failed(options)
    local result, err = client:alert_ips(ALERT, options)
    assert.is_nil(result)
    assert.equal("alert_ips", err.operation)
    assert.equal(err.message, tostring(err))
    assert.equal("alert_ips: ", err.message:sub(1, 11))
    return err
  end

  -- The error of a call whose answers all are `fault`, in a namespace that has seen nothing yet.
  local function failure(fault, options)
    fault.times = -1
    space:control { reset = true, faults = { fault } }
    local err = failed(options)
    assert.equal(requests(), err.attempts)
    return err
  end

  -- The errors of one call for each fault.
  local function failures(faults)
    local errors = {}
    space:control { reset = true, faults = faults }
    for i = 1, #faults do
      client:close() -- a 429 would close the operation
      client = connect(space, { max_attempts = 1 })
      errors[i] = failed()
    end
    return errors
  end

  local function says(err, ...)
    for _, words in ipairs { ... } do
      assert.truthy(err.message:find(words, 1, true), ("%q is not in: %s"):format(words, err.message))
    end
  end

  local function is_silent_about(err, ...)
    for _, words in ipairs { ... } do
      for name, value in pairs(err) do
        assert.falsy(tostring(value):find(words, 1, true), ("%q is in %s: %s"):format(words, name, tostring(value)))
      end
    end
  end

  describe("that is final", function()
    local cases = {
      { 400, "http", "BadRequest", "the request was refused (400 BadRequest)" },
      { 401, "auth", "Unauthorized", "refused the token", "Get a new token",
        "audience must be https://api.securitycenter.microsoft.com" },
      { 403, "auth", "Forbidden", "not permitted", "Ip.Read.All" },
      { 404, "not_found", "ResourceNotFound", "the alert was not found", "Check the id", "retention" },
      { 405, "http", "MethodNotAllowed" },
      { 418, "http", "Error418", "(418 Error418)" },
      { 451, "http", "Error451" },
      { 501, "http", "Error501", "the service failed" },
      { 505, "http", "Error505" },
      { 599, "http", "Error599" },
    }
    for _, case in ipairs(cases) do
      local status, kind, code = case[1], case[2], case[3]
      it(("%d becomes %s and is not tried again"):format(status, kind), function()
        local err = failure { status = status, target = TARGET }
        assert.same({ kind, status, code, TARGET, 1, false },
          { err.kind, err.status, err.code, err.target, err.attempts, err.retryable })
        assert.is_nil(err.retry_after)
        says(err, tostring(status), code, unpack(case, 4))
      end)
    end

    it("is reported with the service's own code, message and correlation id", function()
      local err = failure { status = 400, code = "InvalidInput", message = "Alert id is ill-formed", target = TARGET }
      assert.same({ "InvalidInput", TARGET }, { err.code, err.target })
      says(err, "400 InvalidInput", "Alert id is ill-formed")
    end)

    it("is the same over HTTP/2", function()
      reconnect { base_url = simulator.h2_url }
      local err = failure { status = 404, target = TARGET }
      assert.same({ "not_found", 404, "ResourceNotFound", TARGET }, { err.kind, err.status, err.code, err.target })
    end)
  end)

  describe("403", function()
    for operation, permission in pairs(permissions) do
      it("names the permission that " .. operation .. " needs", function()
        space:control { denied = { operation } }
        local result, err = client[operation](client, operation ~= "alerts" and ALERT or nil)
        assert.is_nil(result)
        assert.same({ "auth", 403, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
        says(err, operation .. ": ", "The token needs the permission " .. permission)
      end)
    end

    it("names the permission also where the service does not", function()
      says(failure { status = 403, body = "" }, "The token needs the permission Ip.Read.All", "administrator")
    end)
  end)

  describe("that may pass", function()
    for _, case in ipairs {
      { 408, "RequestTimeout" }, { 500, "InternalServerError" }, { 502, "BadGateway" }, { 503, "ServiceUnavailable" },
      { 504, "GatewayTimeout" },
    } do
      local status, code = case[1], case[2]

      it(status .. " is tried again until the attempts are used up", function()
        local err = failure({ status = status, target = TARGET, headers = SOON }, { max_attempts = 3 })
        assert.same({ "http", status, code, TARGET, 3, true },
          { err.kind, err.status, err.code, err.target, err.attempts, err.retryable })
        assert.equal(0.01, err.retry_after)
        says(err, status .. " " .. code, "after 3 attempts")
      end)

      it(status .. " once does no harm", function()
        space:fault { status = status, headers = SOON }
        assert.equal(2, #client:alert_ips(ALERT))
        assert.equal(2, requests())
        assert.equal(1, client:stats().retries)
      end)

    end

    it("is tried again after a pause of less than half a second if the service names none", function()
      space:fault { status = 503 }
      assert.equal(2, #client:alert_ips(ALERT, { max_attempts = 2 }))
      local first, second = unpack(space:requests())
      assert.is_true(second.seconds - first.seconds < 0.6)
    end)

    it("is tried four times unless the options say otherwise", function()
      assert.equal(4, failure({ status = 503, headers = SOON }).attempts)
    end)

    it("is not tried again when there is one attempt only", function()
      local err = failure({ status = 503 }, { max_attempts = 1 })
      assert.same({ 1, true }, { err.attempts, err.retryable })
      assert.is_nil(err.retry_after)
    end)

    it("is tried again with the client's max_attempts, which a call may override", function()
      reconnect { max_attempts = 2 }
      assert.equal(2, failure({ status = 500, headers = SOON }).attempts)
    end)

    it("shows the last answer's status when they differ", function()
      space:control { faults = { { status = 503, headers = SOON }, { status = 404 } } }
      local _, err = client:alert_ips(ALERT)
      assert.same({ "not_found", 404, 2 }, { err.kind, err.status, err.attempts })
    end)
  end)

  describe("429", function()
    local quota_exceeded = "API calls quota exceeded! maximum allowed 45 per 00:01:00"

    for _, code in ipairs { "429", "TooManyRequests" } do
      it("with the code " .. code .. " and Retry-After becomes rate_limited and says when to try again", function()
        local fault = { status = 429, code = code, message = quota_exceeded, target = TARGET,
          headers = { ["Retry-After"] = "17" } }
        local err = failure(fault, { max_attempts = 1 })
        assert.same({ "rate_limited", 429, code, TARGET, 1, true, 17 },
          { err.kind, err.status, err.code, err.target, err.attempts, err.retryable, err.retry_after })
        says(err, "limit for this operation is used up", "maximum allowed 45 per 00:01:00", "Try again in 17 s")
      end)

      it("with the code " .. code .. " and no Retry-After becomes rate_limited", function()
        local err = failure({ status = 429, code = code, target = TARGET }, { max_attempts = 1 })
        assert.same({ "rate_limited", 429, code, 1, true },
          { err.kind, err.status, err.code, err.attempts, err.retryable })
        assert.is_nil(err.retry_after)
      end)
    end

    it("is tried again when the service says so, and not before", function()
      space:fault { status = 429, headers = { ["retry-after-ms"] = "300" } }
      assert.equal(2, #client:alert_ips(ALERT))
      local first, second = unpack(space:requests())
      local pause = second.seconds - first.seconds
      assert.is_true(pause > 0.298 and pause < 0.6, "a pause of " .. pause) -- clocks count whole milliseconds
      assert.equal(1, client:stats().throttled)
    end)

    it("is heard in milliseconds, too", function()
      for _, name in ipairs { "retry-after-ms", "x-ms-retry-after-ms" } do
        local errors = failures { { status = 429, headers = { [name] = "1500", ["Retry-After"] = "60" } } }
        assert.equal(1.5, errors[1].retry_after)
      end
    end)

    it("is heard as a date, which the service's own clock is asked about", function()
      local dates = { "Sun, 06 Nov 1994 08:49:57 GMT", "Sunday, 06-Nov-94 08:49:57 GMT", "Sun Nov  6 08:49:57 1994" }
      for _, date in ipairs(dates) do
        local headers = { ["Retry-After"] = date, Date = "Sun, 06 Nov 1994 08:49:37 GMT" }
        assert.equal(20, failures { { status = 429, headers = headers } }[1].retry_after, date)
      end
    end)

    it("is not obeyed where its Retry-After is garbage", function()
      for _, garbage in ipairs { "soon", "-5", "", "1e3", "0x10", ("9"):rep(100), "Sun, 99 Nov 1994 08:49:57 GMT" } do
        assert.is_nil(failures { { status = 429, headers = { ["Retry-After"] = garbage } } }[1].retry_after, garbage)
      end
    end)

    it("is not waited out for more than an hour", function()
      local err = failure({ status = 429, headers = { ["Retry-After"] = "86400" } }, { max_attempts = 1 })
      assert.equal(3600, err.retry_after)
    end)

    it("closes the operation for the client's other calls, and leaves other operations open", function()
      failure({ status = 429, headers = { ["Retry-After"] = "30" } }, { max_attempts = 1 })
      space:control { faults = false }
      local result, err = client:alert_ips("another", { budget = 1 })
      assert.is_nil(result)
      assert.equal("rate_limited", err.kind)
      assert.equal(0, err.attempts)
      assert.is_true(err.retry_after > 28 and err.retry_after <= 30)
      assert.equal(1, requests())
      assert.equal(ALERT, client:alert(ALERT, { budget = 1 }).id)
    end)
  end)

  describe("redirect", function()
    local target

    setup(function()
      target = fault_server.start()
      target:play { { "read" } }
    end)
    teardown(function() target:stop() end)

    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      it(status .. " is not followed", function()
        local location = target.url .. "/api/alerts/secret?code=s3cr3t"
        local err = failure { status = status, headers = { Location = location } }
        assert.same({ "http", status, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
        says(err, "redirect, which is not followed", "base_url")
        is_silent_about(err, "s3cr3t")
        assert.equal(0, target:connections())
      end)
    end

    it("without a Location is an error as well", function()
      for _, status in ipairs { 300, 304 } do
        local err = failure { status = status }
        assert.same({ "http", status }, { err.kind, err.status })
      end
    end)
  end)

  it("2xx other than 200 counts as success where the body is right", function()
    for _, status in ipairs { 201, 203, 299 } do
      space:fault { status = status, body = '{"value":[{"id":"192.0.2.1"}]}' }
      assert.same({ { id = "192.0.2.1" } }, client:alert_ips(ALERT))
    end
  end)

  describe("error body", function()
    local bodies = {
      ["of HTML"] = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
      ["that is empty"] = "",
      ["that is blank"] = " \r\n ",
      ["that is text"] = "upstream connect error",
      ["that is cut off"] = '{"error":{"code":"Inter',
      ["with a byte-order mark"] = '\239\187\191{"error":{"code":"X","message":"Y"}}',
      ["that is a JSON string"] = '"error"',
      ["that is a JSON number"] = "42",
      ["that is null"] = "null",
      ["that is an array"] = '[{"error":{"code":"X"}}]',
      ["that is an empty object"] = "{}",
      ["whose error is a string"] = '{"error":"invalid_token","error_description":"AADSTS"}',
      ["whose error is a number"] = '{"error":500}',
      ["whose error is null"] = '{"error":null}',
      ["whose error is an array"] = '{"error":["code","message"]}',
      ["whose error is empty"] = '{"error":{}}',
      ["whose fields are null"] = '{"error":{"code":null,"message":null,"target":null}}',
      ["whose fields are of other types"] = '{"error":{"code":500,"message":{"lang":"en"},"target":[1]}}',
      ["whose fields are empty"] = '{"error":{"code":"","message":"","target":""}}',
      ["that is nested deeply"] = '{"error":' .. ("["):rep(1000) .. ("]"):rep(1000) .. "}",
    }
    local kinds = { [400] = "http", [401] = "auth", [404] = "not_found", [429] = "rate_limited", [500] = "http" }
    for name, body in pairs(bodies) do
      it(name .. " leaves the status's kind", function()
        local faults = {}
        for status in pairs(kinds) do faults[#faults + 1] = { status = status, body = body } end
        for i, err in ipairs(failures(faults)) do
          assert.same({ faults[i].status, kinds[err.status] }, { err.status, err.kind })
          assert.is_nil(err.code)
          assert.is_nil(err.target)
          says(err, tostring(err.status))
        end
      end)
    end

    it("with only some of its fields gives those", function()
      local err = failure { status = 400, body = '{"error":{"code":"InvalidInput","innererror":{"x":1}}}' }
      assert.equal("InvalidInput", err.code)
      assert.is_nil(err.target)
      says(err, "(400 InvalidInput).")
    end)

    it("of many words is shortened", function()
      local err = failure { status = 400, message = ("word "):rep(20000) }
      says(err, "word word", "...")
      assert.is_true(#err.message < 1000)
    end)

    it("with a code of many words does not flood the message", function()
      local err = failure { status = 400, code = ("C"):rep(20000) }
      assert.is_true(#err.message < 2048)
    end)

    it("with control characters does not disturb a terminal", function()
      local message = "line 1\r\nline 2\27]0;title\7\127 \194\155 end"
      local err = failure { status = 400, code = "A\27[31mB", message = message }
      assert.falsy(err.message:find "%c")
      assert.falsy(err.message:find("\194\155", 1, true)) -- CSI as one character
      says(err, "line 1", "line 2", "end")
    end)

    it("with NUL in its message is read to the end", function()
      says(failure { status = 400, body = '{"error":{"code":"X","message":"before\\u0000after"}}' }, "before", "after")
    end)
  end)

  describe("message", function()
    it("has no query string, even if the service repeats the address", function()
      space:fault { status = 400,
        message = "GET https://api.example/api/alerts?$filter=title+eq+'s3cr3t'&$top=5 is not understood" }
      local _, err = client:alerts { filter = "title eq 's3cr3t'", top = 5 }
      says(err, "GET https://api.example/api/alerts?...")
      is_silent_about(err, "s3cr3t", "$filter", "$top")
    end)

    it("has no query string in whatever form the service repeats it", function()
      local echoes = {
        "cannot route '/api/alerts?$filter=s3cr3t' here", "bad: /api/alerts?$filter=title eq 's3cr3t'",
        "(https://api.example/api/alerts?$filter=contains(title,'s3cr3t'))", "<a href=\"/x?a=b&q=s3cr3t\">here</a>",
        "/api/alerts('x')?$filter=s3cr3t", "/x?a=\"s3cr3t\"", "/x?a=b?s3cr3t",
      }
      local faults = {}
      for i, echo in ipairs(echoes) do faults[i] = { status = 400, message = echo } end
      for _, err in ipairs(failures(faults)) do
        says(err, "?...")
        is_silent_about(err, "s3cr3t")
      end
    end)

    it("keeps question marks that begin no query", function()
      says(failure { status = 400, message = "Who are you? Read a/b." }, "Who are you? Read a/b.")
    end)

    it("never has the token, even if the service repeats it", function()
      local faults = {}
      for _, field in ipairs { "code", "message", "target" } do
        for _, status in ipairs { 400, 401, 403, 404, 418, 429, 500 } do
          faults[#faults + 1] = { status = status, [field] = "token " .. space.token .. " in it" }
        end
      end
      for i, err in ipairs(failures(faults)) do
        assert.equal(faults[i].status, err.status)
        is_silent_about(err, space.token)
      end
    end)

    -- The bug: a refused token was forgotten first, and its echo then no longer recognized.
    it("never has the token of a function, even if the service refuses and repeats it", function()
      local asked = 0
      reconnect { token = function()
        asked = asked + 1
        return space:token_numbered(asked)
      end }
      for number = 2, 6, 2 do
        local err = failure { status = 401, message = ("refused: Bearer %s."):format(space:token_numbered(number)) }
        assert.same({ "auth", 2 }, { err.kind, err.attempts })
        assert.equal(number, asked)
        is_silent_about(err, space:token_numbered(number))
      end
    end)

    it("never has the token in an HTML page of a proxy", function()
      local page = "<html>Authorization: Bearer " .. space.token .. "</html>"
      is_silent_about(failure { status = 400, body = page }, space.token)
    end)

    it("never has the token or the query of the page that failed", function()
      space:fault { operation = "alerts", next_link = simulator.url .. "/api/alerts?$skiptoken=s3cr3t" }
      space:fault { operation = "alerts", status = 418, message = space.token .. " ?$skiptoken=s3cr3t" }
      local _, err = client:alerts()
      assert.equal(418, err.status)
      assert.equal(2, err.attempts)
      is_silent_about(err, space.token, "s3cr3t")
    end)
  end)

  it("errors are counted", function()
    space:control { faults = { { status = 404 }, { status = 503, headers = SOON, times = 2 } } }
    failed()
    failed { max_attempts = 2 }
    local stats = client:stats()
    assert.same({ 2, 3, 1, 2 }, { stats.calls, stats.attempts, stats.retries, stats.errors })
  end)
end)

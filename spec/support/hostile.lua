--- What the hostile specs share: a fault server, and what must hold after each thing that it does to a client.
--
--     local hostile = require "spec.support.hostile"
--     local network = hostile.network()                       in setup; network:stop() in teardown
--     network:meets({ { "expect" }, { "reset" } }, "network")      that kind, one request sent; the next call works
--     network:meets({ { "expect" }, { "send", hostile.ANSWER } }, "ok")
--     local kind, bytes = network:growth(script)              of a process that meets it
--     network:meets(script, "timeout", { sent = 0, timeout = 0.2 })   what else is expected, and the client's options
--
-- Each call has one attempt. The next one meets network.goes_on on the same connection, or network.friend on a new one.
local assert = require "luassert"
local fault_server = require "spec.support.fault_server"
local growth = require "spec.support.growth"
local mde = require "mde"
local simulator = require "spec.support.simulator"
local stopwatch = require "spec.support.stopwatch"

local hostile = {}

hostile.BODY = '{"value":[{"id":"192.0.2.1"}]}'
hostile.LENGTH = "Content-Length: " .. #hostile.BODY .. "\r\n"
hostile.OK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
hostile.ANSWER = hostile.OK .. hostile.LENGTH .. "\r\n" .. hostile.BODY

local TIMEOUT, GRACE = 2, 1 -- seconds for an attempt, and what may be added to them on a busy machine

--- A server's, of spec/simulator/certificates.sh, for { "tls", ... }; simulator.start() first. `more`: other settings.
function hostile.certificate(name, more)
  local directory = simulator.directory
  local all = { certificate = ("%s/%s.pem"):format(directory, name), key = directory .. "/server.key" }
  for option, value in pairs(more or {}) do all[option] = value end
  return all
end

--- The actions of both scripts.
function hostile.joined(one, other)
  local all = {}
  for _, list in ipairs { one, other } do
    for _, action in ipairs(list) do all[#all + 1] = action end
  end
  return all
end

local Network = {}
Network.__index = Network

function hostile.network()
  local server = fault_server.start()
  local talk = { { "expect" }, { "send", hostile.ANSWER } }
  return setmetatable({ server = server, options = { base_url = server.url }, friend = talk, goes_on = talk }, Network)
end

function Network:stop() self.server:stop() end

--- A client of the server, with a single attempt unless the options say otherwise.
function Network:client(options)
  local all = { token = "token-of-spec", proxy = "", rate_limit = false, max_attempts = 1, timeout = TIMEOUT }
  for name, value in pairs(self.options) do all[name] = value end
  for name, value in pairs(options or {}) do all[name] = value end
  return mde.client(all)
end

local function is_answer(result)
  assert.same({ { id = "192.0.2.1" } }, result)
end

-- The retryable kinds, of those that a network can bring about.
local passes = { network = true, timeout = true, too_large = false, json = false, tls = false }

local function fails(err, kind, sent)
  assert.same({ kind, sent, passes[kind] }, { err.kind, err.attempts, err.retryable }, err.message)
  if kind ~= "json" then assert.is_nil(err.status) end
end

-- What of the options is not the client's.
local function split(options)
  local own, rest = { sent = 1 }, {}
  for name, value in pairs(options or {}) do
    if name == "sent" then own.sent = value else rest[name] = value end
  end
  return own, rest
end

--- The script to the next connection, until it goes on, and friendship to all others. What the client still has to say
-- is read: to close before would reset the connection, and an answer that is under way.
function Network:plays(script)
  local rest = { { "drain" } }
  self.server:play(hostile.joined(hostile.joined(script, self.goes_on), rest), hostile.joined(self.friend, rest))
end

--- The outcome of one call that meets the script, which is checked; and of the next, which must be the answer. Returns
-- the error, if that was expected.
function Network:meets(script, outcome, options)
  local own, of_client = split(options)
  self:plays(script)
  local client = self:client(of_client)
  local seconds, result, err = stopwatch.time(function() return client:alert_ips "da1" end)
  if outcome == "ok" then is_answer(assert(result)) else assert.is_nil(result) end
  if err then fails(err, outcome, own.sent) end
  assert.is_true(seconds <= (of_client.timeout or TIMEOUT) + GRACE, seconds .. " s")
  is_answer(assert(client:alert_ips("da1", { timeout = TIMEOUT })))
  client:close()
  return err
end

--- The script, an answer of 503, tells of no Retry-After where one counts.
function Network:heeds_no_retry_after(script)
  self.server:play(script)
  local client = self:client()
  local _, err = client:alert_ips "da1"
  assert.same({ "http", 503 }, { err.kind, err.status })
  assert.is_nil(err.retry_after)
  client:close()
end

--- What one call comes to that meets the script on a kept connection, and how many bytes of memory it takes at most.
function Network:growth(script, call)
  self.server:play(hostile.joined(self.friend, script))
  local got = growth.of_call(self.options, call)
  return got.kind, got.grown
end

return hostile

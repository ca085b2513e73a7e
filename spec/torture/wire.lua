--- The scenarios that need libcurl: real HTTP and TLS, against the simulator. Nothing is tried twice, so that no pause
-- is real.
local mde = require "mde"
local answers = require "spec.torture.answers"
local simulator = require "spec.support.simulator"
local shell = require "spec.support.shell"

local ALERT = "da637472900382838869_1364969609"

simulator.start()

local space = simulator.namespace()
space:control{ reset = true, limits = false }
space:register{ certificates = { shell.read(answers.certificate_file) } }

local function client(options)
  local all = { base_url = simulator.url, ca_file = simulator.ca_file, timeout = 3 }
  all.rate_limit, all.max_attempts = false, 1
  for name, value in pairs(options) do all[name] = value end
  return mde.client(all)
end

local function account(more)
  more.tenant_id, more.client_id, more.authority = space.tenant_id, space.client_id, space:authority()
  return client(more)
end

return function(one_client, must, fails)
  local scenarios = {}

  local function ask(one) must(one:alert_ips(ALERT)) end

  local function scenario(make) return one_client(make, ask) end

  scenarios.http = scenario(function() return client{ token = space.token, base_url = simulator.http_url } end)
  scenarios.https = scenario(function() return client{ token = space.token } end)
  scenarios.http_2 = scenario(function() return client{ token = space.token, http_version = "2" } end)
  scenarios.secret_endpoint = scenario(function() return account{ client_secret = space.client_secret } end)
  scenarios.certificate_endpoint = scenario(function()
    return account{ certificate = answers.certificate_file, private_key = answers.key_file }
  end)

  scenarios.many_at_once = one_client(function()
    return client{ token = space.token, concurrency = 3 }
  end, function(one)
    local ids = {}
    for _, alert in ipairs(must(one:alerts{ top = 3, max_items = 3 })) do ids[#ids + 1] = alert.id end
    for _, value, err in one:each("alert_ips", ids) do must(value, err) end
  end)

  -- What watches descriptors by their number has to grow between the first connection and the second.
  scenarios.high_descriptors = {
    make = function()
      local context = { client = client{ token = space.token, base_url = simulator.http_url, concurrency = 2 } }
      must(context.client:alert_ips(ALERT))
      for i = 1, 70 do context[i] = assert(io.open "/dev/null") end
      return context
    end,
    use = function(context)
      local one = context.client
      local calls = { must(one:start("alert_ips", ALERT)), must(one:start("alert", ALERT)) }
      repeat until must(one:step(1)) == 0
      for _, call in ipairs(calls) do must(call:result()) end
    end,
    close = function(context)
      context.client:close()
      while #context > 0 do table.remove(context):close() end
    end,
  }

  scenarios.refused = one_client(function() return client{ token = space.token, base_url = "https://127.0.0.1:1" } end,
    function(one) fails("network", one:alert_ips(ALERT)) end)

  scenarios.no_authority = one_client(function()
    return client{ token = space.token, ca_file = answers.certificate_file }
  end, function(one) fails("tls", one:alert_ips(ALERT)) end)

  scenarios.on_the_wire = {
    make = function() return client{ token = space.token } end,
    use = function(one)
      local call = must(one:start("alert_ips", ALERT))
      must(one:start("alert", ALERT))
      must(one:step(0.001))
      must(one:pollable())
      call:cancel()
      local value, err = call:result() -- it may have been done
      if not value then fails("cancelled", value, err) end
    end,
  }

  --- 0: it went well. 2: it failed as it may.
  local function ask_in_child(one)
    local ok, value, err = pcall(one.alert_ips, one, ALERT)
    one:close()
    if ok then return value and 0 or err.kind and 2 or 1 end
    return tostring(value):find("not enough memory", 1, true) and 2 or 1
  end

  -- Whatever fails in the child, the parent's connection stands.
  scenarios.forked = one_client(function()
    local one = client{ token = space.token }
    must(one:alert_ips(ALERT))
    return one
  end, function(one)
    must(one:alert_ips(ALERT))
    local connections = must(one:stats()).connections
    local status = in_child(function() return ask_in_child(one) end) -- luacheck: ignore 113
    must(one:alert_ips(ALERT))
    if one:stats().connections ~= connections then error("WRONG: the connection was disturbed", 0) end
    if status ~= 0 then error(status == 2 and "network: the child's call failed" or "WRONG: the child", 0) end
  end)

  return scenarios
end

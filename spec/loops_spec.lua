-- The examples for event loops: they do what they say, and they sleep while they wait.
local on_cpu = require "spec.support.on_cpu"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local system = require "system"

local examples = { "examples/loop_coroutines.lua", "examples/loop_luv.lua", "examples/loop_cqueues.lua" }

local ALERT = "da637472900382838869_1364969609"
local ADDRESSES = {
  [ALERT] = { "104.80.104.128", "23.203.232.228" },
  ["da637308392288907382_-880718168"] = { "23.203.232.228", "198.51.100.7", "2001:db8:85a3::8a2e:370:7334" },
  ["da637594113580412977_1905837754"] = {},
  ["custom/alert/2"] = { "192.0.2.22" },
}

local CPU_MAX = 0.01
local WAIT = 3 -- seconds that the server lets wait; some of them are measured
local MEASURED = 2

-- Several calls wait at once, in what makes a client wait for long.
local waits = {
  { "for a slow server", fault = { delay = WAIT, times = -1 } },
  { "for the time that Retry-After names", fault = { status = 429, headers = { ["Retry-After"] = tostring(WAIT) } } },
}

local function command(space, example, ids)
  local words = {}
  for i, id in ipairs(ids) do words[i] = shell.quote(id) end
  return ("env MDE_TOKEN=%s MDE_BASE_URL=%s MDE_CA_FILE=%s %s %s %s"):format(space.token, simulator.url,
    simulator.ca_file, shell.interpreter(), example, table.concat(words, " "))
end

-- Status, and the lines of both outputs, sorted.
local function run(command_line)
  local _, text = shell.run(command_line .. "; echo status $?")
  local lines = shell.lines(text)
  local status = table.remove(lines):match "^status (%d+)$"
  table.sort(lines)
  return tonumber(status), lines
end

local function expected_lines(ids)
  local lines = {}
  for _, id in ipairs(ids) do
    for _, address in ipairs(ADDRESSES[id]) do lines[#lines + 1] = id .. "\t" .. address end
  end
  table.sort(lines)
  return lines
end

local function known_ids()
  local ids = {}
  for id in pairs(ADDRESSES) do ids[#ids + 1] = id end
  return ids
end

for _, example in ipairs(examples) do
  describe(example .. " #examples", function()
    local space

    setup(simulator.start)
    before_each(function() space = simulator.namespace() end)

    it("prints the addresses of all alerts", function()
      local ids = known_ids()
      local status, lines = run(command(space, example, ids))
      assert.same(expected_lines(ids), lines)
      assert.equal(0, status)
    end)

    it("asks for all at once", function()
      space:fault{ delay = 0.4, times = -1 }
      assert.equal(0, (run(command(space, example, known_ids()))))
      assert.equal(#known_ids(), space:report().largest_in_flight)
    end)

    it("goes on where an alert is not there, and tells so", function()
      local status, lines = run(command(space, example, { "nope", ALERT }))
      assert.matches("^nope: .*not found", table.remove(lines))
      assert.same(expected_lines{ ALERT }, lines)
      assert.equal(1, status)
    end)

    it("waits and tries again by itself", function()
      space:fault{ status = 503, headers = { ["Retry-After"] = "1" } }
      local status, lines = run(command(space, example, { ALERT }))
      assert.same(expected_lines{ ALERT }, lines)
      assert.equal(0, status)
    end)

    it("wants a token and an id", function()
      assert.equal(2, (run(command(space, example, {}))))
      assert.equal(2, (run("MDE_TOKEN= " .. shell.interpreter() .. " " .. example .. " x")))
    end)

    for _, wait in ipairs(waits) do
      it("sleeps while it waits " .. wait[1] .. " #timing", function()
        space:fault(wait.fault)
        local pipe = assert(io.popen("echo $$; exec " .. command(space, example, known_ids())))
        local pid = pipe:read "*l"
        local report
        repeat
          system.sleep(0.05)
          report = space:report()
        until report.in_flight >= #known_ids() or (report.operations.alert_ips or { requests = 0 }).requests > 0
        system.sleep(0.3)
        local share = on_cpu.share(pid, MEASURED)
        local lines = shell.lines(pipe:read "*a")
        pipe:close()
        table.sort(lines)
        assert.same(expected_lines(known_ids()), lines)
        assert.is_true(share < CPU_MAX, ("%.2f %%"):format(share * 100))
      end)
    end
  end)
end

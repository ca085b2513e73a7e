-- examples/enrich.lua, as people use it: on files and pipes, broken off and resumed.

-- It takes long, and these two have nothing that the others have not.
if _VERSION == "Lua 5.2" or _VERSION == "Lua 5.3" then return end

local cjson = require "cjson"
local mde = require "mde"
local on_cpu = require "spec.support.on_cpu"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local system = require "system"

local SCRIPT = "examples/enrich.lua"
local ALERT = "da637472900382838869_1364969609"
local ADDRESSES = {
  [ALERT] = { "104.80.104.128", "23.203.232.228" },
  ["da637594113580412977_1905837754"] = {},
  ["custom/alert/2"] = { "192.0.2.22" },
  ["ålarm-日本_1"] = { "2001:db8::28" },
}

local CPU_MAX = 0.01

local all_ids -- of the simulator's first alerts

local function some_ids(count)
  if not all_ids then
    local client = mde.client{
      base_url = simulator.url, ca_file = simulator.ca_file, proxy = "", token = simulator.namespace().token,
    }
    all_ids = {}
    for i, alert in ipairs(assert(client:alerts{ max_items = 40 })) do all_ids[i] = alert.id end
    client:close()
  end
  local ids = {}
  for i = 1, count do ids[i] = all_ids[i] end
  return ids
end

local function known_ids()
  local ids = {}
  for id in pairs(ADDRESSES) do ids[#ids + 1] = id end
  return ids
end

-- Each test has a folder and a namespace of its own.
local directory, space, token

local function path(name) return directory .. "/" .. name end

local function write(name, text)
  local file = assert(io.open(path(name), "wb"))
  file:write(text)
  file:close()
end

local function write_ids(ids) write("ids", table.concat(ids, "\n") .. "\n") end

local function exists(name)
  local file = io.open(path(name))
  if file then file:close() end
  return file ~= nil
end

local function environment()
  return ("env MDE_TOKEN=%s MDE_BASE_URL=%s MDE_CA_FILE=%s"):format(token, simulator.url, simulator.ca_file)
end

-- Arguments with %s for the folder, as in "-o %s/out %s/ids"; `code` runs before the script.
local function command(arguments, code)
  return ("%s %s %s %s %s"):format(environment(), shell.interpreter(), code and "-e " .. shell.quote(code) or "",
    SCRIPT, (arguments:gsub("%%s", directory)))
end

-- Status, standard output, standard error. Reads what the command `from` prints.
local function run(arguments, code, from)
  local whole = (from and from:gsub("%%s", directory) .. " | " or "") .. command(arguments, code)
  local _, status = shell.run(("%s >%s 2>%s; echo $?"):format(whole, path "stdout", path "stderr"))
  return tonumber(status), shell.read(path "stdout"), shell.read(path "stderr")
end

local function records(text)
  local list = {}
  assert.matches("^$", text:match "[^\n]*$", "the last line has no end")
  for _, line in ipairs(shell.lines(text)) do list[#list + 1] = cjson.decode(line) end
  return list
end

-- id -> its addresses or error; each id once.
local function by_id(text)
  local map = {}
  for _, record in ipairs(records(text)) do
    assert.is_nil(map[record.id], record.id .. " is there twice")
    map[record.id] = record.ips or record.error
  end
  return map
end

local function requests()
  local operations = space:report().operations
  return operations.alert_ips and operations.alert_ips.requests or 0
end

local function count(map)
  local number = 0
  for _ in pairs(map) do number = number + 1 end
  return number
end

-- How often each id was asked for.
local function asked()
  local times = {}
  for _, request in ipairs(space:requests()) do
    times[request.id] = (times[request.id] or 0) + 1
  end
  return times
end

describe(SCRIPT .. " #examples", function()
  setup(simulator.start)

  before_each(function()
    directory, space = shell.temporary_directory(), simulator.namespace()
    token = space.token
  end)

  after_each(function() shell.must("rm -rf " .. directory) end)

  it("writes a line for each alert of a file", function()
    write("ids", "\n  " .. table.concat(known_ids(), " \r\n\n\t") .. "  ") -- no end of the last line
    local status, output, complaints = run "%s/ids"
    assert.same(ADDRESSES, by_id(output))
    assert.equal("", complaints)
    assert.equal(0, status)
  end)

  it("reads standard input, and nothing is an array, too", function()
    write_ids{ "da637594113580412977_1905837754" }
    for _, arguments in ipairs{ "<%s/ids", "- <%s/ids" } do
      local status, output = run(arguments)
      assert.equal('{"id":"da637594113580412977_1905837754","ips":[]}\n', output)
      assert.equal(0, status)
    end
    assert.equal(0, (run "</dev/null"))
  end)

  it("asks for as many at once as it is told", function()
    write_ids(some_ids(12))
    space:fault{ delay = 0.1, times = -1 }
    assert.equal(0, (run "-c 3 %s/ids"))
    assert.equal(3, space:report().largest_in_flight)
  end)

  it("tells what has failed, and goes on", function()
    write_ids{ "nope", "..", "a\1b", ALERT }
    local status, output, complaints = run "%s/ids"
    local map = by_id(output)
    assert.equal("not_found", map.nope.kind)
    assert.matches("was not found", map.nope.message)
    assert.equal("argument", map[".."].kind)
    assert.equal("argument", map["a\1b"].kind)
    assert.same(ADDRESSES[ALERT], map[ALERT])
    assert.matches("3 of 4 alerts have failed", complaints)
    assert.equal(1, status)
  end)

  it("uses the quota of a file", function()
    write_ids(some_ids(3))
    assert.equal(0, (run "-q %s/quota %s/ids"))
    local quota = mde.quota{ path = path "quota" }
    assert.equal(97, (quota:remaining "alert_ips")[60])
    quota:close()
  end)

  describe("resumed", function()
    it("asks for nothing that is answered, and again for what has failed if it is told", function()
      write_ids(known_ids())
      space:fault{ status = 404, id = ALERT }
      assert.equal(1, (run "-o %s/out %s/ids"))
      assert.equal(4, requests())
      local before = shell.read(path "out")

      local status, _, complaints = run "-o %s/out %s/ids"
      assert.equal(1, status)
      assert.matches("1 of 4 alerts have failed; .* %-r ", complaints)
      assert.equal(4, requests())
      assert.equal(before, shell.read(path "out"))

      for _ = 1, 2 do assert.equal(0, (run "-r -o %s/out %s/ids")) end
      assert.equal(5, requests())
      assert.equal(0, (run "-o %s/out %s/ids"))
      local added = shell.read(path "out"):sub(#before + 1)
      assert.same({ [ALERT] = ADDRESSES[ALERT] }, by_id(added))
    end)

    -- Ends the script by the signal as soon as some answers are written; then it is run once more.
    local function broken_off(signal, expected_status)
      local CONCURRENCY, WRITTEN = 2, 4
      local ids = some_ids(14)
      write_ids(ids)
      space:fault{ delay = 0.08, times = -1 }
      local interruptible = ("echo $$; exec %s 2>%s"):format(
        command(("-c %d -o %%s/out %%s/ids"):format(CONCURRENCY)), path "complaints")
      local pipe = assert(io.popen(("exec 2>/dev/null; sh -c %s; echo status $?"):format(shell.quote(interruptible))))
      local pid = pipe:read "*l"
      repeat system.sleep(0.01) until exists "out" and #shell.lines(shell.read(path "out")) >= WRITTEN
      shell.must("kill -" .. signal .. " " .. pid)
      assert.equal("status " .. expected_status, pipe:read "*a":match "status %d+")
      pipe:close()
      local before = by_id(shell.read(path "out"))
      assert.is_true(count(before) < #ids)

      space:control{ faults = false }
      assert.equal(0, (run "-o %s/out %s/ids"))
      local map = by_id(shell.read(path "out"))
      assert.equal(#ids, count(map))
      local twice = 0
      for id, times in pairs(asked()) do
        if times > 1 then
          twice = twice + 1
          assert.is_nil(before[id], "asked again, though it was written")
        end
      end
      assert.is_true(twice <= CONCURRENCY, twice .. " were asked twice")
    end

    it("after Ctrl-C loses nothing", function()
      broken_off("INT", 130)
      assert.equal("enrich: interrupted\n", shell.read(path "complaints"))
    end)

    it("after SIGKILL loses nothing", function() broken_off("KILL", 137) end)

    it("cuts off a torn last line, and asks again", function()
      local line = ('{"id":"%s","ips":["198.51.100.1"]}'):format(ALERT)
      local other = "custom/alert/2"
      write_ids{ ALERT, other }
      for _, torn in ipairs{ "{", '{"id":"custom', '{"id":"custom\\/alert\\/2","ips":[' } do
        write("out", line .. "\n" .. torn)
        assert.equal(0, (run "-o %s/out %s/ids"))
        assert.same({ [ALERT] = { "198.51.100.1" }, [other] = ADDRESSES[other] }, by_id(shell.read(path "out")))
        assert.is_false(exists "out.part")
      end
      write("out", line)
      assert.equal(0, (run "-o %s/out %s/ids"))
      assert.same({ [ALERT] = ADDRESSES[ALERT], [other] = ADDRESSES[other] }, by_id(shell.read(path "out")))
      assert.same({ [ALERT] = 1, [other] = 4 }, asked())
    end)

    it("does not touch a file of somebody else's", function()
      local whole = '{"id":"x","ips":[]}\n'
      write_ids{ ALERT }
      for text, number in pairs{ [ALERT .. "\n"] = 1, [ALERT] = 1, ["{}\n"] = 1, [whole .. '{"id":"y"}\n'] = 2,
                                 [whole .. "y"] = 2, ["[1]\n"] = 1, [whole .. "\n"] = 2 } do
        write("out", text)
        local status, _, complaints = run "-o %s/out %s/ids"
        assert.equal(2, status)
        assert.matches("line " .. number .. " was not written by this program", complaints)
        assert.equal(text, shell.read(path "out"))
      end
      assert.equal(0, requests())
    end)
  end)

  it("leaves what a refused token could not ask, and stops at once", function()
    local ids = some_ids(12)
    write_ids(ids)
    token = space:token_numbered(1)
    space:control{ revoked = { token } }
    local status, _, complaints = run "-c 2 -o %s/out %s/ids"
    assert.equal(1, status)
    assert.matches("^enrich: alert_ips: .*401", complaints)
    assert.is_true(requests() <= 2, requests() .. " requests")
    assert.equal("", shell.read(path "out"))
    token = space:token_numbered(2)
    assert.equal(0, (run "-o %s/out %s/ids"))
    assert.equal(#ids, count(by_id(shell.read(path "out"))))
  end)

  it("says what is wrong with the command line or the files", function()
    write_ids{ ALERT }
    local wrong = {
      ["-x %s/ids"] = "what is %-x", ["%s/ids %s/ids"] = "what is .*usage:", ["-o"] = "%-o needs a value",
      ["-c 0 %s/ids"] = "%-c: a whole number", ["-c 1.5 %s/ids"] = "%-c: ", ["-c many %s/ids"] = "not many",
      ["%s/none"] = "none: No such file", ["%s"] = "Is a directory", ["-o %s %s/ids"] = "Is a directory",
      ["-o %s/none/out %s/ids"] = "none/out: No such file", ["-q %s/none/q %s/ids"] = "none/q",
    }
    for arguments, message in pairs(wrong) do
      local status, output, complaints = run(arguments)
      assert.equal(2, status, arguments)
      assert.equal("", output)
      assert.matches("^enrich: .*" .. message, complaints)
    end
    assert.equal(0, requests())
    token = ""
    local status, _, complaints = run "%s/ids"
    assert.equal(2, status)
    assert.matches("MDE_TOKEN is not set", complaints)
  end)

  it("says that its lines cannot be written", function()
    write_ids{ ALERT }
    local status, _, complaints = run "-o /dev/full %s/ids"
    assert.equal(1, status)
    assert.matches("cannot be written: .*No space", complaints)
  end)

  describe("has a progress line", function()
    local WORDS = "failed 1, %d+%.%d/s, quota left %d+"

    it("on a terminal only", function()
      write_ids{ ALERT, "nope" }
      local text = select(2, shell.run(("script -qec %s /dev/null </dev/null"):format(
        shell.quote(command "-o %s/out %s/ids"))))
      assert.matches("\rdone 2 of 2, " .. WORDS, text)
      assert.falsy(select(3, run "%s/ids"):find("done", 1, true))
    end)

    it("that can be forced, and knows how many a file holds", function()
      write_ids{ ALERT, "", "nope", "custom/alert/2" }
      local complaints = select(3, run "--progress %s/ids")
      assert.matches("\rdone 3 of 3, " .. WORDS .. ", 0:00:00 left\27%[K\n", complaints)
      assert.matches("\rdone 3 of 3, " .. WORDS, (select(3, run "--progress <%s/ids")))
      assert.matches("\rdone 3, " .. WORDS .. "\27", (select(3, run("--progress", nil, "cat %s/ids"))))
    end)

    it("that moves a few times a second at most, and tells what is waited for", function()
      write_ids(some_ids(30))
      space:fault{ status = 503, headers = { ["Retry-After"] = "1" } }
      local complaints = select(3, run "--progress -c 1 %s/ids")
      assert.matches("\rdone 0 of 30, .*waiting until %d%d:%d%d:%d%d %(retry_after%)", complaints)
      local _, lines = complaints:gsub("\r", "")
      assert.is_true(lines <= 8, complaints)
    end)

    it("whose time left counts the quota", function()
      write_ids(some_ids(2))
      write("more", ("nope\n"):rep(3100))
      write("out", '{"id":"nope","error":{"kind":"not_found","message":""}}\n')
      shell.must(("cat %s %s >%s"):format(path "ids", path "more", path "all"))
      -- 1500 an hour may be asked
      local complaints = select(3, run "--progress -c 1 -o %s/out %s/all")
      assert.matches("\rdone 1 of 3102, .*, 2:00:00 left", complaints)
    end)
  end)

  it("holds no more for many ids than for few #real-memory", function()
    local code = "local exit = os.exit; os.exit = function(status) "
      .. "io.stderr:write(io.open('/proc/self/status'):read('*a'):match('VmHWM:%s*(%d+)')) exit(status) end"
    local function peak_kilobytes(number)
      local ids = {}
      for i = 1, number do ids[i] = i .. "\1" end -- these are answered without the service
      write_ids(ids)
      local status, output, complaints = run("%s/ids", code)
      assert.equal(1, status)
      assert.equal(number, select(2, output:gsub("\n", "")))
      return tonumber(complaints:match "(%d+)$")
    end
    assert.is_true(peak_kilobytes(50000) < peak_kilobytes(10) + 1500)
  end)

  it("sleeps while it waits for a slow server #timing", function()
    write_ids(known_ids())
    space:fault{ delay = 3, times = -1 }
    local pipe = assert(io.popen("echo $$; exec " .. command "%s/ids"))
    local pid = pipe:read "*l"
    repeat system.sleep(0.05) until space:report().in_flight == #known_ids()
    system.sleep(0.3)
    local share = on_cpu.share(pid, 2)
    assert.same(ADDRESSES, by_id(pipe:read "*a"))
    pipe:close()
    assert.is_true(share < CPU_MAX, ("%.2f %%"):format(share * 100))
  end)
end)

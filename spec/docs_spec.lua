-- The documentation and the types against the code: nothing missing, nothing extra, nothing dead.
local mde = require "mde"
local source = require "spec.support.rows"
local shell = require "spec.support.shell"
local testing = require "mde.testing"

local REFERENCE, TYPES = "doc/reference.md", "types/mde.lua"

local load_text = loadstring or load -- luacheck: ignore 113

local function lines_of(text)
  local list = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do list[#list + 1] = line end
  return list
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- --- the code ---------------------------------------------------------------------------------------

local client_c, operation_c = shell.read "lua_mde/bind/client.c", shell.read "lua_mde/core/operation.c"
local operations_c = shell.read "lua_mde/bind/operations.c"

local captures, between = source.captures, source.between

local quota_sources = shell.read "lua_mde/bind/quota_methods.c" .. shell.read "lua_mde/bind/quota.c"
local quota_methods = captures(quota_sources, '{"(%l+)", quota_%l+_method}')

local function joined(a, b)
  local set = {}
  for name in pairs(a) do set[name] = true end
  for name in pairs(b) do set[name] = true end
  return set
end

--- name -> { path =, permission = }
local function read_operations()
  local rows, macro = {}, operation_c:match '#define ALERT_READ "([^"]+)"'
  for row in between(operation_c, "mde_operations[] = {", "\n};"):gmatch "%b{}" do
    local permission = row:match '%.permission = "([^"]+)"' or (row:find("ALERT_READ", 1, true) and macro)
    rows[row:match '%.name = "([^"]+)"'] = { path = row:match '%.path = "([^"]+)"', permission = permission }
  end
  return rows
end

local operations = read_operations()
local methods = joined(captures(between(client_c, "methods[] = {", "NULL"), '{"([%w_]+)", client_'),
  captures(between(operations_c, "luaL_Reg methods[] = {", "NULL"), '{"([%w_]+)", operation_'))
local kind_rows = between(shell.read "lua_mde/core/error.h", "define MDE_ERROR_KINDS(X)", "typedef")
local kinds = captures(kind_rows, 'X%(%u[%u_]*, "([%w_]+)"')

-- Those that cannot be watched are read; the others are collected from clients at work.

local function collect(set, value)
  for name in pairs(value) do set[name] = true end
end

local service_error = { error = { code = "429", message = "wait", target = "f00d" } }

--- Every kind of event that there is, with all fields that it ever has; likewise errors.
local function watch()
  local events, errors = {}, {}
  local client = testing.client{
    token = function() return "t", 3600 end,
    max_attempts = 2,
    on_event = function(event)
      events[event.kind] = events[event.kind] or {}
      collect(events[event.kind], event)
    end,
    answers = {
      { error = "broken" }, '{"value":[]}',
      { status = 429, headers = { ["Retry-After"] = 1 }, body = service_error },
      { status = 429, headers = { ["Retry-After"] = 1 }, body = service_error },
    },
  }
  client:alert_ips "da1"
  collect(errors, select(2, client:alert_ips "da1"))
  local away = { settle = print, penalize = print, remaining = print }
  function away.reserve() return nil, 1, "away" end
  testing.client{ token = "t", answers = {}, quota = away, budget = 2, on_event = function(event)
    collect(events.wait, event)
  end }:alert_ips "da1"
  return events, errors, client:stats()
end

local events, error_fields, stats = watch()

local wait_reasons = captures(between(shell.read "lua_mde/bind/event.c", "names[] = {", "}"), '"([%w_]+)"')

-- --- the reference ----------------------------------------------------------------------------------

--- The first column of the table whose head's first cell is `head`, below the line `heading`:
-- a list of { name, cells... } in their order.
local function rows_below(heading, head)
  local rows, state = {}, "before"
  for _, line in ipairs(lines_of(shell.read(REFERENCE))) do
    local cells = {}
    for cell in line:gmatch "|%s*([^|]-)%s*%f[|]" do cells[#cells + 1] = cell end
    if state == "before" and line == heading then state = "below"
    elseif state == "below" and cells[1] == head then state = "table"
    elseif state == "table" and #cells == 0 then break
    elseif state == "table" and not cells[1]:find "^%-+$" then
      cells[1] = assert(cells[1]:match "^`([%w_-]+)`$", "not a name: " .. line)
      rows[#rows + 1] = cells
    end
  end
  assert(#rows > 0, ("%s: no table '%s' below '%s'"):format(REFERENCE, head, heading))
  return rows
end

local function names_below(heading, head)
  local set = {}
  for _, row in ipairs(rows_below(heading, head)) do
    assert(not set[row[1]], row[1] .. " is there twice")
    set[row[1]] = true
  end
  return set
end

local function assert_reference(expected, heading, head)
  assert.same(sorted(expected), sorted(names_below(heading, head)))
end

-- --- the types --------------------------------------------------------------------------------------

local types = shell.read(TYPES)

local function fields_of(class)
  local set, inside = {}, false
  for _, line in ipairs(lines_of(types)) do
    local opened = line:match "^%-%-%-@class ([%w_.]+)"
    if opened then inside = opened == class
    elseif not line:find "^%-%-%-" then inside = false
    elseif inside then
      local name = line:match "^%-%-%-@field ([%w_]+)"
      if name then set[name] = true end
    end
  end
  assert(next(set), "no class " .. class .. " with fields in " .. TYPES)
  return set
end

local function assert_fields(expected, class)
  assert.same(sorted(expected), sorted(fields_of(class)))
end

-- ----------------------------------------------------------------------------------------------------

describe("the reference and the types", function()
  it("know the module's fields", function()
    local public = {}
    for name in pairs(mde) do public[name] = name:sub(1, 1) ~= "_" or name == "_VERSION" or nil end
    assert_reference(public, "## The module", "name")
    local typed = joined(fields_of "mde", captures(types, "\nfunction mde%.([%w_]+)"))
    assert.same(sorted(public), sorted(typed))
  end)

  it("know every option of mde.client", function()
    assert_reference(source.client, "## Options of mde.client", "option")
    assert_fields(source.client, "mde.Options")
    assert_reference(source.credential, "## Credentials", "credential option")
    assert_fields(source.credential, "mde.Credential")
    assert.is_truthy(types:find("@class mde.Options: mde.Credential", 1, true))
  end)

  it("know every option of a call", function()
    local all = joined(source.call, source.query)
    assert_reference(all, "## Options of a call", "option")
    assert_fields(source.call, "mde.CallOptions")
    assert_fields(source.query, "mde.AlertsOptions")
  end)

  it("know every operation and every other method", function()
    local all = joined(operations, methods)
    assert_reference(operations, "### Operations", "method")
    assert_reference(methods, "### Other methods", "method")
    assert.same(sorted(all), sorted(captures(types, "\nfunction Client:([%w_]+)")))
    local client = testing.client{ token = "t", answers = {} }
    for name in pairs(all) do assert.is_function(client[name], name) end
  end)

  it("know every error kind and field", function()
    assert_reference(kinds, "### Error kinds", "kind")
    assert_reference(error_fields, "## Errors", "field")
    assert.same(sorted(kinds), sorted(captures(between(types, "@alias mde.ErrorKind", "\n\n"), '| "([%w_]+)"')))
    assert_fields(error_fields, "mde.Error")
  end)

  it("know every event, its fields, and the reasons of waits", function()
    assert_reference(events, "## Events", "event")
    for kind, fields in pairs(events) do
      assert_reference(fields, ("Fields of `%s`:"):format(kind), "field")
      assert_fields(fields, "mde." .. kind:gsub("^%l", string.upper) .. "Event")
      assert.is_truthy(types:find('@field kind "' .. kind .. '"', 1, true))
    end
    for _, row in ipairs(rows_below("Fields of `wait`:", "field")) do
      if row[1] == "reason" then assert.same(sorted(wait_reasons), sorted(captures(row[3], '`"([%w_]+)"`'))) end
    end
    assert.same(sorted(wait_reasons), sorted(captures(types:match "@field reason ([^\n]+)", '"([%w_]+)"')))
  end)

  it("know every option and method of a quota, and what its status holds", function()
    assert_reference(source.quota, "### Options of mde.quota", "option")
    assert_fields(source.quota, "mde.QuotaOptions")
    assert_reference(quota_methods, "### Methods of a quota", "quota method")
    assert.same(sorted(quota_methods), sorted(captures(types, "\nfunction Quota:([%w_]+)")))
    local path = os.tmpname()
    os.remove(path)
    local quota = mde.quota{ path = path }
    for name in pairs(quota_methods) do assert.is_function(quota[name], name) end
    quota:reserve "alert_ips"
    local status = quota:status()
    quota:close()
    os.remove(path)
    assert_fields(status, "mde.QuotaStatus")
    assert_reference(status.operations[1], "### Methods of a quota", "field of an operation")
    assert_fields(status.operations[1], "mde.QuotaOperation")
    assert_reference(status.holders[1], "### Methods of a quota", "field of a holder")
    assert_fields(status.holders[1], "mde.QuotaHolder")
  end)

  it("know every method of a call, and every option of each alone", function()
    local call_c = shell.read "lua_mde/bind/call.c"
    local of_call = captures(between(call_c, "luaL_Reg methods[] = {", "NULL"), '{"(%l+)", call_')
    assert_reference(of_call, "## Calls", "call method")
    assert.same(sorted(of_call), sorted(captures(types, "\nfunction Call:([%w_]+)")))
    assert_reference(source.each, "## each", "each option")
    assert_fields(source.each, "mde.EachOptions")
  end)

  it("know every option of mde.redis", function()
    assert_reference(source.redis, "## mde.redis", "redis option")
    assert_fields(source.redis, "mde.RedisQuotaOptions")
  end)

  it("know every statistic", function()
    assert_reference(stats, "## Statistics", "field")
    assert_fields(stats, "mde.Stats")
  end)

  it("know mde.testing", function()
    assert_reference(testing, "## mde.testing", "function")
    assert.same(sorted(testing), sorted(captures(types, "\nfunction testing%.([%w_]+)")))
    local answers = testing.client{ token = "t", answers = { '{"value":[]}' } }
    answers:alert_ips "da1"
    local request = testing.requests(answers)[1]
    assert_reference(request, "## mde.testing", "request field")
    assert_fields(request, "mde.TestingRequest")
    assert_reference(source.answer, "## mde.testing", "answer field")
    assert_fields(source.answer, "mde.TestingAnswer")
    assert_reference(source.testing, "## mde.testing", "testing option")
    assert_fields(source.testing, "mde.TestingOptions")
  end)
end)

describe("the reference", function()
  it("tells the permission and the path of every operation", function()
    for _, row in ipairs(rows_below("### Operations", "method")) do
      local operation = operations[row[1]]
      assert.equal("`" .. operation.path .. "`", row[2])
      assert.equal(operation.permission, row[4])
    end
  end)

  it("tells the true limits of every operation", function()
    assert.is_truthy(shell.read(REFERENCE):find("100 calls in 60 seconds and 1500 in 3600", 1, true))
    for name, operation in pairs(operations) do
      local client = testing.client{ token = "t", answers = function() return '{"value":[]}' end }
      local id = operation.path:find("{", 1, true) and "da1" or nil
      local start = testing.now()
      local function seconds_after(calls)
        while client:stats().calls < calls do assert(client[name](client, id)) end
        return testing.now() - start
      end
      assert.equal(0, seconds_after(100), name)
      assert.is_true(seconds_after(101) > 60, name)
      assert.is_true(seconds_after(1500) < 3600 and seconds_after(1501) > 3600, name)
    end
  end)

  -- Ranges are tried, not read: the two ends are taken, what lies beyond is refused.
  local function takes(name, value)
    return pcall(mde.client, { token = "t", [name] = value })
  end

  it("tells the true range of every number", function()
    local checked = 0
    for _, row in ipairs(rows_below("## Options of mde.client", "option")) do
      local min, max = row[4]:match "^(%S+) to (%S+)$"
      if min then
        checked = checked + 1
        min, max = tonumber(min), tonumber(max)
        assert.is_true(takes(row[1], min) and takes(row[1], max), row[1])
        assert.is_false(takes(row[1], min > 0 and min / 2 or -1), row[1])
        assert.is_false(takes(row[1], max * 2), row[1])
      end
    end
    assert.equal(6, checked)
  end)

  it("tells the true range of every number of a call", function()
    local client = testing.client{ token = "t", answers = function() return '{"value":[]}' end }
    for _, row in ipairs(rows_below("## Options of a call", "option")) do
      local min, max = row[4]:match "^(%S+) to (%S+)$"
      local function call_takes(value) return pcall(client.alerts, client, { [row[1]] = value }) end
      assert.equal(row[3] == "number", min ~= nil, row[1])
      assert.is_false(call_takes{}, row[1])
      if min then
        min, max = tonumber(min), tonumber(max)
        assert.is_true(call_takes(min) and call_takes(max), row[1])
        assert.is_false(call_takes(min > 0 and min / 2 or -1), row[1])
        assert.is_false(call_takes(max * 2), row[1])
      end
    end
  end)

  it("tells which options only lists take", function()
    local client = testing.client{ token = "t", answers = function() return '{"value":[]}' end }
    for _, row in ipairs(rows_below("## Options of a call", "option")) do
      local value = row[3] == "string" and "x" or 1
      assert.is_true(pcall(client.alerts, client, { [row[1]] = value }), row[1])
      assert.equal(row[2] == "all", pcall(client.alert_ips, client, "da1", { [row[1]] = value }), row[1])
    end
  end)

  it("tells the true defaults", function()
    local limits, MIB = between(client_c, "default_limits = {", "};"), 1024 * 1024
    local defaults = {
      timeout = tonumber(limits:match "%.timeout_ms = (%d+)") / 1000,
      connect_timeout = tonumber(limits:match "%.connect_timeout_ms = (%d+)") / 1000,
      max_attempts = tonumber(limits:match "%.max_attempts = (%d+)"),
      max_body = tonumber(limits:match "%.max_body_bytes = %(size_t%)(%d+) %* MIB") * MIB,
      concurrency = tonumber(client_c:match "%.concurrency = (%d+)"),
    }
    for _, row in ipairs(rows_below("## Options of mde.client", "option")) do
      if defaults[row[1]] then assert.equal(defaults[row[1]], tonumber(row[3]), row[1]) end
      if row[1] == "base_url" then
        assert.equal("mde.client (" .. row[3]:match "^`(.+)`$" .. ", open)", tostring(mde.client{ token = "t" }))
      end
    end
  end)

  it("tells the true clouds", function()
    local names = {}
    for _, row in ipairs(rows_below("## Clouds", "cloud")) do
      names[#names + 1] = row[1]
      local client = testing.client{ tenant_id = "tenant", client_id = "app", client_secret = "secret", cloud = row[1],
        answers = { '{"value":[]}' } }
      assert(client:alert_ips "da1")
      local token, call = testing.requests(client)[1].url, testing.requests(client)[2].url
      assert.equal(row[2], "`" .. call:match "^(https://[^/]+)" .. "`", row[1])
      assert.equal(row[3], "`" .. token:match "^(https://[^/]+)" .. "`", row[1])
      local local_client = testing.client{ managed_identity = true, cloud = row[1], answers = { '{"value":[]}' } }
      assert(local_client:alert_ips "da1")
      local resource = testing.requests(local_client)[1].url:match "resource=([^&]+)"
      assert.equal(row[4], "`" .. resource:gsub("%%3A", ":"):gsub("%%2F", "/") .. "`", row[1])
    end
    local _, message = pcall(mde.client, { token = "t", cloud = "none" })
    assert.is_truthy(message:find("one of " .. table.concat(names, " ") .. " expected", 1, true), message)
    assert.is_truthy(types:find('@field cloud? "' .. table.concat(names, '"|"') .. '"', 1, true))
  end)

  it("tells every variable of the environment's credential", function()
    local text = shell.read(REFERENCE)
    for name in pairs(captures(shell.read "lua_mde/bind/source.c", '"(%u+_[%u_]+)"')) do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true), name)
    end
  end)
end)

-- --- all documents ------------------------------------------------------------------------------------

local documents = shell.lines(shell.must "ls *.md doc/*.md spec/simulator/*.md")

--- The code blocks of a language: a list of { text, line }.
local function blocks(text, language)
  local list, current = {}, nil
  for number, line in ipairs(lines_of(text)) do
    if current and line:find "^```" then
      list[#list + 1], current = { table.concat(current, "\n"), current.line }, nil
    elseif current then current[#current + 1] = line
    elseif line == "```" .. language then current = { line = number }
    end
  end
  return list
end

--- As GitHub makes them.
local function anchors(text)
  local set = {}
  for _, line in ipairs(lines_of(text)) do
    local heading = line:match "^#+ (.+)$"
    if heading then set[heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true end
  end
  return set
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

for _, document in ipairs(documents) do
  describe(document, function()
    local text = shell.read(document)

    it("has Lua code that this interpreter takes", function()
      for _, block in ipairs(blocks(text, "lua")) do
        assert(load_text(block[1], ("=%s:%d"):format(document, block[2])))
      end
    end)

    it("has examples of mde.testing that run as they stand", function()
      for _, block in ipairs(blocks(text, "lua")) do
        if block[1]:find('require "mde.testing"', 1, true) then
          assert(load_text(block[1], ("=%s:%d"):format(document, block[2])))()
        end
      end
    end)

    it("links to what is there", function()
      local folder = document:match "^(.*/)" or ""
      for target in text:gmatch "%]%(([^)%s]+)%)" do
        local path, anchor = target:match "^([^#]*)#?(.*)$"
        if not target:find "^%a+:" then
          local file = path == "" and document or folder .. path
          assert.is_true(exists(file), target)
          if anchor ~= "" then assert.is_truthy(anchors(shell.read(file))[anchor], target) end
        end
      end
    end)
  end)
end

describe("the internals", function()
  it("speak of names that the code knows", function()
    local sources = shell.must "cat lua_mde/*/*.[ch] lua_mde/*.lua Makefile"
    local text = shell.read "doc/internals.md"
    local named = captures(text, "`([%a_][%w_]*_[%w_]*)`")
    for name in between(text, "\n```\noperation_call", "```"):gmatch "%f[%w_][%a_]+_[%w_]+" do named[name] = true end
    for name in pairs(named) do assert.is_truthy(sources:find(name, 1, true), name) end
  end)

  it("have every source on their map", function()
    local map = between(shell.read "doc/internals.md", "\nlua_mde/\n", "```")
    local folder, mapped = nil, {}
    for _, line in ipairs(lines_of(map)) do
      folder = line:match "^  (%l+)/" or folder
      local stem, endings = line:match "^    ([%l%d_]+)%.(%S+)"
      if stem then mapped[folder .. "/" .. stem .. "." .. endings:gsub("%[ch%]", "c")] = true end
    end
    local there = {}
    for _, path in ipairs(shell.lines(shell.must "cd lua_mde && ls */*.[ch]")) do
      local stem, ending = path:match "^(.*)%.([ch])$"
      if ending == "c" then
        there[path], there[stem .. ".h"] = true, nil
      elseif not there[stem .. ".c"] then
        there[path] = true
      end
    end
    assert.same(sorted(there), sorted(mapped))
  end)
end)

it("the guide tells what to do about each number of Microsoft's login that the code knows", function()
  local numbers = captures(between(shell.read "lua_mde/core/login_failure.c", "advice[] = {", "};"), "{(%d+), ")
  local told = captures(shell.read "doc/guide.md", "\n| `AADSTS(%d+)`")
  assert.same(sorted(numbers), sorted(told))
end)

it("the documents name the quota's margin and linger as the code has them", function()
  local margin = shell.read "lua_mde/core/window.h":match "MDE_WINDOW_MARGIN_MS = (%d+)"
  local linger = shell.read "lua_mde/core/quota.h":match "MDE_QUOTA_LINGER_MS = (%d+)000"
  for _, path in ipairs{ "doc/guide.md", "doc/internals.md" } do
    assert.truthy(shell.read(path):find("thousandth of [%w ]*,? and " .. margin .. " ms"), path)
  end
  assert.truthy(shell.read "doc/internals.md":find("answered " .. linger .. " s later", 1, true))
end)

describe("the CHANGELOG", function()
  it("begins with this version", function()
    local version = shell.read "lua_mde/core/version.h":match 'MDE_VERSION "([^"]+)"'
    assert.equal(version, mde._VERSION)
    assert.equal(version, shell.read "CHANGELOG.md":match "\n## %[?([%d.]+)")
  end)
end)

describe(TYPES, function()
  it("is Lua, and says that it is not to be run", function()
    assert(load_text(types, "=" .. TYPES))
    assert.equal("---@meta mde", lines_of(types)[1])
  end)

  it("names no class that it does not define", function()
    local defined = joined(captures(types, "@class ([%w_.]+)"), captures(types, "@alias ([%w_.]+)"))
    for line in types:gmatch "(%-%-%-@[^\n]*)" do
      local tag = line:match "^%-%-%-@(%w+)"
      for name in line:gmatch "mde%.%u%w*" do assert.is_true(defined[name] or tag == "meta", name) end
    end
  end)
end)

--- Runs Lua code in a process of its own, under the interpreter that runs the specs.
--
--     local got = child.run([[
--       local given = ...
--       return { sum = given.a + given.b }
--     ]], { a = 1, b = 2 }, { LC_ALL = "C", CURL_CA_BUNDLE = false })
--     assert.equal(3, got.sum)
--
-- What is given is a flat table; what is returned travels as JSON. In the environment false unsets a variable. An error
-- in the child is an error here.
local cjson = require "cjson"
local shell = require "spec.support.shell"

local child = {}

-- lua-cjson is loaded last: some of the code is about how it is loaded.
local FRAME = [[
local given = { %s }
local function run(...)
%s
end
local ok, result = xpcall(function() return run(given) end, debug.traceback)
if not ok then
  io.stderr:write(tostring(result), "\n")
  os.exit(1)
end
os.setlocale "C"
local file = assert(io.open(%q, "wb"))
file:write(require("cjson").new().encode { result = result })
file:close()
]]

local function literals(given)
  local fields = {}
  for name, value in pairs(given or {}) do
    local literal = type(value) == "string" and ("%q"):format(value) or tostring(value)
    fields[#fields + 1] = ("[%q] = %s"):format(name, literal)
  end
  return table.concat(fields, ", ")
end

local function settings(environment)
  local words = {}
  for name, value in pairs(environment or {}) do
    if value then words[#words + 1] = shell.quote(name .. "=" .. value)
    else table.insert(words, 1, "-u " .. name) end
  end
  return table.concat(words, " ")
end

function child.run(code, given, environment)
  local directory = shell.temporary_directory()
  local source, answer = directory .. "/child.lua", directory .. "/answer.json"
  local file = assert(io.open(source, "wb"))
  file:write(FRAME:format(literals(given), code, answer))
  file:close()
  local ok, output = shell.run(("env %s %s %s"):format(settings(environment), shell.interpreter(), source))
  local text = ok and shell.read(answer)
  shell.must("rm -rf " .. directory)
  if not ok then error("the child says:\n" .. output, 2) end
  return cjson.decode(text).result
end

return child

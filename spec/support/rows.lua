--- What the module's tables say, read from its sources: the names of options.
--
--     rows.client.timeout          true: an option of mde.client
--     rows.captures(text, pattern), rows.between(text, first, last)      to read others
--
-- Sets: client, credential, call, query (of the calls of lists), quota, redis, each; of mde.testing: testing, answer.
local shell = require "spec.support.shell"

local rows = {}

--- The set of what `pattern` captures in `text`.
function rows.captures(text, pattern)
  local set = {}
  for name in text:gmatch(pattern) do set[name] = true end
  assert(next(set), "nothing in the source looks like " .. pattern)
  return set
end

--- What stands between `first` and the next `last`, both plain text.
function rows.between(text, first, last)
  local _, start = text:find(first, 1, true)
  assert(start, "not in the source: " .. first)
  return text:sub(start + 1, (assert(text:find(last, start + 1, true))) - 1)
end

local captures, between = rows.captures, rows.between

local ROW = '{"([%w_]+)", OPTION_%u'

local client_c, operations_c = shell.read "lua_mde/bind/client.c", shell.read "lua_mde/bind/operations.c"

rows.client = captures(between(client_c, "client_rows[] = {", "};"), ROW)
rows.credential = captures(between(shell.read "lua_mde/bind/source.h", "#define SOURCE_ROWS(start)", "#endif"),
  '"([%w_]+)", OPTION_%u')
rows.credential.credential, rows.client.credential = nil, true -- the option that may hold the others
rows.call = captures(between(operations_c, "common_rows[COMMON_ROWS] = {", "};"), ROW)
rows.query = captures(between(operations_c, "list_rows(const", "\n}\n"), ROW)
rows.quota = captures(between(shell.read "lua_mde/bind/quota.c", "option_row rows[] = {", "};"), ROW)
rows.redis = captures(between(shell.read "lua_mde/redis.lua", "local known_options = {", "\n}"), "\n  ([%w_]+) = ")
rows.each = captures(between(shell.read "lua_mde/each.lua", "local own_options = {", "\n}"), "\n  ([%w_]+) = ")

local testing_lua = shell.read "lua_mde/testing.lua"
rows.testing = captures(testing_lua, "%f[%w]rest%.([%w_]+)")
rows.answer = captures(between(testing_lua, "local fields = {", "\n}"), "\n  ([%w_]+) = {")

return rows

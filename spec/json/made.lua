--- Texts that are too large or too odd for files: lists of { name, body [, value or reason] }.
local MIB = 1024 * 1024

local made = { accept = {}, refuse = {}, either = {} }

--- An object whose only value is nested so deep; it counts.
local function nested(depth, open, close) return '{"a":' .. open:rep(depth - 1) .. close:rep(depth - 1) .. "}" end

--- The same as a table.
local function nest(depth)
  local value = {}
  for _ = 3, depth do value = { value } end
  return { a = value }
end

local function accept(name, body, value) table.insert(made.accept, { name, body, value }) end
local function refuse(name, body) table.insert(made.refuse, { name, body }) end
local function either(name, body, reason) table.insert(made.either, { name, body, reason }) end

accept("an array nested 64 deep", nested(64, "[", "]"), nest(64))
refuse("an array nested 65 deep", nested(65, "[", "]"))
refuse("an object nested 65 deep", ('{"a":'):rep(65) .. "1" .. ("}"):rep(65))
refuse("an array nested 100000 deep", nested(100000, "[", "]"))
refuse("100000 arrays that never end", '{"a":' .. ("["):rep(100000))
refuse("100000 objects that never end", ('{"a":'):rep(100000))
refuse("100000 brackets that close nothing", "{}" .. ("]"):rep(100000))

accept("a string of 1 MiB", '{"a":"' .. ("x"):rep(MIB) .. '"}', { a = ("x"):rep(MIB) })
accept("a key of 1 MiB", '{"' .. ("x"):rep(MIB) .. '":1}', { [("x"):rep(MIB)] = 1 })
accept("1 MiB of escapes", '{"a":"' .. ("\\u0041"):rep(MIB / 8) .. '"}', { a = ("A"):rep(MIB / 8) })
accept("1 MiB of white space", (" "):rep(MIB) .. "{}", {})
refuse("a string of 1 MiB that never ends", '{"a":"' .. ("x"):rep(MIB))

accept("a number of 10000 digits behind the point", '{"a":0.' .. ("3"):rep(10000) .. "}", { a = 1 / 3 })
accept("a number of 300 digits", '{"a":1' .. ("0"):rep(299) .. "}", { a = 1e299 })
accept("a number with 1000 zeros in its exponent", '{"a":1e' .. ("0"):rep(1000) .. "2}", { a = 100 })
either("a number of 10000 digits", '{"a":' .. ("9"):rep(10000) .. "}",
  "RFC 8259 leaves the range of numbers to the reader: it is read as infinite")

refuse("a byte-order mark", "\239\187\191{}")
refuse("UTF-16", "\255\254{\0}\0")
refuse("UTF-16 with the other end first", "\254\255\0{\0}")
refuse("UTF-32", "{\0\0\0}\0\0\0")

for _, where in ipairs{ "\0{}", "{\0}", "{}\0", "{}\0{}", '{"a\0":1}', '{"a":"b\0"}', '{"a":1\0}' } do
  refuse(("NUL in %q"):format(where:gsub("%z", "NUL")), where)
end

for code = 1, 31 do
  either(("the control character %d in a string"):format(code), '{"a":"' .. string.char(code) .. '"}',
    "lua-cjson does not look for them; messages show none")
end

for name, bytes in pairs{
  ["a continuation byte"] = "\128", ["a lead byte without the rest"] = "\195", ["an overlong slash"] = "\192\175",
  ["a surrogate in UTF-8"] = "\237\160\128", ["a character beyond Unicode"] = "\244\144\128\128", ["0xff"] = "\255",
} do
  either(name .. " in a string", '{"a":"' .. bytes .. '"}', "lua-cjson hands bytes on as they are")
  refuse(name .. " outside of strings", '{"a":' .. bytes .. "}")
end

return made

-- JSON out, with what plain lua-cjson cannot say: an empty array, and the same order of keys every time.

local cjson = require "cjson"

local json = { null = cjson.null, decode = cjson.decode }

local ARRAY = {}

-- Marks `list` as an array even when it is empty.
function json.array(list)
  return setmetatable(list, ARRAY)
end

local encode

local function encode_array(list)
  local parts = {}
  for i, item in ipairs(list) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(object)
  local names, parts = {}, {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = cjson.encode(name) .. ":" .. encode(object[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  if type(value) ~= "table" then return (cjson.encode(value):gsub("\\/", "/")) end
  if getmetatable(value) == ARRAY or #value > 0 then return encode_array(value) end
  return encode_object(value)
end

json.encode = encode

return json

--- Looks for a secret in a text, whole or in part, as it is or as it may have been written.
--
--     leak.find(text, secret)          "12 bytes of it in base64: c2VjcmV0...", or nil
--
-- Parts of 12 bytes and more are found; of a secret of more than 400 bytes those of 24.
local leak = {}

local PART = 12

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function digits_of(a, b, c)
  local number = a * 65536 + (b or 0) * 256 + (c or 0)
  local text = {}
  for i = 1, 4 do
    local at = math.floor(number / 64 ^ (4 - i)) % 64 + 1
    text[i] = DIGITS:sub(at, at)
  end
  return table.concat(text):sub(1, c and 4 or b and 3 or 2)
end

--- Without padding.
function leak.base64(text)
  return (text:gsub("..?.?", function(three) return digits_of(three:byte(1, 3)) end))
end

local function hex(text) return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) end

local function percent(text)
  return (text:gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- As it looks in base64 when `skipped` bytes of it belong to the characters before.
local function inner_base64(text, skipped)
  local rest = text:sub(skipped + 1)
  return leak.base64(rest:sub(1, #rest - #rest % 3))
end

local function forms(secret)
  local list = {
    ["as it is"] = secret, ["in hexadecimal"] = hex(secret), ["in HEXADECIMAL"] = hex(secret):upper(),
    ["percent-encoded"] = percent(secret),
  }
  for skipped = 0, 2 do
    local encoded = inner_base64(secret, skipped)
    list["in base64 from " .. skipped] = encoded
    list["in base64url from " .. skipped] = encoded:gsub("+", "-"):gsub("/", "_")
  end
  return list
end

local function find_part(text, form)
  local step = #form > 400 and PART or 1
  local length = math.min(PART, #form)
  for from = 1, #form - length + 1, step do
    local part = form:sub(from, from + length - 1)
    if text:find(part, 1, true) then return part end
  end
end

function leak.find(text, secret)
  assert(#secret >= PART, "too short to be looked for")
  for how, form in pairs(forms(secret)) do
    local part = find_part(text, form)
    if part then return ("%d bytes of it %s: %s"):format(#part, how, part) end
  end
end

return leak

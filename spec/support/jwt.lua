--- Tokens that say something of themselves; nobody has signed them.
--
--     jwt{ aud = "https://graph.microsoft.com", exp = 1000 }
local cjson = require "cjson"

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function encode_group(a, b, c)
  local bits = a * 65536 + (b or 0) * 256 + (c or 0)
  local text = {}
  for i = 1, c and 4 or b and 3 or 2 do
    local digit = math.floor(bits / 64 ^ (4 - i)) % 64
    text[i] = ALPHABET:sub(digit + 1, digit + 1)
  end
  return table.concat(text)
end

local function base64url(bytes)
  local groups = {}
  for at = 1, #bytes, 3 do groups[#groups + 1] = encode_group(bytes:byte(at, at + 2)) end
  return table.concat(groups)
end

return function(claims)
  local payload = type(claims) == "table" and cjson.encode(claims) or claims
  return base64url '{"alg":"RS256","typ":"JWT"}' .. "." .. base64url(payload) .. ".c2lnbmF0dXJl"
end

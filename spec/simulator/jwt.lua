-- JSON Web Tokens as text; what signs them is elsewhere.

local json = require "spec.simulator.json"

local jwt = {}

function jwt.encode(bytes)
  return (ngx.encode_base64(bytes, true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

-- Nil for what is not base64url; padding is not.
function jwt.decode(text)
  if text:find "[^%w%-_]" then return nil end
  local padding = ("="):rep(-#text % 4)
  return ngx.decode_base64(text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" }) .. padding)
end

local encode, decode = jwt.encode, jwt.decode

local function decode_object(text)
  local ok, object = pcall(json.decode, decode(text) or "")
  return ok and type(object) == "table" and object or nil
end

function jwt.write(header, claims, signature)
  return ("%s.%s.%s"):format(encode(json.encode(header)), encode(json.encode(claims)), encode(signature))
end

-- { header =, claims =, signed = text, signature = bytes }, or nil for what is no such token.
function jwt.read(text)
  local header, claims, signature = text:match "^([^.]+)%.([^.]+)%.([^.]+)$"
  if not header then return nil end
  local read = {
    header = decode_object(header), claims = decode_object(claims),
    signed = header .. "." .. claims, signature = decode(signature),
  }
  return read.header and read.claims and read.signature and read
end

return jwt

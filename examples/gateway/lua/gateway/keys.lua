--- The callers' API keys: a file with a line for each, "NAME SHA256-OF-THE-KEY" in hexadecimal.
--
--     printf %s "$KEY" | sha256sum        makes one
--
-- Keys are compared by their digests, in constant time: how long a wrong one takes says nothing about the right one.
local ffi = require "ffi"

-- nginx is linked with libcrypto.
ffi.cdef [[
  unsigned char *SHA256(const unsigned char *bytes, size_t count, unsigned char *digest);
  int CRYPTO_memcmp(const volatile void *one, const volatile void *other, size_t count);
]]

local DIGEST_BYTES = 32

local keys = {}

local known = {}

local function from_hexadecimal(text)
  return (text:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

--- Reads the file anew; when nginx is started and reloaded.
function keys.read(path)
  local file = assert(io.open(path))
  known = {}
  for line in file:lines() do
    local name, digest = line:match "^%s*([%w_.-]+)%s+(%x+)%s*$"
    if name and #digest == 2 * DIGEST_BYTES then
      known[#known + 1] = { name = name, digest = from_hexadecimal(digest) }
    elseif not line:match "^%s*#" and line:match "%S" then
      file:close()
      error("keys: a line that is not NAME and a SHA-256 in hexadecimal")
    end
  end
  file:close()
end

--- The name of the caller who has this key, or nil. All are compared, whichever it is.
function keys.find(key)
  local digest = ffi.new("unsigned char[?]", DIGEST_BYTES)
  ffi.C.SHA256(key, #key, digest)
  local found
  for _, one in ipairs(known) do
    if ffi.C.CRYPTO_memcmp(digest, one.digest, DIGEST_BYTES) == 0 then found = one.name end
  end
  return found
end

return keys

--- HTTP/2 frames, written and read, for specs that play a server to which no rule is sacred.
--
--     http2.settings()                                     a server's first words
--     http2.head(1, { { ":status", "200" } })              a HEADERS frame of stream 1
--     http2.data(1, "{}", http2.END_STREAM)
--     http2.reset(1, "REFUSED_STREAM")
--     http2.goaway(0, "NO_ERROR")                          no stream after 0 was looked at
--     http2.frame(http2.PING, 0, 0, "12345678")            any other
--     http2.count(server:report()[1], http2.HEADERS)       frames of that type that a client has sent
local http2 = {
  DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8,
  CONTINUATION = 9, END_STREAM = 1, END_HEADERS = 4,
}

local PREFACE, FRAME_HEAD = 24, 9 -- bytes

local codes = {
  NO_ERROR = 0, PROTOCOL_ERROR = 1, INTERNAL_ERROR = 2, REFUSED_STREAM = 7, CANCEL = 8, ENHANCE_YOUR_CALM = 11,
  HTTP_1_1_REQUIRED = 13,
}

--- A number in so many bytes, the highest first.
function http2.number(value, bytes)
  local digits = {}
  for i = bytes, 1, -1 do
    digits[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(digits)
end

function http2.frame(kind, flags, stream, payload)
  return http2.number(#payload, 3) .. string.char(kind, flags) .. http2.number(stream, 4) .. payload
end

function http2.settings(payload) return http2.frame(http2.SETTINGS, 0, 0, payload or "") end

-- HPACK's lengths: 7 bits, and the rest in bytes of 7 bits, the lowest first.
local function text(value)
  local rest = #value - 127
  if rest < 0 then return string.char(#value) .. value end
  local bytes = "\127"
  while rest >= 128 do
    bytes = bytes .. string.char(128 + rest % 128)
    rest = math.floor(rest / 128)
  end
  return bytes .. string.char(rest) .. value
end

--- Header fields, never indexed or compressed.
function http2.fields(fields)
  local block = {}
  for i, field in ipairs(fields) do block[i] = "\0" .. text(field[1]) .. text(field[2]) end
  return table.concat(block)
end

function http2.head(stream, fields, flags)
  return http2.frame(http2.HEADERS, http2.END_HEADERS + (flags or 0), stream, http2.fields(fields))
end

function http2.data(stream, payload, flags) return http2.frame(http2.DATA, flags or 0, stream, payload) end

function http2.reset(stream, code) return http2.frame(http2.RST_STREAM, 0, stream, http2.number(codes[code], 4)) end

function http2.goaway(last, code)
  return http2.frame(http2.GOAWAY, 0, 0, http2.number(last, 4) .. http2.number(codes[code], 4))
end

function http2.count(received, kind)
  local at, found = PREFACE + 1, 0
  while at + FRAME_HEAD - 1 <= #received do
    local high, middle, low, this = received:byte(at, at + 3)
    found = found + (this == kind and 1 or 0)
    at = at + FRAME_HEAD + high * 65536 + middle * 256 + low
  end
  return found
end

return http2

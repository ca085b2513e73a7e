-- Puts an answer { status =, headers =, body = } on the wire, as badly as a fault wants it.

local answer = {}

local CONNECTION_RESET = 444 -- nginx's own status; with reset_timedout_connection it means a TCP reset
local CHUNK = 1024 * 1024

-- False once the client is gone.
local function write(bytes)
  return ngx.print(bytes) and ngx.flush(true) ~= nil
end

local function reset()
  return ngx.exit(CONNECTION_RESET)
end

local function send_truncated(body, bytes)
  ngx.header["Content-Length"] = #body
  write(body:sub(1, bytes))
  return ngx.exit(ngx.ERROR) -- closes in good order; else the client would wait for the rest
end

local function send_half_and_reset(body)
  ngx.header["Content-Length"] = #body
  write(body:sub(1, math.ceil(#body / 2)))
  -- What was sent must have left before the reset throws away whatever waits in the socket.
  ngx.sleep(0.05)
  reset()
end

local function send_trickle(body, trickle)
  local bytes = trickle.bytes or 1
  for first = 1, #body, bytes do
    if not write(body:sub(first, first + bytes - 1)) then return end
    ngx.sleep(trickle.every or 0.05)
  end
end

-- A valid collection of exactly `size` bytes, made as it is sent; `filler` is repeated between its ends.
local function send_collection(size, filler)
  local head, tail = '{"value":[', '{"id":"192.0.2.1"}]}'
  local left = size - #head - #tail
  local chunk = filler:rep(math.floor(CHUNK / #filler))
  if not write(head) then return end
  while left >= #filler do
    local part = chunk:sub(1, left - left % #filler)
    if not write(part) then return end
    left = left - #part
    ngx.sleep(0.001) -- lets the others be served in between
  end
  write((" "):rep(left) .. tail)
end

-- nginx compresses what the client says it accepts, unless it is short; a body of unknown length is never short.
local function choose_encoding(fault)
  local plain = fault.truncate or fault.reset or fault.huge
  if fault.gzip or fault.gzip_bomb then
    ngx.req.set_header("Accept-Encoding", "gzip")
  elseif fault.gzip == false or plain then
    ngx.req.clear_header "Accept-Encoding"
  end
end

local function send_whole(body, fault)
  if not (fault.chunked or fault.gzip) then ngx.header["Content-Length"] = #body end
  ngx.print(body)
end

local function send_body(body, fault)
  if fault.truncate then return send_truncated(body, fault.truncate) end
  if fault.reset == "middle" then return send_half_and_reset(body) end
  if fault.trickle then return send_trickle(body, fault.trickle) end
  if fault.huge then return send_collection(fault.huge, '{"id":"104.80.104.128"},') end
  if fault.gzip_bomb then return send_collection(fault.gzip_bomb, " ") end
  return send_whole(body, fault)
end

local function set_headers(headers)
  for name, value in pairs(headers) do ngx.header[name] = value end
end

-- The status and the bytes of the body. An answer that is broken off has none: how much of it arrives is not certain.
function answer.given(response, fault)
  if fault.reset or (fault.truncate or math.huge) < #response.body then return 0, 0 end
  return response.status, fault.huge or fault.gzip_bomb or #response.body
end

function answer.send(response, fault)
  if fault.delay then ngx.sleep(fault.delay) end
  if fault.reset == "before" then return reset() end
  choose_encoding(fault)
  ngx.status = response.status
  ngx.header["Content-Type"] = "application/json; odata.metadata=minimal; charset=utf-8"
  set_headers(response.headers)
  set_headers(fault.headers or {})
  send_body(response.body, fault)
end

return answer

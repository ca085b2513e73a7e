-- The parts of a raw request URI. Everything stays encoded until it is split, so that "%2F" is no separator.

local uri = {}

local function from_hex(digits)
  return string.char(tonumber(digits, 16))
end

function uri.decode(text)
  return (text:gsub("%%(%x%x)", from_hex))
end

function uri.encode(text)
  return (text:gsub("[^%w%-._~]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

-- "/api/alerts?$top=1" -> "/api/alerts", "$top=1"
function uri.split(raw)
  local path, query = raw:match "^([^?]*)%??(.*)$"
  return path, query
end

-- "/api/a%2Fb" -> { "api", "a%2Fb" }
function uri.segments(path)
  local segments = {}
  for segment in (path .. "/"):gmatch "([^/]*)/" do segments[#segments + 1] = segment end
  if segments[1] == "" then table.remove(segments, 1) end
  return segments
end

-- "$top=1&$filter=id+eq+1" -> { ["$top"] = "1", ["$filter"] = "id eq 1" }
function uri.parameters(query)
  local parameters = {}
  for pair in query:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    parameters[uri.decode(name)] = uri.decode((value:gsub("+", " ")))
  end
  return parameters
end

return uri

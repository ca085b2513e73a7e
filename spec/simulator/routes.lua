-- Which operation a request asks for, and the permissions that it needs. A new operation is a new row here and a
-- handler of the same name in handlers.lua.

local uri = require "spec.simulator.uri"

local routes = {}

local function row(operation, method, path, ...)
  return { operation = operation, method = method, segments = uri.segments(path), permissions = { ... } }
end

local rows = {
  row("alerts", "GET", "/api/alerts", "Alert.Read.All", "Alert.ReadWrite.All"),
  row("alert", "GET", "/api/alerts/{id}", "Alert.Read.All", "Alert.ReadWrite.All"),
  row("alert_ips", "GET", "/api/alerts/{id}/ips", "Ip.Read.All"),
  row("alert_domains", "GET", "/api/alerts/{id}/domains", "URL.Read.All"),
  row("alert_files", "GET", "/api/alerts/{id}/files", "File.Read.All"),
  row("alert_machine", "GET", "/api/alerts/{id}/machine", "Machine.Read.All", "Machine.ReadWrite.All"),
  row("alert_user", "GET", "/api/alerts/{id}/user", "User.Read.All"),
}

-- "/api/v1.0/..." is the same service as "/api/...".
local function without_version(segments)
  if segments[2] == "v1.0" then table.remove(segments, 2) end
  return segments
end

-- The decoded id ("" where the row has none) when the segments fit.
local function match(pattern, segments)
  if #pattern ~= #segments then return nil end
  local id = ""
  for i, segment in ipairs(segments) do
    if pattern[i] == "{id}" and segment ~= "" then
      id = uri.decode(segment)
    elseif pattern[i] ~= segment then
      return nil
    end
  end
  return id
end

-- The row and the id for a raw path. Nil: there is no such thing; false: not with this method.
function routes.find(method, path)
  local segments = without_version(uri.segments(path))
  local found
  for _, candidate in ipairs(rows) do
    local id = match(candidate.segments, segments)
    if id and candidate.method == method then return candidate, id end
    if id then found = false end
  end
  return found
end

-- All that any operation needs, sorted.
function routes.permissions()
  local permissions, seen = {}, {}
  for _, each in ipairs(rows) do
    for _, permission in ipairs(each.permissions) do
      if not seen[permission] then permissions[#permissions + 1] = permission end
      seen[permission] = true
    end
  end
  table.sort(permissions)
  return permissions
end

return routes

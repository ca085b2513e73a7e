-- Cuts a list into pages and says where the next one is, rightly or as wrongly as a fault wants it.

local uri = require "spec.simulator.uri"

local pages = {}

-- Without $top the service pages by its own size; with it, it has been seen to answer all of it and no link.
local function page_size(query, settings)
  if not query.top then return settings.page_size end
  if not settings.next_link_with_top then return query.top end
  return math.min(query.top, settings.page_size)
end

-- `wrap` starts over at the end, for a list that never ends.
local function slice(list, skip, size, wrap)
  local page = {}
  for i = skip + 1, skip + size do
    page[#page + 1] = list[wrap and (i - 1) % #list + 1 or i]
  end
  return page
end

local function query_string(request, settings, page, kind)
  local query, parts = page.query, {}
  local function add(name, value)
    if value then parts[#parts + 1] = name .. "=" .. uri.encode(tostring(value)) end
  end
  add("$filter", kind ~= "without_filter" and request.parameters["$filter"])
  add("$expand", query.expand)
  add("$top", query.top and query.top - page.size)
  -- A loop is the link of the first page on every page.
  add("$" .. settings.next_link_style, kind == "loop" and page.size or query.skip + page.size)
  return table.concat(parts, "&")
end

local function origin(request, settings, kind)
  if kind == "other_host" then return "https://other.example" end
  local host = settings.next_link_host
  if not host then return request.origin end
  return host:find("://", 1, true) and host or "https://" .. host
end

local function true_link(request, settings, page, kind)
  return origin(request, settings, kind) .. request.path .. "?" .. query_string(request, settings, page, kind)
end

local honest = { other_host = true, without_filter = true } -- as to whether there is a next page
local forever = { endless = true, loop = true }

local function next_link(request, settings, page, kind)
  if kind == "dropped" then return nil end
  if kind == "malformed" then return "https://[::1/api/alerts?$skip=%zz" end
  if forever[kind] or page.more and (kind == nil or honest[kind]) then
    return true_link(request, settings, page, kind)
  end
  if not honest[kind] then return kind end -- a literal, or nil
end

-- The items of the page that was asked for, and the link to the next one or nil.
-- `kind` is the next_link of a fault: one of the words above, or what to give out literally.
function pages.cut(list, request, query, settings, kind)
  local size = page_size(query, settings)
  local linked = not query.top or settings.next_link_with_top and query.top > size
  local page = { query = query, size = size, more = linked and query.skip + size < #list }
  return slice(list, query.skip, size, kind == "endless" and #list > 0), next_link(request, settings, page, kind)
end

return pages

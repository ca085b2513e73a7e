-- The part of OData that `alerts` understands; anything else is refused, as the service does.
--
--   $top $skip $skiptoken     whole numbers
--   $expand=evidence
--   $filter=severity eq 'High' and lastUpdateTime gt 2026-02-01T03:00:00Z

local odata = {}

local MAX_TOP = 10000

local known = { ["$top"] = true, ["$skip"] = true, ["$skiptoken"] = true, ["$expand"] = true, ["$filter"] = true }

local comparisons = {
  eq = function(a, b) return a == b end,
  ne = function(a, b) return a ~= b end,
  gt = function(a, b) return a > b end,
  ge = function(a, b) return a >= b end,
  lt = function(a, b) return a < b end,
  le = function(a, b) return a <= b end,
}

-- 'it''s' -> "it's" and the rest of the text.
local function read_quoted(text)
  local stop = 1
  repeat
    stop = text:find("'", stop + 1, true)
    local doubled = stop and text:sub(stop + 1, stop + 1) == "'"
    if doubled then stop = stop + 1 end
  until not doubled
  if stop then return text:sub(2, stop - 1):gsub("''", "'"), text:sub(stop + 1) end
end

-- A literal as Lua value and the rest of the text. Times stay text: in this format they sort as text does.
local function read_literal(text)
  if text:sub(1, 1) == "'" then return read_quoted(text) end
  local bare, rest = text:match "^([%w:.+-]+)(.*)$"
  if not bare then return nil end
  if bare:match "^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z$" then return bare, rest end
  return tonumber(bare), rest
end

-- "field op literal" and the rest of the text.
local function read_term(text, fields)
  local field, operator, literal = text:match "^%s*(%a%w*)%s+(%a%a)%s+(.*)$"
  if not comparisons[operator] or fields[field] == nil then return nil end
  local value, rest = read_literal(literal)
  if value == nil then return nil end
  return { field = field, compare = comparisons[operator], value = value }, rest
end

local function parse_filter(text, fields)
  local terms = {}
  while text do
    local term, rest = read_term(text, fields)
    if not term then return nil end
    terms[#terms + 1] = term
    if not rest:find "%S" then return terms end
    text = rest:match "^%s+and%s+(.*)$"
  end
end

-- Null compares with nothing but itself, and numbers do not compare with text.
local function holds(term, entity)
  local value = entity[term.field]
  if type(value) ~= type(term.value) then return term.compare == comparisons.ne end
  return term.compare(value, term.value)
end

local function whole_number(text, least, most)
  local number = text:match "^%d+$" and tonumber(text)
  if number and number >= least and number <= most then return number end
end

local function refuse(message, ...)
  return nil, message:format(...)
end

local function unknown_option(parameters)
  for name in pairs(parameters) do
    if name:sub(1, 1) == "$" and not known[name] then return name end
  end
end

-- { top =, skip =, expand =, filter = } or nil and what is wrong. `fields` is an entity: what it has can be filtered.
function odata.parse(parameters, fields)
  local top, skip = parameters["$top"], parameters["$skiptoken"] or parameters["$skip"]
  local expand, filter = parameters["$expand"], parameters["$filter"]
  local unknown = unknown_option(parameters)
  local query = {
    expand = expand,
    top = top and whole_number(top, 1, MAX_TOP),
    skip = whole_number(skip or "0", 0, 2 ^ 31),
    filter = filter and parse_filter(filter, fields),
  }
  if unknown then return refuse("The query option '%s' is not supported.", unknown) end
  if expand and expand ~= "evidence" then return refuse("Could not find a property named '%s'.", expand) end
  if top and not query.top then return refuse("The limit of '%d' for Top query has been exceeded.", MAX_TOP) end
  if not query.skip then return refuse("Invalid value '%s' for $skip.", skip) end
  if filter and not query.filter then return refuse("Invalid filter clause: %s", filter) end
  return query
end

function odata.matches(filter, entity)
  for _, term in ipairs(filter or {}) do
    if not holds(term, entity) then return false end
  end
  return true
end

return odata

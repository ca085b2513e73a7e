--- Finds a string in whatever a Lua state can reach.
--
--     reach.holds(one_half, other_half)      true if some string holds both halves, one right behind the other
--
-- It starts at the registry and the stack that it is called on, and goes through tables, metatables, upvalues, user
-- values or environments, and what coroutines have on their stacks. The halves, so that the search does not find
-- itself.
local reach = {}

local function holds_both(text, one, other)
  local from, to = text:find(one, 1, true)
  while from do
    if text:sub(to + 1, to + #other) == other then return true end
    from, to = text:find(one, from + 1, true)
  end
  return false
end

-- What differs between versions.
local getfenv_of = rawget(debug, "getfenv")
local getuservalue = rawget(debug, "getuservalue")

local visit = {}

function visit.table(add, object)
  for key, value in next, object do
    add(key)
    add(value)
  end
end

visit["function"] = function(add, object)
  for i = 1, 255 do
    local name, value = debug.getupvalue(object, i)
    if not name then break end
    add(value)
  end
  if getfenv_of then add(getfenv_of(object)) end
end

function visit.userdata(add, object)
  if getfenv_of then add(getfenv_of(object)) end
  if getuservalue then
    for i = 1, 4 do
      local ok, value = pcall(getuservalue, object, i)
      if ok then add(value) end
    end
  end
end

-- Locals and temporary values upwards, what was passed as `...` downwards (5.1 does not show that).
local function visit_frame(add, getlocal, level, step)
  for i = 1, 255 do
    local ok, name, value = pcall(getlocal, level, i * step)
    if not ok or not name then break end
    add(value)
  end
end

local function visit_stack(add, getinfo, getlocal)
  for level = 0, 200 do
    local info = getinfo(level, "f")
    if not info then break end
    add(info.func)
    visit_frame(add, getlocal, level, 1)
    visit_frame(add, getlocal, level, -1)
  end
end

function visit.thread(add, object)
  if getfenv_of then add(getfenv_of(object)) end
  visit_stack(add, function(level, what) return debug.getinfo(object, level, what) end,
    function(level, i) return debug.getlocal(object, level, i) end)
end

-- 5.1 has no name for the main coroutine.
local function visit_own_stack(add)
  visit_stack(add, debug.getinfo, function(level, i) return debug.getlocal(level + 2, i) end)
end

function reach.holds(one, other)
  local seen, queue, count, found = {}, {}, 0, false
  local function add(value)
    local kind = type(value)
    if kind == "string" then
      found = found or holds_both(value, one, other)
    elseif visit[kind] and not seen[value] then
      seen[value] = true
      count = count + 1
      queue[count] = value
    end
  end
  add(debug.getregistry())
  add(coroutine.running())
  visit_own_stack(add)
  for _, value in ipairs{ "", 0, true, print } do add(debug.getmetatable(value)) end
  while count > 0 do
    local object = queue[count]
    queue[count] = nil
    count = count - 1
    if not rawequal(object, seen) and not rawequal(object, queue) then -- some compare themselves
      add(debug.getmetatable(object))
      visit[type(object)](add, object)
    end
  end
  return found
end

return reach

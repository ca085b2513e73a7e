-- How much of a shared quota is left, and who is using it?
--
--   lua5.4 examples/quota_status.lua /run/mde/contoso.quota
--
-- Prints, for each key and operation of the file, the use of its windows, and below them the processes that have the
-- file open. Ends with 0, with 1 if the file cannot be read, with 2 if the command line is wrong. It must run as the
-- user whose file it is.
local mde = require "mde"

local path = arg[1]
if not path or #arg > 1 then
  io.stderr:write "usage: lua5.4 examples/quota_status.lua FILE\n"
  os.exit(2)
end

local function fail(message)
  io.stderr:write("quota_status: ", tostring(message), "\n")
  os.exit(1)
end

-- mde.quota would make the file.
local file, why = io.open(path, "rb")
if not file then fail(why) end
file:close()

local ok, quota = pcall(mde.quota, { path = path })
if not ok then fail(quota) end

local function bar(used, calls)
  local filled = math.min(20, math.ceil(20 * used / calls))
  return ("#"):rep(filled) .. ("."):rep(20 - filled)
end

local function heading(operation)
  local text = operation.operation
  if operation.key ~= "" then text = operation.key .. ": " .. text end
  if operation.in_flight > 0 then text = ("%s, %d in flight"):format(text, operation.in_flight) end
  if operation.closed_for > 0 then
    text = ("%s, closed by the service for %.0f s more"):format(text, operation.closed_for)
  end
  return text
end

local status = quota:status()
table.sort(status.operations, function(a, b)
  if a.key ~= b.key then return a.key < b.key end
  return a.operation < b.operation
end)

for _, operation in ipairs(status.operations) do
  print(heading(operation))
  table.sort(operation.windows, function(a, b) return a.seconds < b.seconds end)
  for _, window in ipairs(operation.windows) do
    print(("  %s %6d of %6d calls in %g s"):format(bar(window.used, window.calls), window.used, window.calls,
      window.seconds))
  end
end
if #status.operations == 0 then print "nothing has been called yet" end

print "used by"
local others = 0
for _, holder in ipairs(status.holders) do
  if not holder.own then
    others = others + 1
    print(("  process %d, for %d s, %d in flight%s"):format(holder.pid, holder.seconds, holder.in_flight,
      holder.alive and "" or ", gone without closing it"))
  end
end
if others == 0 then print "  nobody now" end
quota:close()

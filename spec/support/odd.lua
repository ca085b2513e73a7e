--- Values that no function expects. As paths they name no file that could be made.
--
--     for i = 1, odd.count do local name, value = odd.names[i], odd.values[i] ... end        value may be nil
--     odd.ERROR               what their metamethods raise
--     odd.is_ours(message)    whether an error says what was wrong, instead of having happened to somebody
local cjson = require "cjson"

local odd = { names = {}, values = {}, count = 0, ERROR = "raised by an odd value" }

local function add(name, value)
  odd.count = odd.count + 1
  odd.names[odd.count], odd.values[odd.count] = name, value
end

local function raise() error(odd.ERROR, 0) end

local function raising(...)
  local metatable = {}
  for _, name in ipairs{ ... } do metatable[name] = raise end
  return setmetatable({}, metatable)
end

add("nil", nil)
add("true", true)
add("false", false)
for _, number in ipairs{
  0, -1, 0.5, 2 ^ 31, -2 ^ 31, 2 ^ 53, 2 ^ 63, -2 ^ 63, 2 ^ 64, 1e308, 1e-308, 0 / 0, 1 / 0, -1 / 0,
} do
  add(("number %g"):format(number), number)
end
for name, text in pairs{
  empty = "", ["zero byte"] = "\0", ["zero byte within"] = "alert_ips\0x", ["line end"] = "a\r\nHost: b",
  delete = "\127", ["no UTF-8"] = "\255\254/", directive = "%s%n%99999d/", dots = "..", number = " 0x10/ ",
} do add(name .. " string", text) end
add("string of 70 kB", ("x"):rep(70000))
add("string of 3 MB", ("/"):rep(3000000))

add("empty table", {})
add("array", { 1, 2, 3 })
add("sparse table", { [0.5] = {}, [-1] = 0, [true] = false, [print] = print })
add("table with a zero byte in a key", { ["timeout\0"] = 5 })
local endless = { {} }
endless.credential, endless[1][1], endless.rate_limit, endless[endless] = endless, endless, endless, endless
add("table within itself", endless)
local deep = {}
for _ = 1, 1000 do deep = { deep, credential = deep } end
add("deep table", deep)
add("raising __index", raising "__index")
add("raising __len, __pairs and __ipairs", raising("__len", "__pairs", "__ipairs"))
add("raising __tostring, __call and __eq", raising("__tostring", "__call", "__eq", "__lt", "__le", "__concat"))
add("protected metatable", setmetatable({}, { __metatable = "none of yours", __name = "mde.client" }))

add("C function", os.clock)
add("function that raises", raise)
add("function that yields", coroutine.yield)
add("coroutine", coroutine.create(function() end))
local ended = coroutine.create(raise)
coroutine.resume(ended)
add("dead coroutine", ended)

add("light userdata", cjson.null)
add("open file", io.stdout)
local closed = io.tmpfile()
closed:close()
add("closed file", closed)
local has_lfs, lfs = pcall(require, "lfs")
if has_lfs then add("another library's handle", select(2, lfs.dir ".")) end
if rawget(_G, "newproxy") then
  add("bare userdata", newproxy(false)) -- luacheck: ignore 113
  add("bare userdata with a metatable", newproxy(true)) -- luacheck: ignore 113
end
local has_ffi, ffi = pcall(require, "ffi")
if has_ffi then
  add("cdata number", ffi.new("int64_t", 5))
  add("cdata pointer", ffi.new "void *")
end

--- The errors that are documented, or are what any function of Lua's library says of its arguments.
local OURS = {
  "bad argument #%d+ to '[^']+' %(.+%)$",
  "calling '[^']+' on bad self",
  "a client cannot be used from inside its own token function, on_event or quota$",
  "the call is not done yet: client:step%(%) drives it$",
  "the arguments make an address that is too long$",
  "^mde%.testing: ",
  "mde%.testing: nothing is left that could end this wait$",
  "quota file '.*': ",
  "attempt to yield", -- a function that yields where nobody may
}

function odd.is_ours(message)
  if type(message) ~= "string" then return false end
  if message:sub(-#odd.ERROR) == odd.ERROR then return true end
  for _, pattern in ipairs(OURS) do
    if message:find(pattern) then return true end
  end
  return false
end

return odd

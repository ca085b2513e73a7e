--- Environment variables of this very process, for as long as a function runs. What is set to "" counts as not set.
--
--     local within = variables.open()
--     within({ AZURE_TENANT_ID = "..." }, function() ... end)
--     variables.close()
local compile = require "spec.support.compile"

local variables = {}

local directory, environment

function variables.open()
  directory = compile "environment"
  environment = assert(package.loadlib(directory .. "/environment.so", "luaopen_environment"))()
  return variables.within
end

function variables.close() os.execute("rm -rf " .. directory) end

function variables.within(values, run)
  for name, value in pairs(values) do environment.set(name, value) end
  local results = { pcall(run) }
  for name in pairs(values) do environment.set(name, "") end
  if not results[1] then error(results[2], 0) end
  return results[2], results[3]
end

return variables

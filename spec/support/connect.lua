--- Makes a client of the simulator, for the namespace of one spec.
--
--     local client = connect(space)
--     local client = connect(space, { base_url = simulator.h2_url, max_attempts = 1 })
--
-- Where the simulator offers HTTP/2, that is what the client is told to speak.
local mde = require "mde"
local simulator = require "spec.support.simulator"

return function(space, options)
  local all = {
    base_url = simulator.url, ca_file = simulator.ca_file, token = space.token,
    proxy = "", -- whatever the environment says
  }
  for name, value in pairs(options or {}) do all[name] = value end
  if all.base_url == simulator.h2_url and all.http_version == nil then all.http_version = "2" end
  return mde.client(all)
end

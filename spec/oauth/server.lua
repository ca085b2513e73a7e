--- server.js for specs.
--
--     local server = oauth_server.start{ tenant = "contoso.example", key_file =, certificate_file = }    for https
--     server.authority, server.api
--     server:order{ expires_in = 5, failures = 2 }     what server.js names; begins a new log
--     server:log().tokens[1].fields.client_id
--     server:stop()

local background = require "spec.support.background"
local curl = require "spec.support.curl"
local shell = require "spec.support.shell"

local oauth_server = {}

local Server = {}
Server.__index = Server

local COMMAND = "NODE_PATH=build/oauth/node_modules exec node spec/oauth/server.js"

function oauth_server.start(options)
  local words = { COMMAND, shell.quote(options.tenant) }
  for _, path in ipairs{ options.key_file, options.certificate_file } do words[#words + 1] = shell.quote(path) end
  local process, line = background.start(table.concat(words, " "), "^https?://")
  local authority, api = line:match "^(%S+) (%S+)$"
  return setmetatable({ process = process, authority = authority, api = api }, Server)
end

function Server:order(orders)
  assert(curl.post(self.api .. "/orders", { form = orders or {} }).status == 200)
end

function Server:log() return curl.get(self.api .. "/log").json end

function Server:stop() self.process:stop() end

return oauth_server

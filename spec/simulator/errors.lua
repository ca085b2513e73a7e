-- Error answers in the service's words.

local json = require "spec.simulator.json"

math.randomseed(os.time() * 32768 + ngx.worker.pid())

local errors = {}

local defaults = {
  [400] = { "BadRequest", "The request is invalid." },
  [401] = { "Unauthorized", "The access token is missing, invalid or expired." },
  [403] = { "Forbidden", "The application does not have any of the required application permissions." },
  [404] = { "ResourceNotFound", "Resource was not found." },
  [405] = { "MethodNotAllowed", "The method is not allowed for this resource." },
  [408] = { "RequestTimeout", "The request timed out." },
  [429] = { "429", "API calls quota exceeded! maximum allowed 100 per 00:01:00" },
  [500] = { "InternalServerError", "An error occurred while processing the request." },
  [502] = { "BadGateway", "The upstream service gave no valid answer." },
  [503] = { "ServiceUnavailable", "The service is unavailable." },
  [504] = { "GatewayTimeout", "The upstream service did not answer in time." },
}

-- The correlation id by which the service's people would find the request.
function errors.id()
  return (("xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx"):gsub("x", function()
    return ("%x"):format(math.random(0, 15))
  end))
end

-- `code`, `message` and `target` replace what the service would say to this status.
function errors.answer(status, code, message, id)
  local default = defaults[status] or { "Error" .. status, "The service answered " .. status .. "." }
  local problem = { code = code or default[1], message = message or default[2], target = id or errors.id() }
  return { status = status, headers = {}, body = json.encode { error = problem } }
end

function errors.unauthorized()
  local answer = errors.answer(401)
  answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
  return answer
end

-- `roles` are those that the application has.
function errors.forbidden(permissions, roles)
  return errors.answer(403, "Forbidden",
    ("Missing application roles. API required roles: %s, application roles: %s.")
      :format(table.concat(permissions, ","), table.concat(roles or { "Simulator.Read.All" }, ",")))
end

function errors.not_found(kind, id)
  return errors.answer(404, "ResourceNotFound", ("%s %s was not found"):format(kind, id))
end

return errors

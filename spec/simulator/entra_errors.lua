-- Errors of Microsoft Entra ID in its words: entra_errors.answer(7000215).

local errors = require "spec.simulator.errors"
local json = require "spec.simulator.json"

local entra_errors = {}

-- code -> status, error, message
local known = {
  [50013] = { 401, "invalid_client", "Assertion is invalid because of various reasons. %s" },
  [50027] = { 400, "invalid_request", "JWT token is invalid or malformed. %s" },
  [70003] = { 400, "unsupported_grant_type", "The app requested an unsupported grant type '%s'." },
  [70011] = { 400, "invalid_scope", "The provided request must include a 'scope' input parameter. The provided value "
    .. "for the input parameter 'scope' is not valid. The scope %s is not valid." },
  [70021] = { 401, "invalid_client", "No matching federated identity record found for presented assertion." },
  [90002] = { 400, "invalid_request", "Tenant '%s' not found. Check to make sure you have the correct tenant ID and "
    .. "are signing into the correct cloud." },
  [90033] = { 503, "temporarily_unavailable", "A transient error has occurred. Please try again." },
  [90055] = { 429, "temporarily_unavailable", "There are too many incoming requests." },
  [700016] = { 400, "unauthorized_client", "Application with identifier '%s' was not found in the directory "
    .. "'Contoso'. You may have sent your authentication request to the wrong tenant." },
  [700021] = { 401, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter." },
  [700023] = { 401, "invalid_client", "Client assertion audience claim does not match Realm issuer." },
  [700024] = { 401, "invalid_client", "Client assertion is not within its valid time range." },
  [700027] = { 401, "invalid_client", "Client assertion failed signature validation. %s" },
  [900144] = { 400, "invalid_request", "The request body must contain the following parameter: '%s'." },
  [900561] = { 400, "invalid_request", "The endpoint only accepts POST requests. Received a %s request." },
  [7000215] = { 401, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request "
    .. "is the client secret value, not the client secret ID, for a secret added to app '%s'." },
  [7000218] = { 401, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or "
    .. "'client_secret'." },
  [7000222] = { 401, "invalid_client", "The provided client secret keys for app '%s' are expired." },
}

local function timestamp()
  return os.date("!%Y-%m-%d %H:%M:%SZ")
end

local function describe(message, trace, correlation, time)
  return ("%s Trace ID: %s Correlation ID: %s Timestamp: %s"):format(message, trace, correlation, time)
end

-- `detail` goes into the message where that has a place for it.
function entra_errors.answer(code, detail)
  local status, kind, message = unpack(known[code])
  local trace, correlation, time = errors.id(), errors.id(), timestamp()
  local text = ("AADSTS%d: "):format(code) .. message:format(detail or "")
  return { status = status, headers = {}, body = json.encode {
    error = kind, error_description = describe(text, trace, correlation, time), error_codes = { code },
    timestamp = time, trace_id = trace, correlation_id = correlation,
    error_uri = "https://login.microsoftonline.com/error?code=" .. code,
  } }
end

return entra_errors

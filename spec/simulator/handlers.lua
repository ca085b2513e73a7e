-- What each operation answers when nothing is wrong: handlers.OPERATION(request, settings, fault) -> answer.

local errors = require "spec.simulator.errors"
local fixtures = require "spec.simulator.fixtures"
local json = require "spec.simulator.json"
local odata = require "spec.simulator.odata"
local pages = require "spec.simulator.pages"

local CONTEXT = "https://api.security.microsoft.com/api/$metadata#"

local handlers = {}

local function ok(object)
  return { status = 200, headers = { ["OData-Version"] = "4.0" }, body = json.encode(object) }
end

local function collection(set, items, next_link)
  return ok { ["@odata.context"] = CONTEXT .. set, value = json.array(items), ["@odata.nextLink"] = next_link }
end

local function with(entity, name, value)
  local copy = { [name] = value }
  for key, field in pairs(entity) do copy[key] = field end
  return copy
end

local function entity(set, object)
  return ok(with(object, "@odata.context", CONTEXT .. set .. "/$entity"))
end

-- A handler for what belongs to one alert; `answer` is given the alert's record.
local function of_alert(answer)
  return function(request)
    local record = fixtures.find(request.id)
    if not record then return errors.not_found("Alert", request.id) end
    return answer(record, request)
  end
end

local function alert_collection(field, set)
  return of_alert(function(record) return collection(set, record[field]) end)
end

local function alert_entity(field, set, kind)
  return of_alert(function(record, request)
    if not record[field] then return errors.not_found(kind .. " of alert", request.id) end
    return entity(set, record[field])
  end)
end

local function expanded(records, expand)
  local alerts = {}
  for i, record in ipairs(records) do
    alerts[i] = expand and with(record.alert, "evidence", record.evidence) or record.alert
  end
  return alerts
end

local function filtered(filter)
  local found = {}
  for _, record in ipairs(fixtures.alerts) do
    if odata.matches(filter, record.alert) then found[#found + 1] = record end
  end
  return found
end

function handlers.alerts(request, settings, fault)
  local query, problem = odata.parse(request.parameters, fixtures.alerts[1].alert)
  if not query then return errors.answer(400, "ODataError", problem) end
  local records, link = pages.cut(filtered(query.filter), request, query, settings, fault.next_link)
  return collection("Alerts", expanded(records, query.expand), link)
end

handlers.alert = alert_entity("alert", "Alerts", "Alert")
handlers.alert_ips = alert_collection("ips", "Ips")
handlers.alert_domains = alert_collection("domains", "Domains")
handlers.alert_files = alert_collection("files", "Files")
handlers.alert_machine = alert_entity("machine", "Machines", "Machine")
handlers.alert_user = alert_entity("user", "Users", "User")

return handlers

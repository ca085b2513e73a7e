--- Prints one page of alerts as the service lists them: lua5.4 bench/server/alerts.lua COUNT > alerts.json
--
-- The fields are the simulator's. As with the real service, much of a page is the same words again and again.
local count = tonumber((...)) or 10000

local severities = { "Informational", "Low", "Medium", "High" }
local categories = { "SuspiciousActivity", "Malware", "Discovery", "Persistence", "Exfiltration" }

local function pick(list, n) return list[n % #list + 1] end

--- The same digits for the same number, at every start.
local function digest(n, digits)
  local state, parts = n * 2654435761 % 2147483647, {}
  for i = 1, digits do
    state = state * 48271 % 2147483647
    parts[i] = ("%x"):format(state % 16)
  end
  return table.concat(parts)
end

local function time(n)
  return ("2026-%02d-%02dT%02d:%02d:%02d.%07dZ"):format(
    n % 12 + 1, n % 28 + 1, n % 24, n % 60, n % 59, n * 1234 % 10000000)
end

local template = '{"id":"da6377%014d_%d","incidentId":%d,"investigationId":null,"assignedTo":null,"severity":"%s",'
  .. '"status":"%s","classification":null,"determination":null,"investigationState":"UnsupportedAlertType",'
  .. '"detectionSource":"WindowsDefenderAtp","category":"%s","title":"Suspicious activity %d",'
  .. '"alertCreationTime":"%s","resolvedTime":null,"machineId":"%s","computerDnsName":"workstation-%d.contoso.example",'
  .. '"mitreTechniques":["T1059"]}'

io.write '{"@odata.context":"https://api.security.microsoft.com/api/$metadata#Alerts","value":['
for n = 1, count do
  if n > 1 then io.write "," end
  io.write(template:format(n * 7919017, n * 2654435761 % 4294967296 - 2147483648, 1000 + n, pick(severities, n),
    n % 3 == 0 and "Resolved" or "New", pick(categories, n), n, time(n), digest(n, 40), n % 500))
end
io.write "]}"

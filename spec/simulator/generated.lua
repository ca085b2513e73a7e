-- Fills the list of alerts up: unremarkable ones, the same at every start.

local generated = {}

local severities = { "Informational", "Low", "Medium", "High" }
local categories = { "SuspiciousActivity", "Malware", "Discovery", "Persistence", "Exfiltration" }
local machines = { "workstation-17", "build-03", "laptop-204", "gateway-1" }
local users = { "alice", "bob", "carol", "svc-build" }

local function pick(list, n)
  return list[n % #list + 1]
end

-- Ids like the service's: a long number, and a signed 32-bit one that may be negative.
local function alert_id(n)
  local hash = (n * 2654435761) % 4294967296 - 2147483648
  return ("da6377%014d_%d"):format(n * 7919017, hash)
end

function generated.description(n)
  return {
    id = alert_id(n),
    title = "Generated alert " .. n,
    category = pick(categories, n),
    severity = pick(severities, n),
    status = n % 3 == 0 and "Resolved" or "New",
    ips = { ("198.51.100.%d"):format(n), ("2001:db8:%x::%x"):format(n, n * 31) },
    domains = { ("host-%d.fabrikam.example"):format(n) },
    files = { "msbuild.exe" },
    machine = pick(machines, n),
    user = pick(users, n),
  }
end

return generated

-- Entities in the shape of the service: every field present, null where nothing is known.

local json = require "spec.simulator.json"

local null, array = json.null, json.array

local entities = {}

-- The same number of hexadecimal digits for the same text, every time: stands for hashes and identifiers.
local function digest(text, digits)
  local state, parts = 7, {}
  for i = 1, #text do state = (state * 131 + text:byte(i)) % 2147483647 end
  for i = 1, digits do
    state = (state * 48271) % 2147483647
    parts[i] = ("%x"):format(state % 16)
  end
  return table.concat(parts)
end

local function uuid(text)
  return (digest(text, 32):gsub("^(........)(....)(....)(....)", "%1-%2-%3-%4-"))
end

-- One minute later per alert, so that a filter on times splits the list where its reader expects it.
local function timestamp(n, seconds)
  return ("2026-02-%02dT%02d:%02d:%02d.%07dZ"):format(
    1 + math.floor(n / 1440), math.floor(n / 60) % 24, n % 60, seconds, n * 1234)
end

local function map(list, make)
  local made = {}
  for i, item in ipairs(list or {}) do made[i] = make(item) end
  return array(made)
end

local function ip(address)
  return { id = address }
end

local function domain(host)
  return { host = host }
end

local function file(name)
  return {
    sha1 = digest(name, 40),
    sha256 = digest(name, 64),
    md5 = digest(name, 32),
    globalPrevalence = 180022,
    globalFirstObserved = "2025-09-19T03:51:27.6785431Z",
    globalLastObserved = "2026-01-06T03:59:21.3229314Z",
    size = 22139496,
    fileType = name:match "%.exe$" and "PE" or null,
    isPeFile = name:match "%.exe$" ~= nil,
    filePublisher = "Contoso Ltd.",
    fileProductName = name,
    signer = "Contoso Ltd.",
    issuer = "Contoso Code Signing CA",
    signerHash = digest("signer of " .. name, 40),
    isValidCertificate = true,
    determinationType = "Unknown",
    determinationValue = null,
  }
end

local function machine(name)
  return {
    id = digest(name, 40),
    computerDnsName = name .. ".contoso.example",
    firstSeen = "2025-08-02T14:55:03.7791856Z",
    lastSeen = "2026-02-02T14:55:03.7791856Z",
    osPlatform = "Windows11",
    osVersion = null,
    osProcessor = "x64",
    version = "23H2",
    osBuild = 22631,
    lastIpAddress = "10.166.113.46",
    lastExternalIpAddress = "203.0.113.46",
    agentVersion = "10.8735.22631.4037",
    healthStatus = "Active",
    deviceValue = "Normal",
    rbacGroupId = 140,
    rbacGroupName = "Workplaces",
    riskScore = "Medium",
    exposureLevel = "Low",
    isAadJoined = true,
    aadDeviceId = uuid(name),
    defenderAvStatus = "Updated",
    onboardingStatus = "Onboarded",
    managedBy = "Intune",
    machineTags = array {},
    ipAddresses = array {
      { ipAddress = "10.166.113.46", macAddress = "8CEC4B897E73", operationalStatus = "Up", type = "Ethernet" },
      { ipAddress = "2001:db8:9:7::46", macAddress = "8CEC4B897E73", operationalStatus = "Up", type = "Ethernet" },
    },
  }
end

local function user(name)
  return {
    id = "contoso\\" .. name,
    accountName = name,
    accountDomain = "contoso",
    firstSeen = "2025-08-02T00:00:00Z",
    lastSeen = "2026-02-04T00:00:00Z",
    mostPrevalentMachineId = null,
    leastPrevalentMachineId = null,
    logonTypes = "Interactive, Network",
    logOnMachinesCount = 3,
    isDomainAdmin = false,
    isOnlyNetworkUser = null,
  }
end

local function evidence(description, n)
  local list = map(description.files, function(name)
    return {
      entityType = "File", evidenceCreationTime = timestamp(n, 30), fileName = name, filePath = "C:\\Temp",
      sha1 = digest(name, 40), sha256 = digest(name, 64), ipAddress = null, url = null, detectionStatus = "Detected",
    }
  end)
  for _, address in ipairs(description.ips) do
    list[#list + 1] = {
      entityType = "Ip", evidenceCreationTime = timestamp(n, 31), fileName = null, filePath = null,
      sha1 = null, sha256 = null, ipAddress = address, url = null, detectionStatus = "Detected",
    }
  end
  return list
end

local function alert(description, n)
  local device, account = description.machine, description.user
  return {
    id = description.id,
    incidentId = 1000 + n,
    investigationId = null,
    assignedTo = description.assignedTo or null,
    severity = description.severity or "Medium",
    status = description.status or "New",
    classification = description.classification or null,
    determination = description.determination or null,
    investigationState = "UnsupportedAlertType",
    detectionSource = description.detectionSource or "WindowsDefenderAtp",
    detectorId = uuid(description.title),
    category = description.category or "SuspiciousActivity",
    threatFamilyName = description.threatFamilyName or null,
    threatName = null,
    title = description.title,
    description = "Invented for the simulator: " .. description.title:lower() .. ".",
    alertCreationTime = timestamp(n, 40),
    firstEventTime = timestamp(n, 10),
    lastEventTime = timestamp(n, 20),
    lastUpdateTime = timestamp(n, 50),
    resolvedTime = description.resolvedTime or null,
    machineId = device and digest(device, 40) or null,
    computerDnsName = device and device .. ".contoso.example" or null,
    rbacGroupName = device and "Workplaces" or null,
    aadTenantId = "00000000-0000-4000-8000-000000000001",
    relatedUser = account and { userName = account, domainName = "contoso" } or null,
    loggedOnUsers = array(account and { { accountName = account, domainName = "contoso" } } or {}),
    mitreTechniques = array { "T1059.001" },
    comments = array {},
  }
end

-- All that is known of the n-th alert.
function entities.record(description, n)
  return {
    alert = alert(description, n),
    evidence = evidence(description, n),
    ips = map(description.ips, ip),
    domains = map(description.domains, domain),
    files = map(description.files, file),
    machine = description.machine and machine(description.machine),
    user = description.user and user(description.user),
  }
end

return entities

-- The alerts that the simulator knows, each with all that the service would tell of it. All invented.
--
--   fixtures.alerts      the 250 records, in the order in which they are listed
--   fixtures.find(id)    one record, or nil
--
-- A record is { alert = entity, evidence = list, ips = list, domains = list, files = list, machine = entity or nil,
-- user = entity or nil }, ready to be encoded.

local entities = require "spec.simulator.entities"
local generated = require "spec.simulator.generated"

local handwritten = {
  {
    id = "da637472900382838869_1364969609",
    title = "Suspicious PowerShell command line",
    category = "Execution",
    severity = "Medium",
    ips = { "104.80.104.128", "23.203.232.228" },
    domains = { "cdn.contoso.example", "updates.contoso.example" },
    files = { "invoice.ps1" },
    machine = "workstation-17",
    user = "alice",
  },
  {
    id = "da637308392288907382_-880718168",
    title = "Low-reputation arbitrary code executed by signed executable",
    category = "DefenseEvasion",
    severity = "Low",
    ips = { "23.203.232.228", "198.51.100.7", "2001:db8:85a3::8a2e:370:7334" },
    domains = { "files.fabrikam.example" },
    files = { "msbuild.exe", "inline.tasks" },
    machine = "build-03",
    user = "svc-build",
  },
  {
    id = "da637551227677560813_-961444813",
    title = "Connection to a custom network indicator",
    category = "CommandAndControl",
    severity = "High",
    status = "InProgress",
    assignedTo = "analyst@contoso.example",
    ips = { "203.0.113.99", "2001:db8::1", "fe80::1ff:fe23:4567:890a" },
    domains = { "c2.adversary.example" },
    files = {},
    machine = "workstation-17",
    user = "alice",
  },
  {
    id = "da637594113580412977_1905837754",
    title = "An active 'Contoso' malware was prevented",
    category = "Malware",
    severity = "Informational",
    status = "Resolved",
    classification = "TruePositive",
    determination = "Malware",
    threatFamilyName = "Contoso",
    resolvedTime = "2026-02-03T10:11:12.1300000Z",
    ips = {}, -- nothing was seen on the network
    domains = {},
    files = { "contoso-dropper.exe" },
    machine = "laptop-204",
    user = "bob",
  },
  {
    id = "da637612390715220145_-1276340398",
    title = "Unmanaged device attempted a remote logon",
    category = "LateralMovement",
    severity = "Medium",
    ips = { "198.51.100.7" },
    domains = {},
    files = {},
    machine = nil, -- never onboarded: the service answers 404
    user = nil,
  },
  {
    id = "fa5a3c1e-6f6a-4d5e-9c0b-0f6b1d9a7e11_1",
    title = "Password spray against an exposed service",
    category = "CredentialAccess",
    severity = "High",
    detectionSource = "CustomDetection",
    ips = { "192.0.2.10", "192.0.2.11", "192.0.2.12", "2001:db8:0:1::53" },
    domains = { "login.contoso.example" },
    files = {},
    machine = "gateway-1",
    user = "carol",
  },
  -- Ids that have to be encoded, and that a careless server or client would take apart.
  { id = "custom alert 1", title = "Alert id with spaces", ips = { "192.0.2.21" } },
  { id = "custom/alert/2", title = "Alert id with slashes", ips = { "192.0.2.22" } },
  { id = "100%_sure", title = "Alert id with a percent sign", ips = { "192.0.2.23" } },
  { id = "custom#4", title = "Alert id with a number sign", ips = { "192.0.2.24" } },
  { id = "custom?id=5&x", title = "Alert id that looks like a query", ips = { "192.0.2.25" } },
  { id = "..x", title = "Alert id that begins with dots", ips = { "192.0.2.26" } },
  { id = "a%2Fb+c", title = "Alert id that looks encoded already", ips = { "192.0.2.27" } },
  { id = "ålarm-日本_1", title = "Alert id in UTF-8: ålarm, 日本", ips = { "2001:db8::28" } },
}

local TOTAL = 250

local fixtures = { alerts = {} }

local by_id = {}

local function add(description)
  local record = entities.record(description, #fixtures.alerts + 1)
  fixtures.alerts[#fixtures.alerts + 1] = record
  by_id[description.id] = record
end

for _, description in ipairs(handwritten) do add(description) end
while #fixtures.alerts < TOTAL do add(generated.description(#fixtures.alerts + 1)) end

function fixtures.find(id)
  return by_id[id]
end

return fixtures

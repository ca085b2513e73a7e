---@meta mde

-- Types of `mde` for the Lua language server (LuaCATS). Put this folder into its `workspace.library`.
-- Never loaded by a program. What everything means: doc/reference.md.

---@class mde
---@field _VERSION string
---@field null lightuserdata stands for JSON's null; the same value as cjson.null, and true in a condition
local mde = {}

---Raises on misuse: an unknown option, a wrong type, a value out of range, no credential or two.
---@param options mde.Options
---@return mde.Client client
---@nodiscard
function mde.client(options) end

---A budget to share. Raises on misuse, and if the file cannot be used.
---@param options? mde.QuotaOptions
---@return mde.Quota quota
---@nodiscard
function mde.quota(options) end

---The documented limits of an operation; raises if there is none of that name.
---@param operation string
---@return table<number, integer> windows { [seconds] = calls }
---@nodiscard
function mde.windows(operation) end

-- Options -------------------------------------------------------------------------------------------

---A token and the seconds that it lives, or nil and a message.
---@alias mde.TokenFunction fun(): string?, number|string|nil

---Exactly one: token, token_file, client_secret, certificate, federated_token_file or managed_identity.
---@class mde.Credential
---@field token? string|mde.TokenFunction a bearer token, or where to get one
---@field token_file? string a file that holds one, and that somebody else keeps fresh
---@field tenant_id? string id or domain name; with every other credential for messages only
---@field client_id? string with client_secret, certificate or federated_token_file
---@field client_secret? string its value, not its id
---@field certificate? string PEM file of the certificate, and of its key unless private_key says otherwise
---@field private_key? string PEM file
---@field passphrase? string of the private key
---@field signature_algorithm? "PS256"|"RS256" default "PS256"
---@field federated_token_file? string a file that holds an assertion of another issuer
---@field managed_identity? true|string the machine's own, or the client id of another that it has

---@class mde.Options: mde.Credential
---@field credential? mde.Credential|"environment" the fields of mde.Credential, or the variables of Azure's SDKs
---@field cloud? "global"|"us"|"eu"|"uk"|"au"|"swa"|"ina"|"aea"|"gcc"|"gcc-high"|"dod" default "global"
---@field base_url? string https://HOST[:PORT][/PREFIX]; default that of the cloud
---@field authority? string login host; default that of the cloud
---@field scope? string RESOURCE/.default; default that of the cloud
---@field rate_limit? table<number, integer>|false { [seconds] = calls } for each operation; false: no limit
---@field quota? mde.QuotaProtocol a budget to share; not together with rate_limit
---@field timeout? number seconds for one attempt; default 30
---@field connect_timeout? number seconds for its connection; default 10
---@field budget? number seconds for a whole call; default none
---@field max_attempts? integer for each page, the first included; default 4
---@field max_body? integer bytes of one response, after decompression; default 67108864
---@field concurrency? integer attempts in flight at once; default 8
---@field http_version? "1.1"|"2" default "1.1"
---@field proxy? string URL; "" for none; default from the environment
---@field no_proxy? string hosts, separated by commas; "" for none; default from the environment
---@field ca_file? string PEM file; default from the environment, else libcurl's
---@field user_agent? string put before mde-lua/VERSION
---@field on_event? fun(event: mde.Event)

---@class mde.QuotaOptions
---@field path? string the file that processes share; default: private to the process
---@field key? string tells applications apart in one file
---@field rate_limit? table<number, integer>|false { [seconds] = calls } for each operation; false: no limit
---@field pace? "burst"|"smooth" default "burst"
---@field burst? integer calls that a smooth pace lets go at once at first; default 1

---@class mde.CallOptions
---@field timeout? number seconds for one attempt
---@field budget? number seconds for the whole call
---@field max_attempts? integer for each page, the first included
---@field max_body? integer bytes of one response, after decompression

---@class mde.EachOptions: mde.CallOptions
---@field concurrency? integer calls in flight at once; default the client's
---@field ordered? boolean results in the order of the ids
---@field stop_on? table<mde.ErrorKind, boolean> kinds that end the loop, auth unless retryable; default { auth = true }

---@class mde.AlertsOptions: mde.CallOptions
---@field filter? string OData, unescaped: severity eq 'High'
---@field expand? string OData: evidence
---@field top? integer items of one page, 1 to 10000; does not end the list
---@field skip? integer items to leave out at the start
---@field max_items? integer items in the result at most

-- The client ----------------------------------------------------------------------------------------

---@class mde.Client
local Client = {}

---All alerts that fit, page after page.
---@param options? mde.AlertsOptions
---@return mde.Alert[]? alerts
---@return mde.Error? err
function Client:alerts(options) end

---@param id string
---@param options? mde.CallOptions
---@return mde.Alert? alert
---@return mde.Error? err
function Client:alert(id, options) end

---The IP addresses of an alert; an empty array when there are none.
---@param id string
---@param options? mde.CallOptions
---@return mde.Ip[]? ips
---@return mde.Error? err
function Client:alert_ips(id, options) end

---@param id string
---@param options? mde.CallOptions
---@return mde.Domain[]? domains
---@return mde.Error? err
function Client:alert_domains(id, options) end

---@param id string
---@param options? mde.CallOptions
---@return mde.File[]? files
---@return mde.Error? err
function Client:alert_files(id, options) end

---@param id string
---@param options? mde.CallOptions
---@return mde.Machine? machine
---@return mde.Error? err
function Client:alert_machine(id, options) end

---@param id string
---@param options? mde.CallOptions
---@return mde.User? user
---@return mde.Error? err
function Client:alert_user(id, options) end

---As the operation's method, without waiting: step() drives it. A call that is let go of is cancelled.
---@param operation string
---@param ... any
---@return mde.Call? call nil for a closed client
---@return mde.Error? err
function Client:start(operation, ...) end

---Drives the calls until one is finished, at most so long.
---@param seconds? number default 0
---@return integer? unfinished
---@return mde.Error? err
function Client:step(seconds) end

---For an event loop: what to wait for, and when step() is due at the latest.
---@return { fd: integer, events: "r"|"w"|"rw" }[]? descriptors
---@return number|mde.Error|nil seconds
function Client:pollable() end

---One operation for many ids, several at once: for id, value, err in client:each("alert_ips", ids) do
---@param operation string
---@param ids string[]|fun(): string?
---@param options? mde.EachOptions
---@return fun(): string?, any, mde.Error?
function Client:each(operation, ids, options) end

---@return mde.Stats? stats nil for a closed client
---@return mde.Error? err
function Client:stats() end

---May be called again.
function Client:close() end

---@class mde.Call
local Call = {}

---@return boolean
function Call:done() end

---The same values each time; raises before the call is done.
---@return any value
---@return mde.Error? err
function Call:result() end

---Ends it with kind "cancelled", if it is not done.
function Call:cancel() end

-- Quotas ------------------------------------------------------------------------------------------------

---What a client wants of a quota: doc/quota.md, "A quota of your own".
---@class mde.QuotaProtocol
---@field reserve fun(self: mde.QuotaProtocol, operation: string, lease: number): any, number?, string?, boolean?
---@field settle fun(self: mde.QuotaProtocol, operation: string, slot: any, how: "answered"|"abandoned"|"unsent")
---@field penalize fun(self: mde.QuotaProtocol, operation: string, seconds?: number, window?: number[])
---@field remaining fun(self: mde.QuotaProtocol, operation: string): table<number, integer>?, any

---@class mde.Quota: mde.QuotaProtocol
local Quota = {}

---Asks for one request. A slot, or nil, seconds to wait, what is wrong, and whether Retry-After closes it.
---@param operation string
---@param lease? number seconds that the request may last; default 35
---@return any slot
---@return number? seconds
---@return string? message
---@return boolean? closed
function Quota:reserve(operation, lease) end

---@param operation string
---@param slot any
---@param how "answered"|"abandoned"|"unsent"
function Quota:settle(operation, slot, how) end

---@param operation string
---@param seconds? number closes it for so long
---@param window? { [1]: number, [2]: integer } seconds and calls: lowers that window
function Quota:penalize(operation, seconds, window) end

---@param operation string
---@return table<number, integer>? left { [seconds] = calls }
---@return number|mde.Error seconds until the next call is allowed
function Quota:remaining(operation) end

---For people.
---@return mde.QuotaStatus? status nil for a closed quota
---@return mde.Error? err
function Quota:status() end

---May be called again.
function Quota:close() end

---Of `require("mde.redis").quota(options)`, which returns a mde.QuotaProtocol with a method `close`.
---@class mde.RedisQuotaOptions
---@field eval fun(script: string, numkeys: integer, ...: string|integer): any, any runs EVAL
---@field evalsha? fun(sha: string, numkeys: integer, ...: string|integer): any, any runs EVALSHA
---@field prefix? string of the keys' names; default "mde"
---@field key? string tells applications apart; default "default"
---@field rate_limit? table<number, integer>|false { [seconds] = calls } for each operation; false: no limit
---@field pace? "burst"|"smooth" default "burst"
---@field burst? integer calls that a smooth pace lets go at once at first; default 1
---@field on_outage? "fail"|number a share to go on with while Redis is away; default "fail"
---@field clock? fun(): number for tests

---@class mde.QuotaStatus
---@field operations mde.QuotaOperation[]
---@field holders mde.QuotaHolder[]

---@class mde.QuotaOperation
---@field key string
---@field operation string
---@field windows { seconds: number, calls: integer, used: integer }[]
---@field in_flight integer
---@field closed_for number seconds until a Retry-After is over

---@class mde.QuotaHolder
---@field pid integer of a process that has the file open
---@field seconds integer since it opened the file
---@field in_flight integer
---@field alive boolean
---@field own boolean it is this very object

-- Errors, events, statistics ------------------------------------------------------------------------

---@alias mde.ErrorKind
---| "auth" # 401, 403, or no token; retryable if the next fetch may well bring one
---| "not_found" # 404
---| "rate_limited" # 429, or a wait for quota that would pass the budget
---| "http" # any other status outside 2xx
---| "timeout" # an attempt's time or the budget is over
---| "network" # name not found, connection refused or broken
---| "tls" # certificate or protocol refused
---| "json" # not the JSON expected
---| "too_large" # more than max_body, or more pages than one call follows
---| "cancelled" # given up before its end
---| "closed" # the client or its quota is closed

---`tostring(err)` is its message.
---@class mde.Error
---@field kind mde.ErrorKind
---@field message string for people; never the token
---@field operation string
---@field attempts integer requests that were sent
---@field retryable boolean whether the same call may be tried again as it is
---@field status? integer of HTTP
---@field code? string from the service's error body
---@field target? string from the service's error body: its correlation id
---@field retry_after? number seconds after which another try may help

---@class mde.AttemptEvent
---@field kind "attempt"
---@field operation string "token" for a request for a token
---@field attempt integer which one of this page, from 1
---@field seconds number how long it took
---@field bytes integer of the body
---@field status? integer of HTTP; missing if no whole answer came
---@field error? string what the transport says, if no whole answer came

---@class mde.WaitEvent
---@field kind "wait"
---@field operation string
---@field reason "quota"|"retry_after"|"backoff"|"token"
---@field seconds number how long it will be
---@field message? string why the quota cannot be asked

---@class mde.TokenEvent
---@field kind "token"
---@field ok boolean
---@field seconds? number the token's life, if it is known

---@class mde.PageEvent
---@field kind "page"
---@field operation string
---@field page integer which one, from 1
---@field items integer in it

---@alias mde.Event mde.AttemptEvent|mde.WaitEvent|mde.TokenEvent|mde.PageEvent

---@class mde.Stats
---@field calls integer operations called
---@field attempts integer requests that were sent
---@field retries integer attempts that followed another for the same page
---@field throttled integer answers with status 429
---@field errors integer calls that came to nil, err, cancelled ones too
---@field tokens integer tokens fetched: requests for one, retries aside; askings of a function; readings of a file
---@field pages integer pages of collections
---@field waited_seconds number length of the waits that were begun
---@field bytes_received integer bytes of bodies, after decompression
---@field connections integer connections made
---@field in_flight integer attempts under way

-- Entities: main fields, as Microsoft documents them. All may be missing or mde.null ------------------

---@class mde.Alert
---@field id string
---@field title? string
---@field description? string
---@field category? string
---@field severity? "UnSpecified"|"Informational"|"Low"|"Medium"|"High"
---@field status? "Unknown"|"New"|"InProgress"|"Resolved"
---@field classification? string
---@field determination? string
---@field assignedTo? string
---@field incidentId? number
---@field investigationId? number
---@field investigationState? string
---@field detectionSource? string
---@field detectorId? string
---@field threatFamilyName? string
---@field threatName? string
---@field alertCreationTime? string
---@field firstEventTime? string
---@field lastEventTime? string
---@field lastUpdateTime? string
---@field resolvedTime? string
---@field machineId? string
---@field computerDnsName? string
---@field rbacGroupName? string
---@field aadTenantId? string
---@field relatedUser? table
---@field loggedOnUsers? table[]
---@field mitreTechniques? string[]
---@field comments? table[]
---@field evidence? table[] with expand = "evidence"

---@class mde.Ip
---@field id string the address, IPv4 or IPv6

---@class mde.Domain
---@field host string

---@class mde.File
---@field sha1 string
---@field sha256? string
---@field md5? string
---@field size? number
---@field fileType? string
---@field isPeFile? boolean
---@field filePublisher? string
---@field fileProductName? string
---@field signer? string
---@field issuer? string
---@field signerHash? string
---@field isValidCertificate? boolean
---@field determinationType? string
---@field determinationValue? string
---@field globalPrevalence? number
---@field globalFirstObserved? string
---@field globalLastObserved? string

---@class mde.Machine
---@field id string
---@field computerDnsName? string
---@field firstSeen? string
---@field lastSeen? string
---@field osPlatform? string
---@field osVersion? string
---@field osProcessor? string
---@field osBuild? number
---@field version? string
---@field lastIpAddress? string
---@field lastExternalIpAddress? string
---@field agentVersion? string
---@field healthStatus? string
---@field onboardingStatus? string
---@field deviceValue? string
---@field rbacGroupId? number
---@field rbacGroupName? string
---@field riskScore? string
---@field exposureLevel? string
---@field isAadJoined? boolean
---@field aadDeviceId? string
---@field defenderAvStatus? string
---@field managedBy? string
---@field machineTags? string[]
---@field ipAddresses? table[]

---@class mde.User
---@field id string
---@field accountName? string
---@field accountDomain? string
---@field firstSeen? string
---@field lastSeen? string
---@field mostPrevalentMachineId? string
---@field leastPrevalentMachineId? string
---@field logonTypes? string
---@field logOnMachinesCount? number
---@field isDomainAdmin? boolean
---@field isOnlyNetworkUser? boolean

-- mde.openresty -------------------------------------------------------------------------------------
--
-- The same functions, and clients with the same methods, which yield instead of waiting:
--
--   ---@type mde
--   local mde = require "mde.openresty"

-- mde.testing ---------------------------------------------------------------------------------------
--
--   ---@type mde.testing
--   local testing = require "mde.testing"

---@class mde.testing
local testing = {}

---A client whose requests go nowhere. Raises what mde.client raises.
---@param options mde.TestingOptions
---@return mde.Client client
---@nodiscard
function testing.client(options) end

---A quota on the clock that the test moves. Raises what mde.quota raises.
---@param options? mde.QuotaOptions
---@return mde.Quota quota
---@nodiscard
function testing.quota(options) end

---The requests that it has sent so far, oldest first.
---@param client mde.Client of mde.testing
---@return mde.TestingRequest[] requests
function testing.requests(client) end

---Moves the clock of all clients made here.
---@param seconds number 0 or more
function testing.advance(seconds) end

---The time on that clock, which is its wall time too: seconds since 1970. It does not start at 0.
---@return number seconds
function testing.now() end

---@class mde.TestingOptions: mde.Options
---@field answers mde.TestingAnswers used up in order, or asked for each request
---@field token_answers? mde.TestingAnswers likewise for requests for tokens; default: a token of an hour for each
---@field jitter? number in [0, 1): the dice of the pauses between attempts; default 0.5

---@alias mde.TestingAnswers (string|mde.TestingAnswer)[]|fun(request: mde.TestingRequest): string|mde.TestingAnswer

---@class mde.TestingAnswer
---@field status? integer default 200
---@field headers? table<string, string|number>
---@field body? string|table a table is encoded as JSON
---@field seconds? number how long it takes; default 0
---@field error? "timeout"|"unreachable"|"broken"|"tls" no answer

---@class mde.TestingRequest
---@field operation string "token" for a request for a token
---@field method string
---@field url string whole
---@field path string from the path on, with the query
---@field at number the clock's time when it was sent

return mde

-- The client against a token server that nobody here wrote. Run by `make test-oauth`; it is no *_spec.lua, so that the
-- other runs, which have no node, do not find it.
local cjson = require "cjson"
local key_pair = require "spec.support.key_pair"
local mde = require "mde"
local oauth_server = require "spec.oauth.server"
local shell = require "spec.support.shell"

local TENANT, CLIENT_ID = "contoso.example", "11111111-2222-3333-4444-555555555555"
local SCOPE = "https://api.securitycenter.microsoft.com/.default"
local ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
local SECRET = "s3cr3t +&=%20;/?#\"'\\~\195\164"
local ADDRESSES = { { id = "192.0.2.1" } }

local quote = shell.quote
local server, client

local function client_of(options)
  local all = {
    tenant_id = TENANT, client_id = CLIENT_ID, authority = server.authority, base_url = server.api, rate_limit = false,
  }
  for name, value in pairs(options) do all[name] = value end
  client = mde.client(all)
  return client
end

--- `count` calls at once; each must be answered.
local function many(count)
  local calls = {}
  for i = 1, count do calls[i] = client:start("alert_ips", "da" .. i) end
  repeat until client:step(10) == 0
  for _, call in ipairs(calls) do
    local value, err = call:result()
    assert.same(ADDRESSES, value, tostring(err))
  end
end

--- The one request for a token that a call leads to, whose token the API must have been shown.
local function only_request()
  assert.same(ADDRESSES, assert(client:alert_ips "da1"))
  local log = server:log()
  assert.same({ 1, 1 }, { #log.tokens, #log.calls })
  assert.equal(log.tokens[1].token, log.calls[1].token)
  return log.tokens[1]
end

-- --- assertions, by openssl ------------------------------------------------------------------------

local function decode_into(path, text)
  shell.must(("printf %%s %s | tr -- '-_' '+/' | openssl base64 -d -A > %s"):format(
    quote(text .. ("="):rep(-#text % 4)), quote(path)))
  return path
end

local function decoded(directory, text) return cjson.decode(shell.read(decode_into(directory .. "/part", text))) end

local padding = {
  RS256 = "", PS256 = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256",
}

--- Whether openssl finds `signature` (base64url) to be the certificate's owner's, under `text`.
local function verifies(pair, algorithm, text, signature)
  local directory = pair.directory
  shell.write(directory .. "/text", text)
  decode_into(directory .. "/signature", signature)
  shell.must(("openssl x509 -in %s -noout -pubkey > %s/public.pem"):format(quote(pair.certificate_file), directory))
  local ok, output = shell.run(("openssl dgst -sha256 -verify %s/public.pem %s -signature %s/signature %s/text"):format(
    directory, padding[algorithm], directory, directory))
  assert.truthy(output:find(ok and "^Verified OK" or "Verification failure"), output)
  return ok
end

local function check_header(pair, algorithm, header)
  local name, digest = "x5t", "sha1"
  if algorithm == "PS256" then name, digest = "x5t#S256", "sha256" end
  assert.same({ alg = algorithm, typ = "JWT", [name] = pair:thumbprint(digest) }, header)
end

local function check_claims(claims)
  assert.equal(("%s/%s/oauth2/v2.0/token"):format(server.authority, TENANT), claims.aud)
  assert.same({ CLIENT_ID, CLIENT_ID }, { claims.iss, claims.sub })
  assert.is_true(claims.exp - claims.nbf <= 600 and math.abs(claims.iat - os.time()) < 60)
  assert.is_true(#claims.jti >= 32)
end

local function check_assertion(pair, algorithm, fields)
  assert.equal(ASSERTION_TYPE, fields.client_assertion_type)
  assert.is_nil(fields.client_secret)
  local signed, signature = fields.client_assertion:match "^([%w_-]+%.[%w_-]+)%.([%w_-]+)$"
  local header, claims = signed:match "^(.*)%.(.*)$"
  assert.is_true(verifies(pair, algorithm, signed, signature))
  assert.is_false(verifies(pair, algorithm, signed .. "x", signature))
  check_header(pair, algorithm, decoded(pair.directory, header))
  check_claims(decoded(pair.directory, claims))
  return decoded(pair.directory, claims).jti
end

-- ---------------------------------------------------------------------------------------------------

describe("against oauth2-mock-server, the client", function()
  setup(function() server = oauth_server.start{ tenant = TENANT } end)
  teardown(function() server:stop() end)
  before_each(function() server:order() end)
  after_each(function() client:close() end)

  describe("asks with", function()
    it("a secret, whatever characters it has", function()
      client_of{ client_secret = SECRET }
      local request = only_request()
      assert.same({ "POST", "/" .. TENANT .. "/oauth2/v2.0/token" }, { request.method, request.path })
      assert.same({
        grant_type = "client_credentials", client_id = CLIENT_ID, client_secret = SECRET, scope = SCOPE,
      }, request.fields)
      assert.equal("application/x-www-form-urlencoded", request.headers["content-type"])
      assert.is_nil(request.headers.authorization)
    end)

    it("the scope that it was given, and shows the API's refusal of such a token", function()
      client_of{ client_secret = SECRET, scope = "https://elsewhere.example/.default" }
      local _, err = client:alert_ips "da1"
      assert.same({ "auth", 401 }, { err.kind, err.status })
      assert.equal("https://elsewhere.example/.default", server:log().tokens[1].fields.scope)
      assert.equal("for somebody else", server:log().calls[1].reason)
    end)

    for _, algorithm in ipairs{ "PS256", "RS256" } do
      it("an assertion signed by " .. algorithm .. ", which openssl verifies", function()
        local pair = key_pair.new()
        finally(function() pair:remove() end)
        local function ask()
          server:order()
          client_of{
            certificate = pair.certificate_file, private_key = pair.key_file, signature_algorithm = algorithm,
          }
          return check_assertion(pair, algorithm, only_request().fields)
        end
        assert.not_equal(ask(), ask()) -- jti
      end)
    end

    it("an assertion signed by PS256 unless told otherwise, by a locked key in the certificate's file", function()
      local pair = key_pair.new{ password = "of the key", combined = true }
      finally(function() pair:remove() end)
      client_of{ certificate = pair.certificate_file, passphrase = "of the key" }
      check_assertion(pair, "PS256", only_request().fields)
    end)

    it("the assertion of a federation as its file holds it, read anew each time", function()
      local path = os.tmpname()
      finally(function() os.remove(path) end)
      shell.write(path, "eyJhbGciOiJub25lIn0.e30.first-_\n")
      server:order{ expired = 1 }
      client_of{ federated_token_file = path, on_event = function(event)
        if event.kind == "token" then shell.write(path, "eyJhbGciOiJub25lIn0.e30.second") end
      end }
      assert.same(ADDRESSES, client:alert_ips "da1")
      local requests = server:log().tokens
      assert.equal(2, #requests)
      for i, signature in ipairs{ "first-_", "second" } do
        assert.same({
          grant_type = "client_credentials", client_id = CLIENT_ID, scope = SCOPE,
          client_assertion_type = ASSERTION_TYPE, client_assertion = "eyJhbGciOiJub25lIn0.e30." .. signature,
        }, requests[i].fields)
      end
    end)
  end)

  it("is not let in by the API with a token that the server has not signed so", function()
    client_of{ client_secret = SECRET }
    local token = only_request().token
    client:close()
    client = mde.client{ base_url = server.api, token = token:gsub("%.[^.]+$", ".AAAA"), rate_limit = false }
    assert.equal(401, select(2, client:alert_ips "da1").status)
    assert.equal("not signed by the token server", server:log().calls[2].reason)
  end)

  describe("keeps a token, and", function()
    it("fetches it once for 100 calls, 16 at a time", function()
      client_of{ client_secret = SECRET, concurrency = 16 }
      many(100)
      local log = server:log()
      assert.same({ 1, 100 }, { #log.tokens, #log.calls })
      for _, call in ipairs(log.calls) do assert.equal(log.tokens[1].token, call.token) end
    end)

    it("renews it before the end that the answer told, once, while 16 calls go on", function()
      server:order{ expires_in = 5 }
      client_of{ client_secret = SECRET, concurrency = 16 }
      local begin = os.time()
      local log
      repeat
        shell.must "sleep 0.05"
        many(16)
        log = server:log()
      until log.calls[#log.calls].token ~= log.tokens[1].token or os.time() > begin + 10
      assert.equal(2, #log.tokens)
      local age = log.tokens[2].at - log.tokens[1].at
      assert.is_true(age > 4.4 and age < 5, age)
      assert.equal(log.tokens[2].token, log.calls[#log.calls].token)
      for _, call in ipairs(log.calls) do assert.equal(200, call.status, call.reason) end
    end)

    it("replaces it once when the API finds that it has expired", function()
      server:order{ expired = 1 }
      client_of{ client_secret = SECRET, concurrency = 16 }
      many(16)
      local log = server:log()
      assert.equal(2, #log.tokens)
      assert.equal(log.tokens[1].token, log.calls[1].token)
      assert.equal("expired", log.calls[1].reason)
      assert.same({ log.tokens[2].token, 200 }, { log.calls[#log.calls].token, log.calls[#log.calls].status })
    end)

    it("gives up when the new one has expired, too", function()
      server:order{ expired = 1000 }
      client_of{ client_secret = SECRET }
      local _, err = client:alert_ips "da1"
      assert.same({ "auth", 401, 2 }, { err.kind, err.status, err.attempts })
      assert.equal(2, #server:log().tokens)
    end)
  end)

  describe("is answered", function()
    it("503, and asks again", function()
      server:order{ failures = 2 }
      client_of{ client_secret = SECRET }
      assert.same(ADDRESSES, client:alert_ips "da1")
      local statuses = {}
      for i, request in ipairs(server:log().tokens) do statuses[i] = request.status end
      assert.same({ 503, 503, 200 }, statuses)
    end)

    it("503 each time, and says so after the last attempt", function()
      server:order{ failures = 1000 }
      client_of{ client_secret = SECRET, max_attempts = 2 }
      local _, err = client:alert_ips "da1"
      assert.same({ "auth", true }, { err.kind, err.retryable })
      assert.truthy(err.message:find("503", 1, true), err.message)
      local log = server:log()
      assert.same({ 2, 0 }, { #log.tokens, #log.calls })
    end)

    it("400 invalid_client, and asks no more", function()
      server:order{ failures = 1000, status = 400, error = "invalid_client" }
      client_of{ client_secret = SECRET }
      for _ = 1, 3 do
        local _, err = client:alert_ips "da1"
        assert.same({ "auth", false }, { err.kind, err.retryable })
        assert.truthy(err.message:find("400 invalid_client", 1, true), err.message)
        assert.is_nil(err.message:find(SECRET, 1, true))
      end
      local log = server:log()
      assert.same({ 1, 0 }, { #log.tokens, #log.calls })
    end)

    it("404 for a tenant that the server does not know", function()
      client_of{ client_secret = SECRET, tenant_id = "fabrikam.example" }
      local _, err = client:alert_ips "da1"
      assert.same({ "auth", false }, { err.kind, err.retryable })
      assert.truthy(err.message:find("404", 1, true), err.message)
    end)
  end)
end)

describe("against oauth2-mock-server over https, the client", function()
  local directory, certificate_file

  setup(function()
    directory = shell.temporary_directory()
    local key_file = directory .. "/key.pem"
    certificate_file = directory .. "/certificate.pem"
    shell.must(("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=login -days 2 -addext subjectAltName=IP:127.0.0.1 "
      .. "-keyout %s -out %s"):format(key_file, certificate_file))
    server = oauth_server.start{ tenant = TENANT, key_file = key_file, certificate_file = certificate_file }
  end)

  teardown(function()
    server:stop()
    shell.must("rm -rf " .. quote(directory))
  end)

  before_each(function() server:order() end)
  after_each(function() client:close() end)

  it("fetches a token from the server that ca_file names", function()
    client_of{ client_secret = SECRET, ca_file = certificate_file }
    assert.equal(SECRET, only_request().fields.client_secret)
  end)

  it("tells no other its secret", function()
    client_of{ client_secret = SECRET }
    local _, err = client:alert_ips "da1"
    assert.same({ "auth", false }, { err.kind, err.retryable })
    assert.truthy(err.message:find("ca_file", 1, true), err.message)
    assert.same({}, server:log().tokens)
  end)
end)

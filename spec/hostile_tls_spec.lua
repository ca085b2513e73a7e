-- Whom the client does not trust, or who does not trust the client. Nothing is sent to a server whose certificate is
-- not beyond doubt, it is asked but once, and the client's next call, of a server that is, works.
local hostile = require "spec.support.hostile"
local simulator = require "spec.support.simulator"

describe("a hostile TLS", function()
  local network

  setup(function()
    simulator.start()
    network = hostile.network()
    network.options = { base_url = network.server.https_url, ca_file = simulator.ca_file, max_attempts = 4 }
    network.friend = { { "tls", hostile.certificate "server" }, { "expect" }, { "send", hostile.ANSWER } }
  end)

  teardown(function() network:stop() end)

  local function meets(certificate, outcome, options, more)
    local script = { { "tls", hostile.certificate(certificate, more) }, { "expect" }, { "send", hostile.ANSWER } }
    return network:meets(script, outcome, options)
  end

  for name, words in pairs {
    not_yet_valid = "not yet valid", self_signed = "self-signed", behind_intermediate = "local issuer",
  } do
    it("whose certificate is wrong is of kind tls: " .. name:gsub("_", " "), function()
      local err = meets(name, "tls", { sent = 0 })
      assert.truthy(err.message:find(words, 1, true), err.message)
      assert.same({ 2, 1 }, { network.server:connections(), network.server:requests "GET" }) -- that of the next call
    end)
  end

  it("that brings the certificate between its own and the authority's is trusted", function()
    meets("chain", "ok")
  end)

  for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
    local function asks(more)
      more.authority, more.version = simulator.ca_file, version
      return more
    end

    it("that asks for a certificate of the client, but need not have it, is answered without: " .. version, function()
      meets("server", "ok", {}, asks { asks = true })
    end)

    it("that wants a certificate of the client is of kind tls: " .. version, function()
      -- The bug: in TLS 1.3 this was of kind network, and tried four times.
      meets("server", "tls", { sent = version == "TLSv1_3" and 1 or 0 }, asks {})
      assert.equal(2, network.server:connections())
    end)
  end
end)

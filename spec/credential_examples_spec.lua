-- The examples of credentials, as people use them: in processes of their own, against the simulator.
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"

local ALERT = "da637472900382838869_1364969609"
local ADDRESSES = ALERT .. "\t104.80.104.128\n" .. ALERT .. "\t23.203.232.228"

local AZ_ARGUMENTS = "account get-access-token --resource https://api.securitycenter.microsoft.com --output json"

local space, directory

before_each(function()
  simulator.start()
  space = simulator.namespace()
  directory = shell.temporary_directory()
end)

after_each(function() shell.must("rm -rf " .. directory) end)

--- Runs an example with what `settings` says of its environment; returns its status and both outputs as one.
local function run(example, settings, ids)
  local words = { "env" }
  settings.MDE_BASE_URL, settings.MDE_CA_FILE = simulator.url, simulator.ca_file
  for name, value in pairs(settings) do words[#words + 1] = shell.quote(name .. "=" .. value) end
  words[#words + 1] = ("%s examples/%s.lua %s"):format(shell.must("command -v " .. shell.interpreter()), example,
    ids or ALERT)
  local _, text = shell.run(table.concat(words, " ") .. "; echo status $?")
  local output, status = text:match "^(.-)\n?status (%d+)$"
  return tonumber(status), output
end

describe("examples/azure_cli_token.lua #examples", function()
  -- An `az` that notes how it was called, and then does what `body` says.
  local function install_az(body)
    local file = assert(io.open(directory .. "/az", "wb"))
    file:write(("#!/bin/sh\necho \"$*\" >>%s/calls\n%s\n"):format(directory, body))
    file:close()
    shell.must(("chmod 755 %s/az"):format(directory))
  end

  local function prints(json, more)
    install_az(("cat <<'END'\n%s\nEND\n%s"):format(json, more or ""))
  end

  local function calls()
    local lines = shell.lines(shell.read(directory .. "/calls"))
    for _, line in ipairs(lines) do assert.equal(AZ_ARGUMENTS, line) end
    return #lines
  end

  local function ask(ids) return run("azure_cli_token", { PATH = directory .. ":/usr/bin:/bin" }, ids) end

  local function complains(words)
    local status, output = ask()
    assert.equal(1, status, output)
    assert.truthy(output:find(ALERT .. ": alert_ips: no token: the token function says: " .. words, 1, true), output)
    assert.is_nil(output:find("traceback", 1, true))
  end

  it("asks az once for many alerts", function()
    prints(('{"accessToken":"%s","expires_on":%d,"expiresOn":"2026-01-01 00:00:00.000000"}'):format(space.token,
      os.time() + 3600), "echo 'WARNING: a newer version is there' >&2")
    local status, output = ask(ALERT .. " " .. ALERT)
    assert.equal(ADDRESSES .. "\n" .. ADDRESSES, output)
    assert.equal(0, status)
    assert.equal(1, calls())
  end)

  it("asks az again when the token is over by what expires_on says", function()
    local short, long = os.time() + 61, os.time() + 3600
    install_az(([[
      if [ "$(wc -l <%s/calls)" -eq 1 ]; then life=%d; else life=%d; fi
      echo "{\"accessToken\":\"%s\",\"expires_on\":$life}"]]):format(directory, short, long, space.token))
    space:fault{ operation = "alert_ips", delay = 1.2 }
    local status, output = ask(ALERT .. " " .. ALERT)
    assert.equal(0, status, output)
    assert.equal(2, calls())
  end)

  it("understands an older az, which tells the local time only", function()
    prints(('{"accessToken":"%s","expiresOn":"%s"}'):format(space.token,
      os.date("%Y-%m-%d %H:%M:%S.000000", os.time() + 3600)))
    local status, output = ask(ALERT .. " " .. ALERT)
    assert.equal(0, status, output)
    assert.equal(1, calls())
  end)

  it("uses a token of which nobody says how long it lives", function()
    prints(('{"accessToken":"%s"}'):format(space.token))
    assert.equal(0, (ask()))
  end)

  it("asks az once more when the service refuses the token", function()
    prints '{"accessToken":"not-one-of-the-simulator"}'
    local status, output = ask()
    assert.equal(1, status)
    assert.truthy(output:find("the service refused the token (401", 1, true), output)
    assert.equal(2, calls())
  end)

  it("says that az is missing", function()
    for _, name in ipairs{ "sh", "env" } do
      shell.must(("ln -s $(command -v %s) %s/%s"):format(name, directory, name))
    end
    local status, output = run("azure_cli_token", { PATH = directory })
    assert.equal(1, status)
    assert.truthy(output:find("the Azure CLI (az) is not installed, or not in PATH", 1, true), output)
  end)

  it("says what az says of somebody who is not logged in", function()
    install_az "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1"
    complains "az ended with status 1: Please run 'az login' to setup account."
    assert.equal(1, calls())
  end)

  it("says so if az fails without a word", function()
    install_az "exit 3"
    complains "az ended with status 3: it said nothing; try `az login`"
  end)

  it("does not take everything for a token, nor show it", function()
    for _, output in ipairs{ "", "s3cr3t", "[]", "{}", '{"accessToken":5}', '{"accessToken":"s3cr3t"' } do
      prints(output)
      complains "az printed something that is not a token's JSON"
      assert.is_nil(select(2, ask()):find("s3cr3t", 1, true))
    end
  end)

  it("does not use a token that is over", function()
    prints(('{"accessToken":"%s","expires_on":%d}'):format(space.token, os.time() - 1))
    complains "az gave a token that is over"
  end)

  it("tells how it is used", function()
    local status, output = ask ""
    assert.equal(2, status)
    assert.truthy(output:find "^usage: ")
  end)
end)

describe("examples/environment_credential.lua #examples", function()
  local function account(changes)
    local all = {
      AZURE_TENANT_ID = space.tenant_id, AZURE_CLIENT_ID = space.client_id, AZURE_CLIENT_SECRET = space.client_secret,
      AZURE_AUTHORITY_HOST = space:authority(), no_proxy = "*",
    }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  it("fetches its token by the secret, once for many alerts", function()
    local status, output = run("environment_credential", account(), ALERT .. " " .. ALERT)
    assert.equal(ADDRESSES .. "\n" .. ADDRESSES, output)
    assert.equal(0, status)
    assert.equal(1, space:report().tokens.issued)
  end)

  it("says what the login host says against a wrong secret, and asks once", function()
    local status, output = run("environment_credential", account{ AZURE_CLIENT_SECRET = "not-the-secret" },
      ALERT .. " " .. ALERT)
    assert.equal(1, status)
    assert.truthy(output:find("AADSTS7000215", 1, true), output)
    assert.truthy(output:find("Give the secret's value, not its id.", 1, true), output)
    assert.is_nil(output:find("not-the-secret", 1, true))
    assert.equal(1, space:report().tokens.refused)
  end)

  it("says which variable is missing", function()
    local status, output = run("environment_credential", account{ AZURE_TENANT_ID = "" })
    assert.equal(2, status)
    assert.truthy(output:find("the environment's credential needs AZURE_TENANT_ID, too", 1, true), output)
  end)
end)

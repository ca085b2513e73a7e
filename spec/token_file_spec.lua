-- A token that a file holds, and that somebody else keeps fresh.
local testing = require "mde.testing"
local jwt = require "spec.support.jwt"
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"

local directory
local path

before_each(function()
  directory = shell.temporary_directory()
  path = directory .. "/token"
end)

after_each(function() shell.must("rm -rf " .. directory) end)

--- Replaced as a whole, as those who keep such files do: with another inode.
local function write(content, mode)
  local file = assert(io.open(path .. ".new", "wb"))
  file:write(content)
  file:close()
  shell.must(("chmod %s %s.new && mv %s.new %s"):format(mode or "600", path, path, path))
end

local function open(answers, options)
  local all = { token_file = path }
  for name, value in pairs(options or {}) do all[name] = value end
  return scripted.client(answers, all)
end

local function refusal_of(client)
  local _, err = client:alert_ips "da1"
  assert.equal("auth", err.kind)
  assert.equal(0, err.attempts)
  return err.message
end

local function says(words)
  local message = refusal_of(open())
  assert.truthy(message:find(words, 1, true), message)
  assert.truthy(message:find(path, 1, true), message)
end

describe("a token file", function()
  it("is read when a token is first needed, and not again while it stays as it is", function()
    write "first\n"
    local client = open()
    assert.equal(0, client:stats().tokens)
    for _ = 1, 20 do
      assert.same({}, client:alert_ips "da1")
      testing.advance(10)
    end
    assert.equal(1, client:stats().tokens)
  end)

  it("is read again when it has changed, a second later at most", function()
    write "first"
    local client = open()
    client:alert_ips "da1"
    write "second"
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, client:stats().tokens)
  end)

  it("is read again when it was written in place", function()
    write "first"
    local client = open()
    client:alert_ips "da1"
    local file = assert(io.open(path, "wb"))
    file:write "another"
    file:close()
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, client:stats().tokens)
  end)

  it("is read again after a 401", function()
    write "first"
    local client = open{ { status = 401 }, scripted.EMPTY }
    assert.same({}, client:alert_ips "da1")
    assert.equal(2, client:stats().tokens)
  end)

  it("may have blanks and line ends around the token", function()
    write "  the-token \r\n\n"
    assert.same({}, open():alert_ips "da1")
  end)

  it("may be a link, as in Kubernetes", function()
    write "first"
    shell.must(("mv %s %s.real && ln -s %s.real %s"):format(path, path, path, path))
    local client = open()
    assert.same({}, client:alert_ips "da1")
    shell.must(("printf second > %s.other && chmod 600 %s.other && ln -sfn %s.other %s"):format(path, path, path, path))
    testing.advance(1)
    client:alert_ips "da1"
    assert.equal(2, client:stats().tokens)
  end)

  it("whose token is over by its own word is not used", function()
    write(jwt{ exp = math.floor(testing.now()) - 10 })
    local message = refusal_of(open())
    assert.truthy(message:find("the token in the file expired at 1970-01-", 1, true), message)
  end)

  it("has its token used until that is over, and is then read again", function()
    write(jwt{ exp = math.floor(testing.now()) + 100 })
    local client = open()
    client:alert_ips "da1"
    testing.advance(101)
    refusal_of(client)
    write(jwt{ exp = math.floor(testing.now()) + 100 })
    assert.same({}, client:alert_ips "da1")
  end)

  it("that vanishes or breaks leaves the token that was read", function()
    write "first"
    local client, events = open()
    client:alert_ips "da1"
    os.remove(path)
    testing.advance(2)
    assert.same({}, client:alert_ips "da1")
    write "not a token"
    testing.advance(2)
    assert.same({}, client:alert_ips "da1")
    assert.is_false(scripted.of_kind(events, "token")[2].ok)
    write "second"
    testing.advance(60)
    assert.same({}, client:alert_ips "da1")
    assert.is_true(scripted.of_kind(events, "token")[3].ok)
  end)

  it("that is not there says so", function() says "No such file or directory" end)

  it("that is empty says so", function()
    write ""
    says "it is empty"
  end)

  it("that is too large says so", function()
    write(("x"):rep(65537))
    says "it has more than 65536 bytes"
  end)

  it("that is a directory says so", function()
    shell.must("mkdir " .. path)
    says "it is a folder"
  end)

  it("that is a pipe says so, and is not waited for", function()
    shell.must("mkfifo " .. path)
    says "it is no ordinary file"
  end)

  for _, mode in ipairs{ "620", "602", "666", "660" } do
    it(("that others may write to (mode %s) is refused"):format(mode), function()
      write("token", mode)
      says "others than its owner may change it. Forbid it: chmod go-w"
    end)
  end

  it("that others may read is taken", function()
    write("token", "644")
    assert.same({}, open():alert_ips "da1")
  end)

  it("does not show in messages what it holds", function()
    write "a token with blanks"
    local message = refusal_of(open())
    assert.truthy(message:find("does not hold one", 1, true), message)
    assert.is_nil(message:find("blanks", 1, true))
  end)
end)

describe("a federated token's file", function()
  local function open_federated(answers)
    return testing.client{ tenant_id = "tenant", client_id = "app", federated_token_file = path,
      answers = answers or scripted.always(scripted.EMPTY) }
  end

  it("is read at each renewal", function()
    write(jwt{ sub = "one" })
    local client = open_federated()
    assert.same({}, client:alert_ips "da1")
    os.remove(path)
    testing.advance(3300)
    assert.same({}, client:alert_ips "da1") -- the old token lives
    testing.advance(301)
    local _, err = client:alert_ips "da1"
    assert.truthy(err.message:find("federated token '" .. path .. "': No such file", 1, true), err.message)
    write(jwt{ sub = "two" })
    assert.same({}, client:alert_ips "da1")
  end)

  it("must not be writable by others", function()
    write(jwt{}, "666")
    local _, err = open_federated():alert_ips "da1"
    assert.truthy(err.message:find("others than its owner may change it", 1, true), err.message)
  end)
end)

-- Which texts are JSON, as the body of an entity: RFC 8259 says what must be accepted and what refused, and leaves some
-- to the reader. spec/json/ has a file for each, named after what it says; values.lua what the accepted ones mean,
-- made.lua what is too large or too odd for a file.

local connect = require "spec.support.connect"
local made = require "spec.json.made"
local scripted = require "spec.support.scripted"
local shell = require "spec.support.shell"
local simulator = require "spec.support.simulator"
local values = require "spec.json.values"

local NEXT = '{"id":"next"}'

local BY_STRTOD = "lua-cjson reads numbers by strtod, which takes it for what it looks like"
local RANGE = "RFC 8259 leaves the range of numbers to the reader: it is read as infinite, or refused"
local PRECISION = "RFC 8259 leaves the precision of numbers to the reader: it is read as what is near"
local SURROGATES = "the grammar has it, but it is no character: lua-cjson refuses it"

--- Why it may be either.
local reasons = {
  number_trailing_point = BY_STRTOD, number_point_before_exponent = BY_STRTOD, number_minus_point = BY_STRTOD,
  number_huge_exponent = RANGE, number_minus_huge_exponent = RANGE, number_absurd_exponent = RANGE,
  number_beyond_64_bits = PRECISION, number_of_63_bits = PRECISION,
  lone_high_surrogate = SURROGATES, lone_low_surrogate = SURROGATES, surrogates_in_wrong_order = SURROGATES,
  high_surrogate_then_letter = SURROGATES, two_high_surrogates = SURROGATES,
}

--- The files of a kind: a list of { name, body }.
local function files(kind)
  local list = {}
  for _, path in ipairs(shell.lines(shell.must("ls spec/json/" .. kind .. "_*.json"))) do
    list[#list + 1] = { path:match(kind .. "_(.*)%.json$"), shell.read(path) }
  end
  return list
end

local function joined(list, more)
  for _, case in ipairs(more) do list[#list + 1] = case end
  return list
end

local accepted, refused, either = files "accept", files "refuse", files "either"
for _, case in ipairs(accepted) do case[3] = values[case[1]] end
for _, case in ipairs(either) do case[3] = reasons[case[1]] end
local on_the_wire = { accept = joined({}, accepted), refuse = joined({}, refused), either = joined({}, either) }
joined(accepted, made.accept)
joined(refused, made.refuse)
joined(either, made.either)

--- Asks for an entity whose body that is. Whatever it is, the next call works.
local function read(body)
  local client = scripted.client{ body, NEXT }
  local value, err = client:alert "da1"
  assert.same({ id = "next" }, client:alert "da2")
  client:close()
  return value, err
end

local function is_refused(value, err)
  assert.is_nil(value)
  assert.same({ "json", 200, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
  assert.matches("alert: the answer (200) is not the JSON that the API sends", tostring(err), 1, true)
end

local function is_either(value, err)
  if value == nil then is_refused(value, err) else assert.is_table(value) end
end

describe("JSON", function()
  describe("is accepted:", function()
    for _, case in ipairs(accepted) do
      it(case[1], function()
        assert.is_table(case[3], "no value is written down")
        local value, err = read(case[2])
        assert.is_nil(err)
        assert.same(case[3], value)
      end)
    end
  end)

  describe("is refused:", function()
    for _, case in ipairs(refused) do
      it(case[1], function() is_refused(read(case[2])) end)
    end

    it("every beginning of a text", function()
      local text = shell.read "spec/json/whole.json"
      for length = 0, #text - 1 do is_refused(read(text:sub(1, length))) end
      assert.is_table(read(text))
    end)
  end)

  describe("is either:", function()
    for _, case in ipairs(either) do
      it(case[1], function()
        assert.is_string(case[3], "no reason is written down")
        is_either(read(case[2]))
      end)
    end

    -- What a user would take for another number is refused or marked, never a wrong one.
    it("a number beyond what a double holds is infinite, and none that looks right", function()
      for _, name in ipairs{ "number_huge_exponent", "number_minus_huge_exponent", "number_absurd_exponent" } do
        local value = read(shell.read("spec/json/either_" .. name .. ".json"))
        assert.is_true(value == nil or math.abs(value.a) == math.huge, name)
      end
    end)
  end)

  it("that is refused is so in the body of an error, too, and leaves it its kind", function()
    for _, case in ipairs(refused) do
      local client = scripted.client({ { status = 404, body = case[2] } }, { max_attempts = 1 })
      local value, err = client:alert "da1"
      assert.is_nil(value)
      assert.same({ "not_found", 404 }, { err.kind, err.status }, case[1])
      client:close()
    end
  end)

  it("has a value or a reason for each file, and none for what is not there", function()
    for table_of, list in pairs{ [values] = on_the_wire.accept, [reasons] = on_the_wire.either } do
      local named = {}
      for _, case in ipairs(list) do named[case[1]] = true end
      for name in pairs(table_of) do assert.is_true(named[name], name) end
    end
    assert.is_true(#on_the_wire.accept > 25 and #on_the_wire.refuse > 100 and #on_the_wire.either > 10)
  end)

  describe("over HTTP", function()
    local space, client

    setup(function()
      simulator.start()
      space = simulator.namespace()
      space:control{ limits = false }
      client = connect(space, { rate_limit = false })
    end)

    teardown(function() client:close() end)

    local function fetch(body)
      space:fault{ operation = "alert", body = body }
      return client:alert "da637472900382838869_1364969609"
    end

    it("is accepted, refused or either likewise", function()
      for _, case in ipairs(on_the_wire.accept) do assert.same(case[3], (fetch(case[2])), case[1]) end
      for _, case in ipairs(on_the_wire.refuse) do is_refused(fetch(case[2])) end
      for _, case in ipairs(on_the_wire.either) do is_either(fetch(case[2])) end
      assert.equal(1, client:stats().connections)
    end)
  end)
end)

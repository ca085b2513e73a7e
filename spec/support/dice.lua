--- Random numbers that are the same on every interpreter, for tests that print their seed.
--
--     local dice = require("spec.support.dice").new(seed)
--     dice()          in [0, 1)
--     dice(6)         a whole number from 1 to 6
--     dice.pick(list)
--
-- MDE_SEED in the environment repeats a run.
local dice = {}

local MODULUS = 2147483647

function dice.seed()
  return tonumber(os.getenv "MDE_SEED") or os.time() % 1000000 + 1
end

--- Park and Miller's generator: its products fit into a double.
function dice.new(seed)
  local state = seed % (MODULUS - 1) + 1
  local function roll(sides)
    state = state * 16807 % MODULUS
    local fraction = (state - 1) / (MODULUS - 1)
    return sides and math.floor(fraction * sides) + 1 or fraction
  end
  return setmetatable({ pick = function(list) return list[roll(#list)] end },
    { __call = function(_, sides) return roll(sides) end })
end

return dice

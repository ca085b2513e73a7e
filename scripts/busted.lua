--- Runs busted by whichever interpreter this is given to: `luajit scripts/busted.lua spec/quota_spec.lua`.
require "busted.runner"{ standalone = false }

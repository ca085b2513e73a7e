--- Runs busted by whichever interpreter this is given to: `luajit scripts/busted.lua spec/quota_spec.lua`. With
-- MDE_COLLECTOR=eager the collector never rests.
if os.getenv "MDE_COLLECTOR" == "eager" then require "spec.support.eager" () end
require "busted.runner"{ standalone = false }

--- Who may fetch a key, of all workers: one at a time, for as long as it lives.
local SECONDS, RENEWED_AFTER = 2, 0.5 -- a worker that was killed holds nobody up for longer

local leases = ngx.shared.gateway_leases

local lease = {}

--- False: another worker has it.
function lease.take(key) return leases:add(key, true, SECONDS) and true or false end

function lease.is_taken(key) return leases:get(key) ~= nil end

--- Runs what it was taken for, and gives it back. Raises what `work` raises.
function lease.hold(key, work)
  local renewer = ngx.thread.spawn(function()
    while true do
      ngx.sleep(RENEWED_AFTER)
      leases:set(key, true, SECONDS)
    end
  end)
  local fine, outcome = pcall(work)
  ngx.thread.kill(renewer)
  leases:delete(key)
  if not fine then error(outcome, 0) end
  return outcome
end

return lease

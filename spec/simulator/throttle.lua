-- The service's answer to one request too many.

local errors = require "spec.simulator.errors"

local throttle = {}

-- Dates count whole seconds, so they are rounded up: nobody who obeys may come too early.
local retry_after = {
  seconds = function(wait) return ("%d"):format(math.max(1, math.ceil(wait))) end,
  http_date = function(wait) return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.ceil(ngx.now() + wait)) end,
  rfc850 = function(wait) return os.date("!%A, %d-%b-%y %H:%M:%S GMT", math.ceil(ngx.now() + wait)) end,
  asctime = function(wait) return os.date("!%a %b %e %H:%M:%S %Y", math.ceil(ngx.now() + wait)) end,
}

function throttle.knows(form)
  return form == false or retry_after[form] ~= nil
end

-- 60 -> "00:01:00", as .NET writes a span of time.
local function timespan(seconds)
  local whole = math.floor(seconds)
  local text = ("%02d:%02d:%02d"):format(math.floor(whole / 3600), math.floor(whole / 60) % 60, whole % 60)
  if whole == seconds then return text end
  return text .. (".%07d"):format((seconds - whole) * 1e7)
end

function throttle.add_retry_after(answer, wait, form)
  local write = retry_after[form]
  if write then answer.headers["Retry-After"] = write(wait) end
end

-- `window` is the one that is exceeded, `settings` = { code =, retry_after = form or false }.
function throttle.answer(window, wait, settings)
  local answer = errors.answer(429, settings.code,
    ("API calls quota exceeded! maximum allowed %d per %s"):format(window.limit, timespan(window.seconds)))
  throttle.add_retry_after(answer, wait, settings.retry_after)
  return answer
end

return throttle

--- An nginx with the module in it, for specs: two workers (or `workers`), on loopback, stopped by its pid.
--
--     local server = nginx.start{ http = "init_by_lua_block { ... }", server = "location / { ... }" }
--     server:get "/path"                    status, body, and curl's seconds
--     server:reload() server:log() server:workers() server:stop()
--
-- `http` and `server` are added to those blocks; @NAME@ in them is replaced by what `values.NAME` says. nginx's
-- interpreter is LuaJIT, so MDE_BUILD must be a build for that.
local shell = require "spec.support.shell"

local nginx = {}

local quote = shell.quote

local FRAME = [[
%s
daemon on;
worker_processes @WORKERS@;
worker_shutdown_timeout 30s;
pid @DIRECTORY@/nginx.pid;
error_log @DIRECTORY@/error.log notice;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path @DIRECTORY@/body; proxy_temp_path @DIRECTORY@/proxy; fastcgi_temp_path @DIRECTORY@/fastcgi;
  uwsgi_temp_path @DIRECTORY@/uwsgi; scgi_temp_path @DIRECTORY@/scgi;
  lua_package_path "@ROOT@/@BUILD@/?.lua;@ROOT@/?.lua;;";
  lua_package_cpath "@ROOT@/@BUILD@/?.so;;";
  %s
  server {
    listen 127.0.0.1:@PORT@ reuseport;
    %s
  }
}
]]

local Server = {}
Server.__index = Server

local function render(self, options)
  -- Workers of root's nginx would else be nobody, who may not read what specs write.
  local user = shell.must "id -u":match "%d+" == "0" and "user root;\n" or ""
  local modules = shell.must ". scripts/nginx.sh && load_modules"
  local text = FRAME:format(user .. modules, options.http or "", options.server or "")
  local values = {
    WORKERS = tostring(options.workers or 2), DIRECTORY = self.directory, ROOT = shell.must "pwd":match "%S+",
    PORT = tostring(self.port), BUILD = os.getenv "MDE_BUILD",
  }
  for name, value in pairs(options.values or {}) do values[name] = value end
  -- Twice: values may hold names of others.
  return (text:gsub("@([%u_]+)@", values):gsub("@([%u_]+)@", values))
end

local function launch(self)
  local command = "PATH=$PATH:/usr/sbin:/sbin; cd %s && env %s nginx -p . -c nginx.conf </dev/null 2>&1"
  local ok, output = shell.run(command:format(quote(self.directory), self.environment))
  if not ok and not output:find "Address already in use" then error("nginx does not start: " .. output, 0) end
  return ok
end

function nginx.start(options)
  local self = { directory = shell.temporary_directory(), environment = options.environment or "" }
  setmetatable(self, Server)
  for _ = 1, 20 do
    self.port = tonumber((shell.must ". scripts/nginx.sh && random_port"))
    self.url = "http://127.0.0.1:" .. self.port
    shell.write(self.directory .. "/nginx.conf", render(self, options))
    if launch(self) then
      self.pid = shell.must(("until test -s %s/nginx.pid; do sleep 0.01; done; cat %s/nginx.pid")
        :format(self.directory, self.directory)):match "%d+"
      return self
    end
  end
  error "no free port for nginx"
end

--- Status, body, seconds.
function Server:get(path, arguments)
  local output = shell.must(("curl -s --noproxy '*' --max-time 60 %s -w '\\n%%{http_code} %%{time_total}' %s || true")
    :format(arguments or "", quote(self.url .. path)))
  local body, status, seconds = output:match "^(.*)\n(%d+) ([%d.]+)%s*$"
  return tonumber(status), body, tonumber(seconds)
end

function Server:log() return shell.read(self.directory .. "/error.log") end

function Server:workers()
  return shell.lines((shell.must("pgrep -P " .. self.pid .. " || true")))
end

--- Of its workers, in whole ticks of 10 ms.
function Server:cpu_seconds()
  local ticks = 0
  for _, pid in ipairs(self:workers()) do
    local fields = {}
    local text = shell.read("/proc/" .. pid .. "/stat"):match "%) (.*)"
    for field in text:gmatch "%S+" do fields[#fields + 1] = field end
    ticks = ticks + tonumber(fields[12]) + tonumber(fields[13]) -- of user and system
  end
  return ticks / 100
end

function Server:reload() shell.must("kill -HUP " .. self.pid) end

--- As the simulator does: in the folder that MDE_KEEP_LOGS names.
local function keep_log(self)
  local folder = os.getenv "MDE_KEEP_LOGS"
  if not folder then return end
  shell.must(("mkdir -p %s && cp %s/error.log %s/nginx-$(basename %s).log"):format(
    quote(folder), quote(self.directory), quote(folder), quote(self.directory)))
end

function Server:stop()
  shell.run(("(kill %s; for i in $(seq 500); do kill -0 %s 2>/dev/null || exit 0; sleep 0.01; done; kill -9 %s)")
    :format(self.pid, self.pid, self.pid))
  keep_log(self)
  shell.must("rm -rf " .. quote(self.directory))
end

return nginx

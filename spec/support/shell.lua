--- Commands of the system, for specs that look at the module from outside.
local shell = {}

function shell.quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

--- Runs a command line; returns whether it ended with 0, and what it printed on both outputs.
function shell.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; printf '\\n%s' $?"))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.*)\n(%d+)%s*$")
  return status == "0", (text:gsub("\n$", ""))
end

--- As `run`, but a failure is an error that shows the output. Returns the output.
function shell.must(command)
  local ok, output = shell.run(command)
  if not ok then error(command .. "\n" .. output, 2) end
  return output
end

function shell.lines(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

--- The interpreter that runs this, as a command.
function shell.interpreter()
  local least = 0
  while arg[least - 1] do least = least - 1 end
  return arg[least]
end

function shell.temporary_directory() return shell.must("mktemp -d") end

function shell.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function shell.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- As a file must be that holds a secret. Returns its path.
function shell.write_secret(path, text)
  shell.write(path, text)
  shell.must("chmod 600 " .. path)
  return path
end

return shell

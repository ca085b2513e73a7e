--- Compiles a C file of this directory into a shared object, and returns its directory, to be removed by the caller.
--
--     local directory = compile "fork"          spec/support/fork.c -> directory/fork.so
local shell = require "spec.support.shell"

local function headers_of_lua()
  local version = _VERSION:match "%d%.%d"
  local names = rawget(_G, "jit") and "luajit" or ("lua%s lua-%s lua"):format(version, version)
  return shell.must(("for name in %s; do pkg-config --cflags $name 2>/dev/null && break; done"):format(names))
end

return function(name)
  local directory = shell.temporary_directory()
  shell.must(("cc -O1 -Wall -Wextra -Werror -fPIC -shared %s spec/support/%s.c -o %s/%s.so")
    :format(headers_of_lua(), name, directory, name))
  return directory
end

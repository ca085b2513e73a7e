# shellcheck shell=bash disable=SC2154 # variables of test.sh
# For scripts/test.sh: what runs under sanitizers and under valgrind.

# An interpreter like any other, to others and to itself, that has the sanitizer's runtime in it: the interpreter was not
# built with it. LD_PRELOAD would hand the runtime on to nginx, curl and all the rest that the specs start.
sanitized_interpreter() { # FOLDER COMPILER
  local program loader library=libasan.so
  program=$(command -v lua5.4)
  loader=$(ldd "$program" | awk '/ld-linux|ld64/ { print $1 }')
  case $2 in *clang*) library=$(basename "$(clang -print-file-name="libclang_rt.asan-$(uname -m).so")") ;; esac
  library=$("$2" -print-file-name="$library")
  # Two small leaks of the C library: its loader's names of libraries, its list of folders for locales.
  printf 'leak:add_name_to_object\nleak:argz_add_sep\n' > "$1/leaks.supp"
  cat > "$1/lua5.4" << END
#!/bin/sh
export LSAN_OPTIONS=suppressions=$PWD/$1/leaks.supp:print_suppressions=0
first=$library\${LD_PRELOAD:+:\$LD_PRELOAD}
unset LD_PRELOAD
exec $loader --preload "\$first" --argv0 "\$0" $program "\$@"
END
  chmod +x "$1/lua5.4"
}

# Likewise; what it starts is not watched.
valgrind_interpreter() { # INTERPRETER
  local program=$logs/valgrind/$1
  mkdir -p "$logs/valgrind"
  cat > "$program" << END
#!/bin/sh
exec valgrind -q --child-silent-after-fork=yes --leak-check=full --show-leak-kinds=definite,indirect \\
  --errors-for-leak-kinds=definite,indirect --error-exitcode=9 $1 "\$@"
END
  chmod +x "$program"
  echo "$program"
}

# Every way through the module in two minutes, HTTP and TLS among them. The simulator ends by itself with this shell.
scenario() { # NAME INTERPRETER BUILD
  local service
  service=$(mktemp -d)
  check "$1-simulator" spec/simulator/simulator.sh start "$service" "$BASHPID"
  check "$1-scenario" env MDE_SIMULATOR_DIR="$service" LUA_CPATH="$3/?.so;;" LUA_PATH="$3/?.lua;./?.lua;;" \
    timeout -k 5 300 "$2" spec/support/scenario.lua
  spec/simulator/simulator.sh stop "$service" > "$logs/$1-simulator-stop.log" 2>&1
  rm -rf "$service"
}

# What has no place under a tool that makes all slow, or that watches memory itself.
unwatched='timing,schedules,examples,real%-memory,as%-built'

# What besides has none where all is ten times slower: what asks for much within a server's delay (brisk), tens of
# thousands of odd calls (scenario.lua has some of them), and others' programs.
slowly='brisk,odd,nginx,simulator'

sanitized_build() { # COMPILER
  local folder="build/lua5.4-$1-sanitized"
  make_quietly SANITIZE=address,undefined all build-unit LUA=lua5.4 CC="$1" && sanitized_interpreter "$folder" "$1"
}

sanitize() { # part: addresses, undefined behaviour and leaks, in all that there is
  local folder="build/lua5.4-$variant-sanitized"
  check sanitize-build sanitized_build "$compiler"
  MDE_SCHEDULES=1000 run_unit sanitize-unit "$variant-sanitized"
  run_busted sanitize-lua5.4 "$PWD/$folder/lua5.4" "$folder" "--exclude-tags=$unwatched"
}

# part: the specs likewise, with the collector as eager as it can be; for `make check`
eager() {
  local share names=()
  check sanitize-build sanitized_build "$compiler"
  for ((share = 0; share < cores; share++)); do names+=("eager-$share"); done
  at_once "$cores" "${names[@]}"
}

eager_share() { # NUMBER: of as many as there are cores
  local folder="build/lua5.4-$variant-sanitized" files=(spec/*_spec.lua) own=() i
  for ((i = $1; i < ${#files[@]}; i += cores)); do own+=("${files[i]}"); done
  SPEC=${SPEC:-${own[*]}} MDE_COLLECTOR=eager busted_seconds=3600 \
    run_busted "eager-$1" "$PWD/$folder/lua5.4" "$folder" "--exclude-tags=$unwatched,$slowly"
}

valgrind() { # part: every way through the module
  local name
  for name in lua5.4 luajit; do
    scenario "valgrind-$name" "$(valgrind_interpreter $name)" "build/$name-$variant"
  done
}

valgrind_suite() { # part: valgrind-suite, which is all of the specs; for `make check`
  at_once "$cores" valgrind-suite-lua5.4 valgrind-suite-luajit
}

valgrind_suite_of() { # INTERPRETER
  busted_seconds=3000 run_busted "valgrind-suite-$1" "$(valgrind_interpreter "$1")" "build/$1-$variant" \
    "--exclude-tags=$unwatched,$slowly"
}

other_compiler() { # part: other-compiler
  local folder="build/lua5.4-$other-sanitized"
  check "$other-build" make_quietly build-all build-unit CC="$other"
  MDE_SCHEDULES=1000 run_unit "$other-unit" "$other"
  check "$other-sanitize-build" sanitized_build "$other"
  MDE_SCHEDULES=1000 run_unit "$other-sanitize-unit" "$other-sanitized"
  scenario "$other-sanitize" "$PWD/$folder/lua5.4" "$folder"
}

#!/usr/bin/env bash
# `make test`: everything, each part with logs of its own in build/log, and one total at the end.
#
#   scripts/test.sh COMPILER [PART...]
#
# A part is an interpreter (lua5.1 lua5.2 lua5.3 lua5.4 luajit) or a function below that says "part:".
# SPEC=spec/some_spec.lua in the environment runs that file only; EXCLUDE=tag leaves out what bears that tag.
set -u

compiler=${1:-gcc}
shift
other=$([ "${compiler##*/}" = clang ] && echo gcc || echo clang)
variant=${compiler##*/}
interpreters="lua5.1 lua5.2 lua5.3 lua5.4 luajit"
logs=build/log
rm -rf "$logs"
mkdir -p "$logs"

# The same everywhere: no settings of the user's own for Lua, proxies or certificates, none of an outer make.
unset "${!LUA_@}" MAKEFLAGS MAKELEVEL MFLAGS CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
PATH=$PATH:/usr/sbin:/sbin

cores=$(nproc)
make_quietly() { make --no-print-directory -s -j"$cores" WERROR=-Werror "$@"; }
within() { timeout --foreground -k 5 "$@"; } # SECONDS COMMAND...: what hangs has failed

# --- counting: each check leaves "PASSED FAILED" in a file ---------------------------------------

count() { echo "$2 $3" > "$logs/$1.count"; }

# NAME COMMAND...: one check, passed if the command ends with 0.
check() {
  local name=$1; shift
  if "$@" > "$logs/$name.log" 2>&1; then count "$name" 1 0; else count "$name" 0 1; fi
}

# The sum of the numbers that the sed expression finds on standard input.
sum_of() { sed -n "s/$1/\\1/p" | awk '{ sum += $1 } END { print sum + 0 }'; }

# Whoever ends badly without naming a failure, or has tested nothing, has failed once.
at_least_one() { # STATUS PASSED FAILED
  if [ "$3" -eq 0 ] && { [ "$1" -ne 0 ] || [ "$2" -eq 0 ]; }; then echo 1; else echo "$3"; fi
}

count_busted() { # NAME STATUS: from busted's own summary, the last there is
  local summary passed failed
  summary=$(grep -aE '^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / ' "$logs/$1.log" | tail -n 1)
  passed=$(sum_of '^\([0-9]*\) success.*' <<< "$summary")
  failed=$(tr '/' '\n' <<< "$summary" | sum_of '^ \([0-9]*\) \(failure\|error\).*')
  count "$1" "$passed" "$(at_least_one "$2" "$passed" "$failed")"
}

count_tap() { # NAME STATUS: from the summary of node's own tests
  local passed failed
  passed=$(sum_of '^# pass \([0-9]*\)$' < "$logs/$1.log")
  failed=$(sed 's/^# cancelled /# fail /' "$logs/$1.log" | sum_of '^# fail \([0-9]*\)$')
  count "$1" "$passed" "$(at_least_one "$2" "$passed" "$failed")"
}

# --- running -------------------------------------------------------------------------------------

run_unit() { # NAME VARIANT: the cmocka programs of build/common-VARIANT
  local source program status output passed=0 failed=0 p f
  for source in spec/core/*_test.c; do
    program=build/common-$2/unit/$(basename "$source" .c)
    output=$logs/$1-$(basename "$program").txt
    within 120 "$program" > "$output" 2>&1
    status=$?
    p=$(sum_of '^\[  PASSED  \] \([0-9][0-9]*\) test.*' < "$output")
    f=$(sum_of '^\[  FAILED  \] \([0-9][0-9]*\) test.*' < "$output")
    f=$(at_least_one "$status" "$p" "$f")
    [ "$f" -eq 0 ] || { echo "FAILED: $program, status $status"; tail -n 40 "$output"; }
    passed=$((passed + p)) failed=$((failed + f))
  done > "$logs/$1.log"
  count "$1" "$passed" "$failed"
}

run_busted() { # NAME INTERPRETER BUILD ARGUMENTS...
  local name=$1 interpreter=$2 build=$3; shift 3
  LUA_CPATH="$build/?.so;;" LUA_PATH="$build/?.lua;./?.lua;;" MDE_BUILD="$build" \
    within 900 "$interpreter" scripts/busted.lua "$@" ${SPEC:-} > "$logs/$name.log" 2>&1
  count_busted "$name" $?
}

specs_tagged() { grep -rlq --include='*_spec.lua' -e "#$1" spec; }

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

# --- parts ---------------------------------------------------------------------------------------

build() { check build make_quietly build-all CC="$compiler"; }

lint() { # part:
  check luacheck luacheck -q --no-color . rockspec/*.rockspec
  check_format
}

check_format() { # part: check-format
  check clang-format sh -c 'clang-format --dry-run -Werror lua_mde/*/*.[ch] spec/core/*.[ch] bench/*.c'
}

unit() { # part:
  check unit-build make_quietly build-unit CC="$compiler"
  run_unit unit "$variant"
  without_libcrypto
}

# What a machine without OpenSSL's headers builds.
without_libcrypto() {
  local program="build/common-$variant-without-libcrypto/unit/assertion_test"
  check no-libcrypto-build make_quietly LIBCRYPTO=no all "$program" LUA=lua5.4 CC="$compiler"
  check no-libcrypto within 120 "$program"
  # shellcheck disable=SC2016 # Lua
  check no-libcrypto-says env LUA_CPATH="build/lua5.4-$variant-without-libcrypto/?.so;;" lua5.4 -e '
    local ok, words = pcall(require("mde").client, { tenant_id = "t", client_id = "c", certificate = "app.pem" })
    print(words)
    assert(not ok and words:find("this build of mde has no libcrypto", 1, true))'
}

# An interpreter. The specs that measure real time are left for `timing`.
interpreter() { run_busted "$1" "$1" "build/$1-$variant" "--exclude-tags=timing${EXCLUDE:+,$EXCLUDE}"; }

spec() { # part:
  local name
  for name in $interpreters; do interpreter "$name"; done
}

# part: the specs that measure real time: after all others and few at once, so that nothing disturbs them.
timing() {
  local name names=()
  specs_tagged timing || return 0
  for name in $interpreters; do names+=("timing-$name"); done
  at_once $(((cores + 1) / 2)) "${names[@]}"
}

sanitize() { # part: addresses, undefined behaviour and leaks
  local flags="SANITIZE=address,undefined" folder="build/lua5.4-$variant-sanitized"
  # shellcheck disable=SC2086 # flags are words
  check sanitize-build make_quietly $flags all build-unit LUA=lua5.4 CC="$compiler"
  MDE_SCHEDULES=1000 run_unit sanitize-unit "$variant-sanitized"
  sanitized_interpreter "$folder" "$compiler"
  run_busted sanitize-lua5.4 "$PWD/$folder/lua5.4" "$folder" '--exclude-tags=timing,schedules,examples,real%-memory,as%-built'
}

valgrind() { # part:
  local folder="build/lua5.4-$variant" service
  service=$(mktemp -d)
  # HTTP and TLS are part of the scenario. The simulator ends by itself with this shell, should it be killed.
  check valgrind-simulator spec/simulator/simulator.sh start "$service" "$BASHPID"
  check valgrind env MDE_SIMULATOR_DIR="$service" LUA_CPATH="$folder/?.so;;" LUA_PATH="$folder/?.lua;./?.lua;;" \
    timeout -k 5 240 valgrind -q --child-silent-after-fork=yes --leak-check=full \
    --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect --error-exitcode=9 \
    lua5.4 spec/support/valgrind_scenario.lua
  spec/simulator/simulator.sh stop "$service" > "$logs/valgrind-simulator-stop.log" 2>&1
  rm -rf "$service"
}

other_compiler() { # part: other-compiler
  check "$other-build" make_quietly build-all build-unit CC="$other"
  MDE_SCHEDULES=1000 run_unit "$other-unit" "$other"
  check "$other-sanitize-build" make_quietly SANITIZE=address,undefined build-unit CC="$other"
  MDE_SCHEDULES=1000 run_unit "$other-sanitize-unit" "$other-sanitized"
}

# The lock, and nothing that a package would run; once for each lock.
install_locked() { # NAME: from spec/NAME to build/NAME
  local from=spec/$1 to=build/$1
  cmp -s "$from/package-lock.json" "$to/installed" && return
  mkdir -p "$to"
  cp "$from/package.json" "$from/package-lock.json" "$to"
  within 300 npm --prefix "$to" ci --ignore-scripts --no-audit --no-fund &&
    cp "$from/package-lock.json" "$to/installed"
}

oauth() { # part: the client against a token server by others; not in everything, since npm brings that server
  check oauth-install install_locked oauth
  SPEC='' run_busted oauth lua5.4 "build/lua5.4-$variant" spec/oauth/flows.lua
}

browser() { # part: the gateway's page in a browser; likewise
  check browser-install install_locked browser
  NODE_PATH=build/browser/node_modules MDE_BUILD="build/luajit-$variant" \
    within 400 node --test-reporter=tap spec/browser/flows.js > "$logs/browser.log" 2>&1
  count_tap browser $?
}

part() {
  count "unfinished-$1" 0 1 # taken back below: what breaks off in the middle counts
  case $1 in
    lua5.[1-4] | luajit) interpreter "$1" ;;
    timing-*) run_busted "$1" "${1#timing-}" "build/${1#timing-}-$variant" --tags=timing ;;
    lint | unit | spec | timing | sanitize | valgrind | oauth | browser) "$1" ;;
    check-format | other-compiler) "${1/-/_}" ;;
    *) echo "no such part: $1" >&2; return ;;
  esac
  rm -f "$logs/unfinished-$1.count"
}

# Each part is a process group of its own, so that it can be ended as a whole.
at_once() { # MOST PART...
  local most=$1 name; shift
  set -m
  trap 'for name in $(jobs -p); do kill -- "-$name"; done; exit 130' INT TERM
  for name in "$@"; do
    [ "$(jobs -pr | wc -l)" -lt "$most" ] || wait -n
    part "$name" < /dev/null &
  done
  wait
  trap - INT TERM
  set +m
}

# One more than there are cores: the specs wait a good deal. The longest first.
everything() {
  # shellcheck disable=SC2086 # a word for each
  at_once $((cores + 1)) sanitize other-compiler $interpreters valgrind unit lint
  timing
}

# --- the total -----------------------------------------------------------------------------------

report() {
  local passed=0 failed=0 file name p f
  for file in "$logs"/*.count; do
    name=$(basename "$file" .count)
    read -r p f < "$file"
    passed=$((passed + p)) failed=$((failed + f))
    printf '%-22s %6d passed %5d failed\n' "$name" "$p" "$f"
    if [ "$f" -gt 0 ] && [ -e "$logs/$name.log" ]; then
      echo "--- from $logs/$name.log"
      { grep -aE -A12 '^(Failure|Error|FAILED|not ok)|error:|ERROR: ' "$logs/$name.log" | head -n 150
        tail -n 15 "$logs/$name.log"; } | cut -c 1-300
      echo "---"
    fi
  done
  echo "$SECONDS seconds"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

echo "Building with $compiler; logs are in $logs."
case "$*" in lint | check-format) ;; *) build ;; esac
if [ $# -eq 0 ]; then everything; else at_once 1 "$@"; fi
report

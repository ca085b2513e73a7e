#!/usr/bin/env bash
# `make test`: everything, each part with logs of its own in build/log, and one total at the end.
#
#   scripts/test.sh COMPILER [PART...]
#
# A part is an interpreter (lua5.1 lua5.2 lua5.3 lua5.4 luajit) or a function below that says "part:".
# In the environment SPEC=spec/some_spec.lua runs that file only; AT_ONCE=2 as many of the named parts at once.
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
export MDE_KEEP_LOGS=$PWD/$logs/servers # of those that the specs start

cores=$(nproc)
make_quietly() { make --no-print-directory -s -j"$cores" WERROR=-Werror "$@"; }
within() { timeout --foreground -k 5 "$@"; } # SECONDS COMMAND...: what hangs has failed

# shellcheck source=scripts/test/count.sh
. scripts/test/count.sh

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
    within "${busted_seconds:-900}" "$interpreter" scripts/busted.lua "$@" ${SPEC:-} > "$logs/$name.log" 2>&1
  count_busted "$name" $?
}

specs_tagged() { grep -rlq --include='*_spec.lua' -e "#$1" spec; }

# shellcheck source=scripts/test/watched.sh
. scripts/test/watched.sh
# shellcheck source=scripts/test/trust.sh
. scripts/test/trust.sh

# --- parts ---------------------------------------------------------------------------------------

build() { check build make_quietly build-all CC="$compiler"; }

lint() { # part:
  check luacheck luacheck -q --no-color . rockspec/*.rockspec
  check_format
}

check_format() { # part: check-format
  check clang-format sh -c 'clang-format --dry-run -Werror lua_mde/*/*.[ch] spec/core/*.[ch] fuzz/*.[ch] spec/torture/*.[ch] bench/*.c'
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
# What is about the simulator itself needs one.
interpreter() {
  local but=timing
  [ "$1" = lua5.4 ] || but+=,simulator
  run_busted "$1" "$1" "build/$1-$variant" "--exclude-tags=$but"
}

spec() { # part:
  local name
  for name in $interpreters; do interpreter "$name"; done
}

# part: other-specs, once more with what the other compiler makes. What nginx is tried with is Lua, which none changes.
other_specs() {
  check "$other-luajit-build" make_quietly build-luajit CC="$other"
  run_busted "$other-luajit" luajit "build/luajit-$other" --exclude-tags=timing,simulator,nginx
}

# part: the specs that measure real time: after all others and few at once, so that nothing disturbs them.
timing() {
  local name names=()
  specs_tagged timing || return 0
  for name in luajit lua5.4 lua5.1 lua5.2 lua5.3; do names+=("timing-$name"); done
  at_once $((cores + 1)) "${names[@]}" # they wait most of the time
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
  local began=$SECONDS
  count "unfinished-$1" 0 1 # taken back below: what breaks off in the middle counts
  case $1 in
    lua5.[1-4] | luajit) interpreter "$1" ;;
    eager-*) eager_share "${1#eager-}" ;;
    valgrind-suite-*) valgrind_suite_of "${1#valgrind-suite-}" ;;
    timing-*) run_busted "$1" "${1#timing-}" "build/${1#timing-}-$variant" --tags=timing ;;
    fuzz-*) fuzz_target "${1#fuzz-}" ;;
    lint | unit | spec | timing | sanitize | eager | valgrind | torture | fuzz | endurance | oauth | browser) "$1" ;;
    check-format | other-compiler | other-specs | valgrind-suite) "${1/-/_}" ;;
    *) echo "no such part: $1" >&2; return ;;
  esac
  rm -f "$logs/unfinished-$1.count"
  echo "$1 $((SECONDS - began))" >> "$logs/durations"
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

# Two more than there are cores: the specs wait a good deal. The longest first.
everything() {
  at_once $((cores + 2)) sanitize luajit lua5.4 lua5.2 lua5.1 lua5.3 other-compiler valgrind unit lint
  timing
  part endurance # alone, too: where much else runs its slopes are lost in noise
}

# What was written by whomever holds none of the specs' secrets: the parts, and the servers that they started.
secret_scan() { check secret-scan scripts/secret_scan.sh "$logs"; }

# --- the total -----------------------------------------------------------------------------------

report() {
  local passed=0 failed=0 file name p f
  for file in "$logs"/*.count; do
    name=$(basename "$file" .count)
    read -r p f < "$file"
    passed=$((passed + p)) failed=$((failed + f))
    printf '%-26s %6d passed %5d failed\n' "$name" "$p" "$f"
    if [ "$f" -gt 0 ] && [ -e "$logs/$name.log" ]; then
      echo "--- from $logs/$name.log"
      { grep -aE -A12 '^(Failure|Error|FAILED|not ok)|error:|ERROR: ' "$logs/$name.log" | head -n 150
        tail -n 15 "$logs/$name.log"; } | cut -c 1-300
      echo "---"
    fi
  done
  echo "$SECONDS seconds: $(sort -rnk2 "$logs/durations" | paste -sd ' ')"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

echo "Building with $compiler; logs are in $logs."
case "$*" in lint | check-format | fuzz) ;; *) build ;; esac
if [ $# -eq 0 ]; then everything; else at_once "${AT_ONCE:-1}" "$@"; fi
secret_scan
report

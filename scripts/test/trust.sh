# shellcheck shell=bash disable=SC2154 # variables of test.sh
# For scripts/test.sh: what looks for failures that nobody has thought of.

# part: each allocation and each system call fails. TORTURE_EVERY=20 tries one point of twenty, TORTURE_LUA="lua5.1 lua5.3"
# other interpreters; not LuaJIT, which tells its allocator untrue sizes.
torture() {
  local name
  for name in ${TORTURE_LUA:-lua5.4}; do
    check "torture-build-$name" make_quietly build-torture LUA="$name" CC="$compiler"
    LUA_PATH="build/$name-$variant/?.lua;./?.lua;;" within 900 "build/$name-$variant/torture/torture" \
      spec/torture/run.lua > "$logs/torture-$name.log" 2>&1
    count_tap "torture-$name" $?
  done
}

# part: each target for FUZZ_SECONDS; without that for 30 what reads other parties' bytes, for 3 what lies behind it
fuzz() {
  local source names=()
  check fuzz-build make_quietly build-fuzz
  for source in fuzz/*.c; do names+=("fuzz-$(basename "$source" .c)"); done
  at_once "$cores" "${names[@]}"
}

fuzz_target() { # TARGET
  local seconds=3
  case $1 in answer | call | claims | http_date | paging | quota_file | response | uri) seconds=30 ;; esac
  check "fuzz-$1" env FUZZ_SECONDS="${FUZZ_SECONDS:-$seconds}" scripts/fuzz.sh "$1"
}

endurance() { # part: many calls of all kinds: memory, descriptors, counts; `make endurance` makes more of them
  SPEC='' run_busted endurance lua5.4 "build/lua5.4-$variant" spec/endurance/flows.lua
}

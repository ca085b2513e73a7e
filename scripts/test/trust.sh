# shellcheck shell=bash disable=SC2154 # variables of test.sh
# For scripts/test.sh: what looks for failures that nobody has thought of.

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

# shellcheck shell=bash disable=SC2154 # variables of test.sh
# For scripts/test.sh: what looks for failures that nobody has thought of.

fuzz() { # part: each target for FUZZ_SECONDS, or 30
  local source names=()
  check fuzz-build make_quietly build-fuzz
  for source in fuzz/*.c; do names+=("fuzz-$(basename "$source" .c)"); done
  at_once "$cores" "${names[@]}"
}

endurance() { # part: many calls of all kinds: memory, descriptors, counts; `make endurance` makes more of them
  SPEC='' run_busted endurance lua5.4 "build/lua5.4-$variant" spec/endurance/flows.lua
}

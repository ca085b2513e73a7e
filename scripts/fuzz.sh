#!/usr/bin/env bash
# `make fuzz`: gives each target of fuzz/ bytes that others might send, at random, and a line that says how it went.
#
#   scripts/fuzz.sh [TARGET...]          all unless named, one on each core
#   FUZZ_SECONDS=600 scripts/fuzz.sh uri
#   FUZZ_SECONDS=0 scripts/fuzz.sh       no new bytes: the seeds of fuzz/corpus, and what was found before
#
# What libFuzzer finds of interest is kept in build/fuzz/TARGET, from run to run. Leaks are looked for at the end: the
# heap of spec/core/test.h finds most of them at once, and Lua's garbage looks like one.
set -u

programs=build/lua5.4-clang-fuzzed/fuzz
results=build/fuzz
seconds=${FUZZ_SECONDS:-30}

number_of() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }
last_of() { grep -ao "$1: [0-9]*" "$2" | tail -n 1 | tr -dc 0-9; }

fuzz() { # TARGET
  local name=$1 program=$programs/$1 log=$results/$1.log status
  local options=(-artifact_prefix="$results/$name-" -print_final_stats=1 -timeout=20 -detect_leaks=0)
  if [ "$seconds" -gt 0 ]; then options+=(-max_total_time="$seconds"); else options+=(-runs=0); fi
  [ ! -e "fuzz/$name.dict" ] || options+=(-dict="fuzz/$name.dict")
  mkdir -p "$results/$name" "$scratch/$name"
  TMPDIR=$scratch/$name "$program" "${options[@]}" "$results/$name" "fuzz/corpus/$name" > "$log" 2>&1
  status=$?
  printf '%-14s %9s runs %7s a second, coverage %5s, features %5s\n' "$name" \
    "$(number_of number_of_executed_units "$log")" "$(number_of average_exec_per_sec "$log")" \
    "$(last_of cov "$log")" "$(last_of ft "$log")"
  [ "$status" -eq 0 ] || complain "$name" "$log"
}

complain() { # TARGET LOG
  local found
  found=$(sed -n 's/.*Test unit written to //p' "$2")
  grep -aE 'ERROR: |runtime error: | in .*\.[ch](:[0-9]+)+$|^(fuzz|lua_mde)/.*\.lua:|^SUMMARY: ' "$2" | head -n 40
  echo "FAILED: $1; all of it is in $2. Again:"
  echo "  $programs/$1 $found"
  return 1
}

if [ "${1:-}" = --one ]; then
  fuzz "$2"
  exit
fi

scratch=$(mktemp -d)
export scratch
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2046 # a word for each
[ $# -gt 0 ] || set -- $(basename -s .c fuzz/*.c)
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --one

#!/usr/bin/env bash
# Runs each of its arguments, a command whose output comes to a line "N passed, N failed", and prints the total of them
# all as its last line. One that has not come to its total has failed.
#
#   scripts/runs.sh 'make test' 'scripts/test.sh clang lua5.4'
set -u
cd "$(dirname "$0")/.." || exit
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for command in "$@"; do sh -c "$command"; done < /dev/null 2>&1 | tee "$log"

awk -v runs=$# '
  /^[0-9]+ passed, [0-9]+ failed$/ { runs--; passed += $1; failed += $3 }
  END { failed += runs; print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 || passed == 0 }' "$log"

# shellcheck shell=bash disable=SC2154 # variables of test.sh
# For scripts/test.sh: each check leaves "PASSED FAILED" in $logs/NAME.count.

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

#!/usr/bin/env bash
# Looks through what a run of the suite has left for the secrets that its specs use: names the files that hold one, and
# then fails.
#
#   scripts/secret_scan.sh FOLDER
#
# By these marks they are known, as they are and in base64; a spec's secret that is sent to a server bears one of them.
set -eu

marks=(
  simulator-token- 'simulator~secret' simulator-identity-header- # of the simulator
  Marked hunter2                                                 # of specs that look for them themselves
  eyJ0eXAi                                                       # a JWT begins so
  'PRIVATE KEY-----'
)

# Whatever stands before it: the characters that its bytes alone decide.
in_base64() { # MARK
  local skip
  for skip in 0 1 2; do
    head -c "$skip" /dev/zero | cat - <(printf %s "$1") | base64 -w 0 |
      cut -c $((skip + skip / 2 + (skip > 0) + 1))-$((4 * ((skip + ${#1}) / 3)))
  done
}

patterns() {
  local mark
  for mark in "${marks[@]}"; do
    echo "$mark"
    # Shorter ones would stand in anything.
    if [ "${#mark}" -ge 12 ]; then in_base64 "$mark"; fi
  done
}

[ -n "$(find "$1" -type f -size +0 -print -quit)" ] || { echo "nothing to look through in $1"; exit 1; }

own=secret-scan.log # what this prints there
if grep -r -a -l -F -f <(patterns) --exclude="$own" "$1"; then
  echo "these hold a secret of the specs"
  exit 1
fi

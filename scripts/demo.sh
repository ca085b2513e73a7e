#!/bin/sh
# `make demo`: starts the simulator, asks for the IPs of a few alerts, shows how a 404 reads.
#
#   scripts/demo.sh FOLDER      where mde.so has been built for lua5.4
set -eu

build=$1
directory=$(mktemp -d)
simulator=spec/simulator/simulator.sh
trap '$simulator stop "$directory" >/dev/null 2>&1 || true; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM

# With our process id: it ends with us, however we end.
$simulator start "$directory" $$
# shellcheck source=/dev/null
. "$directory/env"

export MDE_TOKEN="$SIMULATOR_TOKEN" MDE_BASE_URL="$SIMULATOR_URL" MDE_CA_FILE="$SIMULATOR_CA_FILE"
export LUA_CPATH="$build/?.so;;" LUA_PATH="$build/?.lua;;"
export no_proxy=127.0.0.1 # a proxy of the environment does not know our service

show() {
  echo "\$ lua5.4 examples/alert_ips.lua $*"
  lua5.4 examples/alert_ips.lua "$@"
}

echo "A local MDE service answers at $SIMULATOR_URL (HTTPS, with a test CA of its own)."
echo
echo "The IP addresses of a few alerts:"
show da637472900382838869_1364969609 da637308392288907382_-880718168
echo
echo "An alert that is not there:"
if show da000000000000000000_0 >"$directory/unknown" 2>&1; then
  echo "demo: the unknown alert was found" >&2
  exit 1
fi
cat "$directory/unknown"
grep -q 404 "$directory/unknown"

#!/bin/sh
# The service that the benchmark measures against: nginx on loopback with TLS by a CA made for it, without limits.
#
#   server.sh start DIR OWNER   start one in DIR; DIR/env tells where it listens.
#                               It ends by itself when the process OWNER has ended
#   server.sh stop DIR          stop it
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=scripts/nginx.sh
. "$root/scripts/nginx.sh"

fail() {
  echo "bench: $*" >&2
  exit 1
}

render_configuration() {
  {
    load_modules
    sed -e "s|@DIR@|$dir|g" -e "s|@ROOT@|$root|g" -e "s|@OWNER@|$owner|g" \
      -e "s|@PORT@|$port|g" -e "s|@H2_PORT@|$((port + 1))|g" "$here/nginx.conf.in"
  } >"$dir/nginx.conf"
}

launch_on_free_ports() {
  tries=0
  until port=$(random_port) && render_configuration &&
    nginx -p "$dir" -c "$dir/nginx.conf" </dev/null >"$dir/start.log" 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -eq 10 ] || ! grep -q 'Address already in use' "$dir/start.log"; then
      fail "nginx does not start: $(cat "$dir/start.log")"
    fi
  done
}

await_answer() {
  tries=0
  until curl --silent --fail --noproxy '*' --max-time 10 --output /dev/null --cacert "$dir/ca.pem" \
    --header 'Authorization: Bearer any' "https://127.0.0.1:$port/api/alerts/1/ips"; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || fail "no answer; see $dir/error.log"
    sleep 0.1
  done
}

start() {
  umask 077
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  sh "$root/spec/simulator/certificates.sh" "$dir"
  lua5.4 "$here/alerts.lua" 10000 >"$dir/alerts.json"
  gzip -6 -k -f "$dir/alerts.json"
  launch_on_free_ports
  await_answer
  cat >"$dir/env" <<ENV
BENCH_URL=https://127.0.0.1:$port
BENCH_H2_URL=https://127.0.0.1:$((port + 1))
BENCH_CA_FILE=$dir/ca.pem
ENV
}

stop() {
  [ ! -s "$dir/nginx.pid" ] || kill "$(cat "$dir/nginx.pid")"
}

[ $# -ge 2 ] || { echo "usage: $0 start DIR OWNER | stop DIR" >&2; exit 2; }
dir=$2
owner=${3:-0}
case $1 in
  start | stop) "$1" ;;
  *) fail "no such command: $1" ;;
esac

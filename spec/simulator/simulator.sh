#!/bin/sh
# A local Microsoft Defender for Endpoint service on nginx, for specs and for people without a tenant.
#
#   simulator.sh start DIR [OWNER]   start one in DIR; DIR/env tells where it listens.
#                                    With OWNER, a process id, it ends by itself when that process has ended
#   simulator.sh stop DIR            stop it and wait for its end
#   simulator.sh foreground DIR      start, explain, show the requests, stop on Ctrl-C
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=scripts/nginx.sh
. "$root/scripts/nginx.sh"

fail() {
  echo "simulator: $*" >&2
  exit 1
}

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

# nginx removes its pid file when it ends. Its process may be seen for longer where init is slow to bury it.
ended() {
  [ ! -e "$dir/nginx.pid" ] || ! kill -0 "$1" 2>/dev/null
}

# within_seconds N COMMAND...: whether COMMAND comes true in time.
within_seconds() {
  checks=$(($1 * 100))
  shift
  until "$@"; do
    checks=$((checks - 1))
    [ "$checks" -gt 0 ] || return 1
    sleep 0.01
  done
}

running() {
  [ -s "$dir/nginx.pid" ] && kill -0 "$(cat "$dir/nginx.pid")" 2>/dev/null
}

render_configuration() {
  {
    load_modules
    sed -e "s|@DIR@|$dir|g" -e "s|@ROOT@|$root|g" -e "s|@OWNER@|$owner|g" \
      -e "s|@PORT@|$port|g" -e "s|@H2_PORT@|$((port + 1))|g" -e "s|@HTTP_PORT@|$((port + 2))|g" \
      -e "s|@EXPIRED_PORT@|$((port + 3))|g" -e "s|@WRONG_HOST_PORT@|$((port + 4))|g" \
      -e "s|@UNKNOWN_CA_PORT@|$((port + 5))|g" "$here/nginx.conf.in"
  } >"$dir/nginx.conf"
}

port_was_taken() {
  grep -q 'Address already in use' "$dir/start.log"
}

# nginx would ask again for a taken port for two seconds: another port is quicker.
# Its descriptors are closed because a daemon that held a test's pipe would keep the reader waiting.
launch() {
  : >"$dir/start.log" # no word of the last try
  nginx -p "$dir" -c "$dir/nginx.conf" </dev/null >"$dir/start.log" 2>&1 \
    3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  starter=$!
  while kill -0 "$starter" 2>/dev/null; do
    if port_was_taken; then kill -9 "$starter"; fi
    [ -s "$dir/nginx.pid" ] && break
    sleep 0.01
  done
  wait "$starter" 2>/dev/null
}

launch_on_free_ports() {
  tries=0
  until port=$(random_port) && render_configuration && launch; do
    tries=$((tries + 1))
    if [ "$tries" -eq 50 ] || ! port_was_taken; then
      fail "nginx does not start: $(cat "$dir/start.log")"
    fi
  done
}

write_environment() {
  cat >"$dir/env" <<END
SIMULATOR_URL=https://127.0.0.1:$port
SIMULATOR_H2_URL=https://127.0.0.1:$((port + 1))
SIMULATOR_HTTP_URL=http://127.0.0.1:$((port + 2))
SIMULATOR_EXPIRED_URL=https://127.0.0.1:$((port + 3))
SIMULATOR_WRONG_HOST_URL=https://127.0.0.1:$((port + 4))
SIMULATOR_UNKNOWN_CA_URL=https://127.0.0.1:$((port + 5))
SIMULATOR_CA_FILE=$dir/ca.pem
SIMULATOR_TOKEN=simulator-token
SIMULATOR_PID=$(cat "$dir/nginx.pid")
END
}

await_answer() {
  curl --silent --show-error --fail --noproxy '*' --max-time 10 --output /dev/null \
    --cacert "$dir/ca.pem" "https://127.0.0.1:$port/_simulator/report" ||
    fail "no answer; see $dir/error.log"
}

start() {
  umask 077
  mkdir -p "$dir"
  chmod 0700 "$dir"
  dir=$(cd "$dir" && pwd)
  if running; then fail "already running in $dir"; fi
  rm -f "$dir/nginx.pid" "$dir/env"
  sh "$here/certificates.sh" "$dir"
  launch_on_free_ports
  within_seconds 5 test -s "$dir/nginx.pid" || fail "nginx ended at once: $(cat "$dir/error.log")"
  await_answer
  write_environment
}

# For whoever looks through the logs of many, in the folder that MDE_KEEP_LOGS names.
keep_logs() {
  [ -n "${MDE_KEEP_LOGS:-}" ] || return 0
  mkdir -p "$MDE_KEEP_LOGS"
  cat "$dir"/*.log >"$MDE_KEEP_LOGS/$(basename "$dir").log"
}

stop() {
  if running; then
    pid=$(cat "$dir/nginx.pid")
    kill "$pid"
    within_seconds 5 ended "$pid" || kill -9 "$pid"
    keep_logs
  fi
  rm -f "$dir/nginx.pid" "$dir/env"
}

explain() {
  # shellcheck source=/dev/null
  . "$dir/env"
  sed -e "s|@URL@|$SIMULATOR_URL|g" -e "s|@CA_FILE@|$SIMULATOR_CA_FILE|g" \
    -e "s|@TOKEN@|$SIMULATOR_TOKEN|g" "$here/foreground.txt"
}

foreground() {
  owner=$$
  start
  explain
  trap 'kill "$viewer" 2>/dev/null || :; stop; exit 0' INT TERM HUP
  tail -n 0 -f "$dir/access.log" &
  viewer=$!
  wait "$viewer"
}

[ $# -ge 2 ] || usage
dir=$2
owner=${3:-0}
case $1 in
  start | stop | foreground) "$1" ;;
  *) usage ;;
esac

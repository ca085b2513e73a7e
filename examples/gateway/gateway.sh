#!/bin/sh
# Runs the gateway out of this checkout, for trying and for the specs.
#
#   gateway.sh demo BUILD DIR        against a local service, with a key that it prints, until Ctrl-C
#   gateway.sh start BUILD DIR       as the environment says; DIR/env tells where it listens and the demo key
#   gateway.sh stop BUILD DIR
#
# BUILD holds a build of the module for LuaJIT: build/luajit-gcc.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=scripts/nginx.sh
. "$root/scripts/nginx.sh"

fail() {
  echo "gateway: $*" >&2
  exit 1
}

machine() {
  load_modules
  # Workers of root's nginx would else be nobody, who may not read what is here.
  [ "$(id -u)" -ne 0 ] || echo "user root;"
  echo "daemon on;"
}

prepare() {
  mkdir -p "$dir/run"
  cp -R "$here/." "$dir/"
  machine >"$dir/machine.conf"
  key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf 'demo %s\n' "$(printf %s "$key" | sha256sum | cut -d' ' -f1)" >"$dir/keys"
  lua="lua_package_path \"\$prefix/lua/?.lua;$build/?.lua;;\"; lua_package_cpath \"$build/?.so;;\";"
  sed -e "s|lua_package_path .*|$lua|" \
    -e "s|error_log stderr|error_log error.log|" "$here/nginx.conf" >"$dir/nginx.conf"
}

launch() {
  echo "listen 127.0.0.1:$port reuseport;" >"$dir/listen.conf"
  nginx -p "$dir" -c nginx.conf </dev/null >"$dir/start.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

start() {
  umask 077
  prepare
  tries=0
  until port=$(random_port) && launch; do
    tries=$((tries + 1))
    if [ "$tries" -eq 20 ] || ! grep -q 'Address already in use' "$dir/start.log"; then
      fail "nginx does not start: $(cat "$dir/start.log" "$dir/error.log" 2>/dev/null)"
    fi
  done
  while [ ! -s "$dir/nginx.pid" ]; do sleep 0.01; done
  printf 'GATEWAY_URL=http://127.0.0.1:%s\nGATEWAY_KEY=%s\nGATEWAY_PID=%s\n' "$port" "$key" \
    "$(cat "$dir/nginx.pid")" >"$dir/env"
}

stop() {
  [ -s "$dir/nginx.pid" ] || return 0
  pid=$(cat "$dir/nginx.pid")
  kill "$pid" 2>/dev/null || return 0
  checks=500
  while kill -0 "$pid" 2>/dev/null && [ -e "$dir/nginx.pid" ] && [ "$checks" -gt 0 ]; do
    checks=$((checks - 1))
    sleep 0.01
  done
}

demo() {
  simulator=$root/spec/simulator/simulator.sh
  "$simulator" start "$dir/simulator" $$
  trap '"$simulator" stop "$dir/simulator"; stop' EXIT
  trap 'exit 0' INT TERM HUP
  # shellcheck source=/dev/null
  . "$dir/simulator/env"
  AZURE_TENANT_ID=00000000-0000-4000-8000-000000000001
  AZURE_CLIENT_ID=00000000-0000-4000-8000-000000000002
  AZURE_CLIENT_SECRET=simulator~secret.1
  export AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET
  unset AZURE_CLIENT_CERTIFICATE_PATH AZURE_FEDERATED_TOKEN_FILE MDE_CLOUD
  export no_proxy=127.0.0.1 # a proxy of the environment does not know our service
  export AZURE_AUTHORITY_HOST="$SIMULATOR_URL" MDE_BASE_URL="$SIMULATOR_URL" MDE_CA_FILE="$SIMULATOR_CA_FILE"
  start
  # shellcheck source=/dev/null
  . "$dir/env"
  cat <<END
The gateway runs at $GATEWAY_URL with the API key

    $GATEWAY_KEY

Open it in a browser, and ask for da637472900382838869_1364969609 da637308392288907382_-880718168. Or:

    curl -H 'Authorization: Bearer $GATEWAY_KEY' $GATEWAY_URL/v1/alerts/da637472900382838869_1364969609/ips
    curl -H 'Authorization: Bearer $GATEWAY_KEY' $GATEWAY_URL/metrics

Ctrl-C ends it.
END
  while :; do sleep 3600 & wait $!; done
}

[ $# -eq 3 ] || fail "usage: gateway.sh demo|start|stop BUILD DIR"
build=$(cd "$2" && pwd)
mkdir -p "$3"
dir=$(cd "$3" && pwd)
case $1 in
  demo | start | stop) "$1" ;;
  *) fail "usage: gateway.sh demo|start|stop BUILD DIR" ;;
esac

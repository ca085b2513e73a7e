#!/bin/sh
# Installs what a target of the Makefile needs and is not there: on Debian and Ubuntu by apt-get; elsewhere it names what
# is missing and stops. Says nothing when all is there.
#
#   scripts/bootstrap.sh demo | test | bench | gateway | oauth | browser
set -eu

# ca-certificates: without it libcurl fails for want of the file before it looks at a server's certificate.
demo_packages="gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev lua-cjson libcurl4-openssl-dev libssl-dev
  nginx-light libnginx-mod-http-lua openssl curl ca-certificates"

# luajit2, not luajit: the latter conflicts with nginx's Lua module.
# gdb: it has gcore, which takes core files.
# libc6-dbg: valgrind reads the names of the C library's functions there.
# lua-redis and lua-nginx-redis: the client libraries with which mde.redis is tried.
# lua-luv and lua-cqueues: the event loops of examples/loop_*.lua; both serve Lua 5.1 to 5.4 and LuaJIT.
# ONE|OTHER: either will do; the name goes with the release.
test_packages="$demo_packages lua5.1 liblua5.1-0-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev
  luajit2 libluajit2-5.1-dev luarocks lua-busted lua-check libcmocka-dev valgrind libc6-dbg clang
  libclang-rt-14-dev|libclang-rt-dev clang-format gdb python3 locales git procps
  redis-server lua-redis lua-socket lua-nginx-redis lua-luv lua-cqueues"

# What is only compared with: a release that lacks one of them does without.
bench_peers="python3-requests python3-httpx python3-aiohttp golang-go lua5.3 lua-http lua5.1 lua-curl"

demo_commands="gcc pkg-config lua5.4 nginx openssl curl"
test_commands="$demo_commands lua5.1 lua5.2 lua5.3 luajit luarocks busted luacheck valgrind clang
  clang-format gcore python3 redis-server redis-cli"

# Debian keeps nginx in a folder that a normal user's PATH lacks.
PATH=$PATH:/usr/sbin:/sbin

peers=
case "${1:-}" in
  demo) packages=$demo_packages commands=$demo_commands ;;
  test) packages=$test_packages commands=$test_commands ;;
  gateway)
    packages="$demo_packages luajit2 libluajit2-5.1-dev" commands="$demo_commands luajit"
    ;;
  bench) packages="$demo_packages gzip" commands="$demo_commands gzip" peers=$bench_peers ;;
  oauth)
    packages="$test_packages nodejs" commands="$test_commands node npm"
    # Other makers' nodejs holds npm, and conflicts with Debian's package.
    command -v npm >/dev/null 2>&1 || packages="$packages npm"
    ;;
  browser)
    # fonts-dejavu-core: a browser without a font shows nothing.
    packages="$test_packages nodejs chromium fonts-dejavu-core" commands="$test_commands node npm chromium"
    command -v npm >/dev/null 2>&1 || packages="$packages npm"
    ;;
  *) echo "usage: $0 demo|test|bench|gateway|oauth|browser" >&2; exit 2 ;;
esac

alternatives() { echo "$1" | tr '|' ' '; }

any_installed() {
  for name in $(alternatives "$1"); do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] && return
  done
  return 1
}

missing_packages() {
  for package in $packages; do
    any_installed "$package" || printf '%s ' "$package"
  done
}

missing_commands() {
  for command in $commands; do
    command -v "$command" >/dev/null 2>&1 || printf '%s ' "$command"
  done
}

# The first of the alternatives that this release has, else the first, for apt-get to complain about.
known_packages() {
  for package in "$@"; do
    chosen=${package%%|*}
    for name in $(alternatives "$package"); do
      if apt-cache show "$name" >/dev/null 2>&1; then chosen=$name; break; fi
    done
    printf '%s ' "$chosen"
  done
}

is_root() { [ "$(id -u)" -eq 0 ]; }
as_root() { if is_root; then "$@"; else sudo "$@"; fi; }

# A fresh machine knows no packages yet.
available_peers() {
  [ -z "$peers" ] || apt-cache show gcc >/dev/null 2>&1 || as_root apt-get update -q >&2 || :
  for package in $peers; do
    if any_installed "$package" || apt-cache show "$package" >/dev/null 2>&1; then printf '%s ' "$package"; fi
  done
}

# A package that brings a server starts it; we only want the program. Debian asks this file first.
policy=/usr/sbin/policy-rc.d
forbid_starting() {
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
}

install_packages() {
  forbid_starting
  as_root apt-get update -q
  # shellcheck disable=SC2046 # one word for each package
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends $(known_packages "$@")
}

if command -v apt-get >/dev/null 2>&1; then
  packages="$packages $(available_peers)"
  missing=$(missing_packages)
  if [ -n "$missing" ]; then
    if ! is_root && ! command -v sudo >/dev/null 2>&1; then
      echo "mde: to install, as root or with sudo: $missing" >&2
      exit 1
    fi
    echo "mde: installing $missing"
    # shellcheck disable=SC2086 # one word for each package
    install_packages $missing </dev/null
  fi
else
  missing=$(missing_commands)
  if [ -n "$missing" ]; then
    echo "mde: these commands are missing: $missing" >&2
    echo "mde: wanted besides: the headers of Lua, libcurl and OpenSSL, lua-cjson, nginx's Lua module" >&2
    exit 1
  fi
fi

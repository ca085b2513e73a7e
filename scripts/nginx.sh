# shellcheck shell=sh
# For scripts that start an nginx of their own, to be read with `.`: where it is, its modules, a port.

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, which a normal user's PATH lacks

# Below Linux's ephemeral range, so that no outgoing connection takes a port before nginx does.
random_port() {
  echo $((10000 + $(od -An -N2 -tu2 /dev/urandom) % 22000))
}

# Debian builds the modules as separate files, others build them in.
load_modules() {
  folder=$(nginx -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p')
  for module in ndk_http_module ngx_http_lua_module; do
    file=${folder:-/usr/lib/nginx/modules}/$module.so
    [ ! -e "$file" ] || echo "load_module $file;"
  done
}

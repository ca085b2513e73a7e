#!/bin/sh
# certificates.sh DIR: a test CA in DIR and what servers need to be trusted by it, or not.
# Made anew at every start, so that no key lies in the repository and none is ever valid elsewhere.
set -eu
cd "$1"

request() { # NAME SUBJECT
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -config ca.cnf \
    -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
}

self_sign() { # NAME REQUEST SECTION
  openssl x509 -req -sha256 -days 30 -in "$2.csr" -signkey "$2.key" -extfile ca.cnf -extensions "$3" \
    -out "$1.pem" 2>/dev/null
}

authority() { # NAME
  request "$1" "simulator $1"
  self_sign "$1" "$1" authority
}

# `openssl ca` because it alone, in every version, can set an end in the past.
sign() { # NAME REQUEST CA SECTION [DATES]
  name=$1 request=$2 authority=$3 section=$4
  shift 4
  openssl ca -batch -notext -config ca.cnf -cert "$authority.pem" -keyfile "$authority.key" \
    -extensions "$section" -in "$request.csr" -out "$name.pem" "$@" 2>>openssl.log
}

cat >ca.cnf <<'END'
[ca]
default_ca = simulator
[simulator]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 30
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[this_host]
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
authorityKeyIdentifier = keyid
extendedKeyUsage = serverAuth
[other_host]
subjectAltName = DNS:other.example
authorityKeyIdentifier = keyid
extendedKeyUsage = serverAuth
END
: >index.txt

authority ca
authority unknown_ca
request server simulator
sign server server ca this_host
sign expired server ca this_host -startdate 20200101000000Z -enddate 20200201000000Z
sign not_yet_valid server ca this_host -startdate 20990101000000Z -enddate 20990201000000Z
sign wrong_host server ca other_host
sign unknown server unknown_ca this_host
self_sign self_signed server this_host

request intermediate "simulator intermediate"
sign intermediate intermediate ca authority
sign behind_intermediate server intermediate this_host
cat behind_intermediate.pem intermediate.pem >chain.pem

rm -f ca.key unknown_ca.key unknown_ca.pem intermediate.key intermediate.pem ./*.csr ./[0-9A-F]*.pem index.txt* ca.cnf openssl.log

/* Signs with an RSA key, and names the certificate that belongs to it. libcrypto; signer.c is the only
 * file that includes its headers, and is left out of a build without it.
 *
 *   mde_signer_source source = {.certificate = {path, &pem}, .key = {path, &pem}, .now_s = now_s};
 *   if (mde_signer_open(&signer, &source, &trouble))
 *     mde_signer_sign(&signer, MDE_SIGNING_PS256, message, &signature, &trouble)
 *   mde_signer_free(&signer);
 *
 * It reads PEM: a certificate, the first in its text, and a key in PKCS#8 or PKCS#1, encrypted or not.
 * It never asks a terminal for a passphrase, and leaves nothing in OpenSSL's queue of errors. It
 * neither reads files nor checks who issued the certificate: what counts is that it is registered. */
#ifndef MDE_IO_SIGNER_H
#define MDE_IO_SIGNER_H

#include "core/buffer.h"
#include "io/trouble.h"

enum {
  MDE_SIGNER_BITS_MIN = 2048,
  MDE_SIGNER_BITS_MAX = 16384,
  MDE_SIGNATURE_MAX = MDE_SIGNER_BITS_MAX / 8,
  MDE_SHA1_SIZE = 20,
  MDE_SHA256_SIZE = 32
};

typedef enum mde_signing {
  MDE_SIGNING_PS256, /* PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes */
  MDE_SIGNING_RS256  /* PKCS#1 v1.5 with SHA-256 */
} mde_signing;

typedef struct mde_pem {
  const char *path;       /* for people */
  const mde_buffer *text; /* of the file; borrows */
} mde_pem;

typedef struct mde_signer_source {
  mde_pem certificate;
  mde_pem key;            /* may be the same */
  const char *passphrase; /* of the key; NULL: none */
  int64_t now_s;          /* Unix time: an expired certificate is refused */
} mde_signer_source;

typedef struct mde_signer {
  struct evp_pkey_st *key;
  char sha1[MDE_SHA1_SIZE]; /* thumbprints of the certificate */
  char sha256[MDE_SHA256_SIZE];
} mde_signer;

typedef struct mde_signature {
  char bytes[MDE_SIGNATURE_MAX];
  size_t length;
} mde_signature;

/* Nothing is left to free when it fails. */
bool mde_signer_open(mde_signer *signer, const mde_signer_source *source, mde_trouble *trouble);
bool mde_signer_sign(const mde_signer *signer, mde_signing signing, mde_slice message,
                     mde_signature *signature, mde_trouble *trouble);
/* Accepts zeroed and freed ones. */
void mde_signer_free(mde_signer *signer);

/* What nobody can guess. */
bool mde_signer_random(unsigned char *bytes, size_t size, mde_trouble *trouble);

#endif

/* A client's word for who it is, signed with its certificate's key: a JSON web token, which the
 * Microsoft identity platform takes as `client_assertion`.
 *
 *   mde_assertion_settings settings = {.certificate_file = path, .signing = MDE_SIGNING_PS256};
 *   mde_buffer_init_secret(&jwt, memory, 16384);           whoever has it is the client, for a while
 *   if (!mde_assertion_make(&jwt, &settings, client_id, token_endpoint, now_s, &trouble)) ...
 *
 * Files are read anew for each, so that a renewed certificate is taken in. In a build without libcrypto
 * there is none of it, and `trouble` says so. It does not send, keep or renew an assertion. */
#ifndef MDE_IO_ASSERTION_H
#define MDE_IO_ASSERTION_H

#include "io/signer.h"

enum {
  MDE_ASSERTION_LIFE_S = 600, /* the most that the service allows, from nbf to exp */
  MDE_ASSERTION_EARLY_S = 60, /* nbf is so much before now: this machine's clock may be ahead */
  MDE_PEM_MAX = 65536
};

typedef struct mde_assertion_settings {
  const char *certificate_file; /* PEM; borrows, as the others */
  const char *private_key_file; /* NULL: in the same file */
  const char *passphrase;       /* NULL: none */
  mde_signing signing;
} mde_assertion_settings;

/* Is there libcrypto in this build? */
bool mde_assertion_available(void);

/* Fills `jwt`, or empties it. Client id and audience hold visible ASCII, but neither " nor \. The
 * audience is the token endpoint's URL. */
bool mde_assertion_make(mde_buffer *jwt, const mde_assertion_settings *settings,
                        mde_slice client_id, mde_slice audience, int64_t now_s,
                        mde_trouble *trouble);

#endif

/* What a token says of itself, and what is wrong with that: for messages only. Nothing is verified, and
 * the service decides.
 *
 *   mde_claims claims = {...};                       read by the binding
 *   mde_claims_hint(&text, &claims, &wanted, 403);
 *   "The token has the permission Alert.Read.All; this call needs Ip.Read.All."
 *
 * Facts: Microsoft's page on access token claims. Of a token that is no JWT nothing is known. */
#ifndef MDE_CORE_CLAIMS_H
#define MDE_CORE_CLAIMS_H

#include "core/buffer.h"

enum { MDE_CLAIM_MAX = 127, MDE_CLAIM_PERMISSIONS_MAX = 511, MDE_INSTANT_TEXT_SIZE = 32 };

typedef struct mde_claims {
  bool known;
  int64_t expires_s; /* since 1970; 0: it does not say */
  char audience[MDE_CLAIM_MAX + 1];
  char tenant[MDE_CLAIM_MAX + 1];
  char permissions[MDE_CLAIM_PERMISSIONS_MAX + 1]; /* roles and scp, with a space between each */
} mde_claims;

/* What the API needs. Borrows. */
typedef struct mde_claims_wanted {
  mde_slice audience;
  mde_slice tenant;       /* empty: any */
  const char *permission; /* as the operation's row has it */
  int64_t now_s;
} mde_claims_wanted;

/* Appends a sentence on why the service may have answered 401 or 403; nothing, if nothing is seen. */
void mde_claims_hint(mde_buffer *text, const mde_claims *claims, const mde_claims_wanted *wanted,
                     int status);

/* 2026-11-26 10:51:17 UTC */
void mde_instant_text(char text[MDE_INSTANT_TEXT_SIZE], int64_t seconds);

#endif

/* Why a token could not be had from an endpoint: as a sentence for people, and as what follows of it.
 *
 *   "https://login.microsoftonline.com refused the credential (401 invalid_client): AADSTS7000222: The
 *    provided client secret keys ... are expired. Trace id: 6f0c... Make a new secret ..."
 *
 * Facts: Microsoft's page on the AADSTS error codes; that of the instance metadata service's errors. */
#ifndef MDE_CORE_LOGIN_FAILURE_H
#define MDE_CORE_LOGIN_FAILURE_H

#include "core/credential.h"
#include "core/failure.h"

/* Everything is borrowed; what the endpoint did not say is empty. */
typedef struct mde_login_failure {
  const mde_failure *failure; /* of the call that fetched */
  mde_slice endpoint;         /* its address */
  bool local;                 /* of a managed identity */
  mde_slice code;             /* error */
  mde_slice description;      /* error_description */
  mde_slice trace_id;
} mde_login_failure;

void mde_login_explain(mde_buffer *text, const mde_login_failure *failure);

/* Writes the sentence, cut to what `size` holds. Needs no memory. */
void mde_login_text(char *text, size_t size, const mde_login_failure *failure);

/* What follows, and how long nobody should ask again (milliseconds). */
mde_fetch_end mde_login_end(const mde_failure *failure, int64_t *wait_ms);

#endif

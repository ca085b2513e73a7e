/* The requests that ask for a token: of Microsoft's login (OAuth 2.0 client credentials, v2 endpoint)
 * and of the local services that hand tokens to managed identities.
 *
 *   mde_login login;
 *   mde_login_init(&login, memory);
 *   mde_login_by_secret(&login, &account, secret);
 *   if (mde_login_status(&login) != MDE_OK) ...        one check for all of it
 *   mde_login_free(&login);
 *
 * All of it is wiped when it goes. It does not send, sign, or read what is answered. */
#ifndef MDE_CORE_LOGIN_H
#define MDE_CORE_LOGIN_H

#include "core/buffer.h"

enum { MDE_LOGIN_FORM_MAX = 262144 };

typedef struct mde_login {
  mde_buffer url;
  mde_buffer header; /* a whole line; empty: none */
  mde_buffer form;   /* the request's body; empty: none */
  size_t proof_at;   /* where in the form the secret or the assertion stands, to its end */
  mde_buffer token;  /* what was answered, until it is handed over */
} mde_login;

/* Who asks, where, and for which API. Borrows. */
typedef struct mde_login_account {
  mde_slice authority; /* https://login.microsoftonline.com */
  mde_slice tenant;
  mde_slice client_id; /* of a managed identity: empty for the one that the machine was given */
  mde_slice audience;  /* https://api.securitycenter.microsoft.com */
} mde_login_account;

void mde_login_init(mde_login *login, const mde_memory *memory);
void mde_login_free(mde_login *login);

/* Empties it for the next request. */
void mde_login_reset(mde_login *login);

mde_status mde_login_status(const mde_login *login);
bool mde_login_is_https(const mde_login *login);

/* Appends the v2 token endpoint's address: what a signed assertion must be for. */
void mde_login_endpoint(mde_buffer *url, const mde_login_account *account);

/* Each fills in an empty login. An assertion is signed by us or handed out by a federation; it may stand
 * in login.token meanwhile. */
void mde_login_by_secret(mde_login *login, const mde_login_account *account, mde_slice secret);
void mde_login_by_assertion(mde_login *login, const mde_login_account *account,
                            mde_slice assertion);

/* Azure's instance metadata service; `host` is scheme, host and port. */
void mde_login_by_imds(mde_login *login, const mde_login_account *account, mde_slice host);

/* App Service, Functions and Container Apps: IDENTITY_ENDPOINT and IDENTITY_HEADER. */
void mde_login_by_app_service(mde_login *login, const mde_login_account *account,
                              mde_slice endpoint, mde_slice header);

#endif

/* The token's life: none, fresh, being fetched, refused.
 *
 *   mde_credential_init(&credential, memory, renewable);
 *   switch (mde_credential_ask(&credential, now_ms)) {
 *   case MDE_TOKEN_FETCH:  the asker fetches; until it says set or failed, others are told to wait
 *   case MDE_TOKEN_WAIT:   somebody else is fetching
 *   case MDE_TOKEN_FRESH:  credential.header goes into the request
 *   case MDE_TOKEN_NONE:   there is none and none to be had
 *   }
 *
 * The token is kept once, inside the header's line, and wiped when it goes. It does not fetch. */
#ifndef MDE_CORE_CREDENTIAL_H
#define MDE_CORE_CREDENTIAL_H

#include "core/buffer.h"
#include "core/instant.h"

enum { MDE_TOKEN_MAX = 65536, MDE_TOKEN_REASON_MAX = 255 };

typedef enum mde_token_state {
  MDE_TOKEN_FRESH,
  MDE_TOKEN_FETCH,
  MDE_TOKEN_WAIT,
  MDE_TOKEN_NONE
} mde_token_state;

typedef struct mde_credential {
  mde_buffer header; /* "Authorization: Bearer TOKEN"; secret */
  bool renewable;    /* there is somewhere to fetch from */
  bool fetching;
  int64_t expires_ms;
  uint32_t generation; /* which token this is: a 401 speaks of the one that was sent */
  uint32_t failures;   /* fetches that failed: those who waited for one fail with it */
  char reason[MDE_TOKEN_REASON_MAX + 1]; /* of the latest failure, for people; never a token */
} mde_credential;

/* Visible ASCII only: nothing that could end a header line, or that no token holds. */
bool mde_token_valid(const char *token, size_t length);

void mde_credential_init(mde_credential *credential, const mde_memory *memory, bool renewable);
void mde_credential_free(mde_credential *credential);

/* Takes in a valid token, good until `expires_ms` (or MDE_TIME_NEVER), and ends a fetch. */
mde_status mde_credential_set(mde_credential *credential, mde_slice token, int64_t expires_ms);

/* Ends a fetch that brought nothing. */
void mde_credential_fail(mde_credential *credential, const char *reason);

/* The service answered 401 to the token of that generation. A newer one stands. */
void mde_credential_refuse(mde_credential *credential, uint32_t generation);

mde_token_state mde_credential_ask(mde_credential *credential, int64_t now_ms);

/* The token alone, to keep it out of messages. Borrows; empty when there is none. */
mde_slice mde_credential_token(const mde_credential *credential);

#endif

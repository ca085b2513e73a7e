/* The token's life: fresh, due for renewal, being fetched, refused.
 *
 *   mde_credential_init(&credential, memory, renewable);
 *   switch (mde_credential_ask(&credential, now_ms)) {
 *   case MDE_TOKEN_FETCH:  the asker fetches; until it says set or failed, others are told to wait
 *   case MDE_TOKEN_WAIT:   somebody else is fetching
 *   case MDE_TOKEN_FRESH:  credential.header goes into the request
 *   case MDE_TOKEN_LATER:  nobody may ask for one before credential.blocked_ms
 *   case MDE_TOKEN_NONE:   there is none and none to be had: credential.reason
 *   }
 *   if (mde_credential_renews(&credential, now_ms)) ...  one is fetched while the old one is in use
 *
 * The token is kept once, inside the header's line, and wiped when it goes. It does not fetch. */
#ifndef MDE_CORE_CREDENTIAL_H
#define MDE_CORE_CREDENTIAL_H

#include "core/buffer.h"
#include "core/instant.h"

enum { MDE_TOKEN_MAX = 65536, MDE_TOKEN_REASON_MAX = 511 };

typedef enum mde_token_state {
  MDE_TOKEN_FRESH,
  MDE_TOKEN_FETCH,
  MDE_TOKEN_WAIT,
  MDE_TOKEN_LATER,
  MDE_TOKEN_NONE
} mde_token_state;

typedef enum mde_fetch_end {
  MDE_FETCH_FAILED,    /* the next who needs a token tries again */
  MDE_FETCH_PASSING,   /* likewise, and it may well help */
  MDE_FETCH_THROTTLED, /* nobody asks before the pause is over */
  MDE_FETCH_REFUSED    /* likewise, and who needs a token meanwhile fails at once */
} mde_fetch_end;

typedef struct mde_credential {
  mde_buffer header; /* "Authorization: Bearer TOKEN"; secret */
  bool renewable;    /* there is somewhere to fetch from */
  bool patient;      /* that must not be asked after each 401, if new tokens are refused, too */
  bool fetching;
  bool proven;        /* the service has taken this token */
  mde_fetch_end end;  /* of the latest fetch that failed */
  int64_t expires_ms; /* MDE_TIME_NEVER: not known */
  int64_t renew_ms;   /* from when on it is renewed early */
  int64_t ready_ms;   /* a fetch that is under way brings nothing before */
  int64_t blocked_ms, pause_ms, refused_ms;
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

/* Has the token renewed five minutes, or a tenth of its life, before it expires: the shorter. */
void mde_credential_renew_early(mde_credential *credential, int64_t now_ms);

/* Ends a fetch that need not have been: the token stands, and is renewed at that moment. */
void mde_credential_keep(mde_credential *credential, int64_t renew_ms);

/* Ends a fetch that brought nothing. A token that still lives is kept, and renewed after a pause:
 * `wait_ms`, or if that is less, one that grows from failure to failure. */
void mde_credential_fail(mde_credential *credential, mde_fetch_end end, int64_t wait_ms,
                         const char *reason, int64_t now_ms);

/* Why there is none, should anybody ask. */
void mde_credential_explain(mde_credential *credential, const char *reason);

/* The service answered to the token of that generation: not with 401, or with it. Of a refused one it
 * tells whether another stands or may be fetched. */
void mde_credential_prove(mde_credential *credential, uint32_t generation);
bool mde_credential_refuse(mde_credential *credential, uint32_t generation, int64_t now_ms);

mde_token_state mde_credential_ask(mde_credential *credential, int64_t now_ms);

/* Is one being fetched that calls have to wait for? */
bool mde_credential_awaited(const mde_credential *credential, int64_t now_ms);

/* True: the asker fetches, as after MDE_TOKEN_FETCH. */
bool mde_credential_renews(mde_credential *credential, int64_t now_ms);

/* The token alone, to keep it out of messages. Borrows; empty when there is none. */
mde_slice mde_credential_token(const mde_credential *credential);

#endif

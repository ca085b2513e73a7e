#include "core/credential.h"

#include <string.h>

static const char HEADER_START[] = "Authorization: Bearer ";
enum { HEADER_START_LENGTH = sizeof HEADER_START - 1 };

enum {
  EARLY_MAX_MS = 300000,
  PAUSE_FIRST_MS = 5000,
  PAUSE_MAX_MS = 60000,
  PATIENCE_MS = 60000 /* between two 401 that each have the token replaced, if it did not help */
};

bool mde_token_valid(const char *token, size_t length)
{
  if (length == 0 || length > MDE_TOKEN_MAX)
    return false;
  for (size_t i = 0; i < length; i++) {
    if (token[i] < 0x21 || token[i] > 0x7e)
      return false;
  }
  return true;
}

void mde_credential_init(mde_credential *credential, const mde_memory *memory, bool renewable)
{
  *credential = (mde_credential){.renewable = renewable,
                                 .expires_ms = MDE_TIME_NEVER,
                                 .renew_ms = MDE_TIME_NEVER,
                                 .refused_ms = MDE_TIME_NEVER};
  mde_buffer_init_secret(&credential->header, memory, HEADER_START_LENGTH + MDE_TOKEN_MAX);
}

void mde_credential_free(mde_credential *credential)
{
  mde_buffer_free(&credential->header);
}

static void end_fetch(mde_credential *credential)
{
  credential->fetching = false;
  credential->ready_ms = 0;
}

/* --- a token --- */

mde_status mde_credential_set(mde_credential *credential, mde_slice token, int64_t expires_ms)
{
  end_fetch(credential);
  mde_buffer_reset(&credential->header);
  mde_buffer_append(&credential->header, HEADER_START, HEADER_START_LENGTH);
  mde_buffer_append(&credential->header, token.data, token.length);
  credential->expires_ms = expires_ms;
  credential->renew_ms = MDE_TIME_NEVER;
  credential->pause_ms = credential->blocked_ms = 0;
  credential->proven = false;
  credential->generation++;
  if (credential->header.status != MDE_OK) {
    mde_status status = credential->header.status;
    mde_buffer_reset(&credential->header);
    return status;
  }
  return MDE_OK;
}

void mde_credential_renew_early(mde_credential *credential, int64_t now_ms)
{
  if (credential->expires_ms == MDE_TIME_NEVER)
    return;
  int64_t early_ms = (credential->expires_ms - now_ms) / 10;
  credential->renew_ms =
      credential->expires_ms - (early_ms < EARLY_MAX_MS ? early_ms : EARLY_MAX_MS);
}

void mde_credential_keep(mde_credential *credential, int64_t renew_ms)
{
  end_fetch(credential);
  credential->renew_ms = renew_ms;
}

static bool is_held(const mde_credential *credential, int64_t now_ms)
{
  return credential->header.length > 0 && now_ms < credential->expires_ms;
}

/* --- no token --- */

void mde_credential_explain(mde_credential *credential, const char *reason)
{
  size_t length = strlen(reason);
  if (length > MDE_TOKEN_REASON_MAX)
    length = MDE_TOKEN_REASON_MAX;
  memcpy(credential->reason, reason, length);
  credential->reason[length] = '\0';
}

static int64_t next_pause_ms(mde_credential *credential, int64_t wait_ms)
{
  int64_t pause_ms = credential->pause_ms > 0 ? credential->pause_ms * 2 : PAUSE_FIRST_MS;
  credential->pause_ms = pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
  return wait_ms > credential->pause_ms ? wait_ms : credential->pause_ms;
}

void mde_credential_fail(mde_credential *credential, mde_fetch_end end, int64_t wait_ms,
                         const char *reason, int64_t now_ms)
{
  end_fetch(credential);
  credential->failures++;
  credential->end = end;
  mde_credential_explain(credential, reason);
  int64_t pause_ms = next_pause_ms(credential, wait_ms);
  if (end == MDE_FETCH_THROTTLED || end == MDE_FETCH_REFUSED)
    credential->blocked_ms = now_ms + pause_ms;
  if (credential->renew_ms != MDE_TIME_NEVER)
    credential->renew_ms = now_ms + pause_ms;
}

/* --- what the service says of it --- */

void mde_credential_prove(mde_credential *credential, uint32_t generation)
{
  if (generation == credential->generation)
    credential->proven = true;
}

static bool is_in_vain(const mde_credential *credential, int64_t now_ms)
{
  return credential->patient && !credential->proven && credential->refused_ms != MDE_TIME_NEVER &&
         now_ms - credential->refused_ms < PATIENCE_MS;
}

bool mde_credential_refuse(mde_credential *credential, uint32_t generation, int64_t now_ms)
{
  if (!credential->renewable)
    return false;
  if (generation != credential->generation || credential->header.length == 0)
    return true; /* another stands, or is coming */
  if (is_in_vain(credential, now_ms))
    return false;
  credential->refused_ms = now_ms;
  mde_buffer_reset(&credential->header);
  return true;
}

/* --- who needs one --- */

static mde_token_state state_when_blocked(const mde_credential *credential)
{
  return credential->end == MDE_FETCH_THROTTLED ? MDE_TOKEN_LATER : MDE_TOKEN_NONE;
}

mde_token_state mde_credential_ask(mde_credential *credential, int64_t now_ms)
{
  if (is_held(credential, now_ms))
    return MDE_TOKEN_FRESH;
  if (!credential->renewable)
    return MDE_TOKEN_NONE;
  if (credential->fetching)
    return MDE_TOKEN_WAIT;
  if (now_ms < credential->blocked_ms)
    return state_when_blocked(credential);
  credential->fetching = true;
  return MDE_TOKEN_FETCH;
}

bool mde_credential_awaited(const mde_credential *credential, int64_t now_ms)
{
  return credential->fetching && !is_held(credential, now_ms);
}

bool mde_credential_renews(mde_credential *credential, int64_t now_ms)
{
  if (now_ms < credential->renew_ms || credential->fetching || !is_held(credential, now_ms))
    return false;
  credential->fetching = true;
  return true;
}

mde_slice mde_credential_token(const mde_credential *credential)
{
  const mde_buffer *header = &credential->header;
  if (header->length <= HEADER_START_LENGTH)
    return (mde_slice){"", 0};
  return (mde_slice){header->data + HEADER_START_LENGTH, header->length - HEADER_START_LENGTH};
}

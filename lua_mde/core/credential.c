#include "core/credential.h"

#include <string.h>

static const char HEADER_START[] = "Authorization: Bearer ";
enum { HEADER_START_LENGTH = sizeof HEADER_START - 1 };

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
  *credential = (mde_credential){.renewable = renewable};
  mde_buffer_init_secret(&credential->header, memory, HEADER_START_LENGTH + MDE_TOKEN_MAX);
}

void mde_credential_free(mde_credential *credential)
{
  mde_buffer_free(&credential->header);
}

mde_status mde_credential_set(mde_credential *credential, mde_slice token, int64_t expires_ms)
{
  credential->fetching = false;
  mde_buffer_reset(&credential->header);
  mde_buffer_append(&credential->header, HEADER_START, HEADER_START_LENGTH);
  mde_buffer_append(&credential->header, token.data, token.length);
  credential->expires_ms = expires_ms;
  credential->generation++;
  if (credential->header.status != MDE_OK) {
    mde_status status = credential->header.status;
    mde_buffer_reset(&credential->header);
    return status;
  }
  return MDE_OK;
}

void mde_credential_fail(mde_credential *credential, const char *reason)
{
  credential->fetching = false;
  credential->failures++;
  size_t length = strlen(reason);
  if (length > MDE_TOKEN_REASON_MAX)
    length = MDE_TOKEN_REASON_MAX;
  memcpy(credential->reason, reason, length);
  credential->reason[length] = '\0';
}

void mde_credential_refuse(mde_credential *credential, uint32_t generation)
{
  if (credential->renewable && generation == credential->generation)
    mde_buffer_reset(&credential->header);
}

mde_token_state mde_credential_ask(mde_credential *credential, int64_t now_ms)
{
  bool held = credential->header.length > 0;
  if (held && (!credential->renewable || now_ms < credential->expires_ms))
    return MDE_TOKEN_FRESH;
  if (!credential->renewable)
    return MDE_TOKEN_NONE;
  if (credential->fetching)
    return MDE_TOKEN_WAIT;
  credential->fetching = true;
  return MDE_TOKEN_FETCH;
}

mde_slice mde_credential_token(const mde_credential *credential)
{
  const mde_buffer *header = &credential->header;
  if (header->length <= HEADER_START_LENGTH)
    return (mde_slice){"", 0};
  return (mde_slice){header->data + HEADER_START_LENGTH, header->length - HEADER_START_LENGTH};
}

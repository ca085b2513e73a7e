#include "bind/token_file.h"

#include "bind/event.h"
#include "bind/token.h"

#include <stdio.h>
#include <string.h>

enum { LOOK_AGAIN_MS = 1000 };

static bool is_over(const Client *client, char *reason, size_t size)
{
  char moment[MDE_INSTANT_TEXT_SIZE];
  const mde_claims *claims = &client->source.claims;
  if (claims->expires_s == 0 || claims->expires_s > mde_clock_unix_s(client->clock))
    return false;
  mde_instant_text(moment, claims->expires_s);
  snprintf(reason, size, "the token in the file expired at %s", moment);
  return true;
}

/* Its content is kept where it is wiped, not on the stack: what reads the claims may raise. */
static bool take(lua_State *L, Client *client, char *reason, size_t size)
{
  mde_buffer *content = &client->source.login.token;
  mde_trouble trouble = {.text = reason, .size = size};
  mde_secret_file file = {.what = "token",
                          .path = mde_buffer_text(&client->source.text[SOURCE_FILE]),
                          .mark = &client->source.mark};
  if (!mde_secret_file_read(&file, content, &trouble))
    return false;
  /* An editor or `echo` leaves a line end. */
  mde_slice token = mde_slice_trim((mde_slice){mde_buffer_text(content), content->length});
  if (!mde_token_valid(token.data, token.length)) {
    snprintf(reason, size, "the file of the token does not hold one");
    return false;
  }
  token_look(L, client, token);
  return !is_over(client, reason, size) && token_accept(client, token, token_expiry_ms(client));
}

static bool has_changed(Client *client)
{
  mde_file_mark mark;
  const char *path = mde_buffer_text(&client->source.text[SOURCE_FILE]);
  return mde_secret_file_mark(path, &mark) && !mde_file_mark_equal(&mark, &client->source.mark);
}

static void look_again(Client *client)
{
  mde_credential_keep(&client->credential, client_now_ms(client) + LOOK_AGAIN_MS);
}

void token_file_read(lua_State *L, int client_index)
{
  Client *client = lua_touserdata(L, client_index);
  char reason[MDE_TOKEN_REASON_MAX + 1] = "not enough memory for the token";
  bool held = mde_credential_token(&client->credential).length > 0;
  if (held && client_now_ms(client) < client->credential.expires_ms && !has_changed(client)) {
    look_again(client);
    return;
  }
  client->stats.tokens++;
  bool ok = take(L, client, reason, sizeof reason);
  mde_buffer_reset(&client->source.login.token);
  if (ok)
    look_again(client);
  else
    mde_credential_fail(&client->credential, MDE_FETCH_FAILED, 0, reason, client_now_ms(client));
  event_token(L, client_index, ok, 0);
}

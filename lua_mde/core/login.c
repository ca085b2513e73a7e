#include "core/login.h"

#include "core/credential.h"
#include "core/uri.h"

#include <string.h>

enum { HEADER_MAX = 16384 };

void mde_login_init(mde_login *login, const mde_memory *memory)
{
  mde_buffer_init_secret(&login->url, memory, MDE_URL_MAX);
  mde_buffer_init_secret(&login->header, memory, HEADER_MAX);
  mde_buffer_init_secret(&login->form, memory, MDE_LOGIN_FORM_MAX);
  mde_buffer_init_secret(&login->token, memory, MDE_TOKEN_MAX);
}

void mde_login_free(mde_login *login)
{
  mde_buffer_free(&login->url);
  mde_buffer_free(&login->header);
  mde_buffer_free(&login->form);
  mde_buffer_free(&login->token);
}

void mde_login_reset(mde_login *login)
{
  mde_buffer_reset(&login->url);
  mde_buffer_reset(&login->header);
  mde_buffer_reset(&login->form);
  mde_buffer_reset(&login->token);
  login->proof_at = 0;
}

mde_status mde_login_status(const mde_login *login)
{
  if (login->url.status != MDE_OK)
    return login->url.status;
  return login->header.status != MDE_OK ? login->header.status : login->form.status;
}

bool mde_login_is_https(const mde_login *login)
{
  return strncmp(mde_buffer_text(&login->url), "https://", 8) == 0;
}

static void append(mde_buffer *out, mde_slice bytes)
{
  mde_buffer_append(out, bytes.data, bytes.length);
}

/* --- Microsoft's login --- */

void mde_login_endpoint(mde_buffer *url, const mde_login_account *account)
{
  append(url, account->authority);
  mde_buffer_append_char(url, '/');
  mde_uri_escape(url, account->tenant);
  mde_buffer_append_text(url, "/oauth2/v2.0/token");
}

static void add_field(mde_buffer *form, const char *name, mde_slice value)
{
  if (form->length > 0)
    mde_buffer_append_char(form, '&');
  mde_buffer_append_text(form, name);
  mde_buffer_append_char(form, '=');
  mde_uri_escape(form, value);
}

static void add_text(mde_buffer *form, const char *name, const char *value)
{
  add_field(form, name, (mde_slice){value, strlen(value)});
}

/* What all client credentials have in common. */
static void begin(mde_login *login, const mde_login_account *account)
{
  mde_buffer_reset(&login->url);
  mde_login_endpoint(&login->url, account);
  add_text(&login->form, "grant_type", "client_credentials");
  add_field(&login->form, "client_id", account->client_id);
  add_field(&login->form, "scope", account->audience);
  mde_uri_escape(&login->form,
                 (mde_slice){"/.default", 9}); /* of the scope: all that was granted */
}

static void add_proof(mde_login *login, const char *name, mde_slice value)
{
  add_field(&login->form, name, (mde_slice){"", 0});
  login->proof_at = login->form.length;
  mde_uri_escape(&login->form, value);
}

void mde_login_by_secret(mde_login *login, const mde_login_account *account, mde_slice secret)
{
  begin(login, account);
  add_proof(login, "client_secret", secret);
}

void mde_login_by_assertion(mde_login *login, const mde_login_account *account, mde_slice assertion)
{
  begin(login, account);
  add_text(&login->form, "client_assertion_type",
           "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  add_proof(login, "client_assertion", assertion);
}

/* --- managed identities --- */

static void ask_locally(mde_login *login, const mde_login_account *account, const char *version)
{
  mde_uri_query(&login->url, "api-version", (mde_slice){version, strlen(version)});
  mde_uri_query(&login->url, "resource", account->audience);
  if (account->client_id.length > 0)
    mde_uri_query(&login->url, "client_id", account->client_id);
}

void mde_login_by_imds(mde_login *login, const mde_login_account *account, mde_slice host)
{
  append(&login->url, host);
  mde_buffer_append_text(&login->url, "/metadata/identity/oauth2/token");
  mde_buffer_append_text(&login->header, "Metadata: true");
  ask_locally(login, account, "2018-02-01");
}

void mde_login_by_app_service(mde_login *login, const mde_login_account *account,
                              mde_slice endpoint, mde_slice header)
{
  append(&login->url, endpoint);
  mde_buffer_append_text(&login->header, "X-IDENTITY-HEADER: ");
  append(&login->header, header);
  ask_locally(login, account, "2019-08-01");
}

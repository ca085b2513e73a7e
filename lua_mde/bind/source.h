/* Where a client's tokens come from: exactly one of the ways below, read from the options.
 *
 *   source_flatten(L, 1);                        what `credential` holds becomes options like any others
 *   options_read(L, 1, rows, &options);          with SOURCE_ROWS among the rows
 *   source_check(L, 1, &options.source);         raises unless it is one credential, and whole
 *   source_take(&client->source, &options.source, &where)    copies; wiped by source_free
 *
 * It asks nobody for a token: that is token.c's, token_file.c's and login.c's. */
#ifndef MDE_BIND_SOURCE_H
#define MDE_BIND_SOURCE_H

#include "bind/options.h"
#include "bind/whereabouts.h"
#include "core/claims.h"
#include "core/login.h"
#include "io/secret_file.h"

typedef enum source_kind {
  SOURCE_TOKEN,       /* a string */
  SOURCE_FUNCTION,    /* of the script */
  SOURCE_TOKEN_FILE,  /* somebody else keeps it fresh */
  SOURCE_SECRET,      /* client credentials with a secret, */
  SOURCE_CERTIFICATE, /* with an assertion that is signed here, */
  SOURCE_FEDERATED,   /* or with one that a file holds */
  SOURCE_IMDS,        /* a managed identity of a virtual machine, */
  SOURCE_APP_SERVICE  /* or of App Service and its kin */
} source_kind;

enum {
  SOURCE_TENANT_ID,
  SOURCE_CLIENT_ID,
  SOURCE_PROOF, /* the secret, or the header that App Service wants */
  SOURCE_CERTIFICATE_FILE,
  SOURCE_KEY_FILE,
  SOURCE_PASSPHRASE,
  SOURCE_FILE,     /* of a token, or of a federation's assertion */
  SOURCE_ENDPOINT, /* of the local service */
  SOURCE_AUTHORITY,
  SOURCE_AUDIENCE,
  SOURCE_TEXTS
};

/* As given; texts borrow from the options or the environment. */
typedef struct source_options {
  source_kind kind;
  mde_slice text[SOURCE_TEXTS];
  mde_slice token_file, federated_token_file, algorithm;
  const char *authority; /* of the environment, or NULL */
} source_options;

typedef struct TokenSource {
  source_kind kind;
  bool rs256;
  mde_buffer text[SOURCE_TEXTS];
  mde_login login;    /* the request that is under way */
  mde_file_mark mark; /* of the token file that was read last */
  mde_claims claims;  /* of the latest token */
} TokenSource;

void source_flatten(lua_State *L, int argument);
void source_check(lua_State *L, int argument, source_options *options);

/* Can be freed from here on. False: not enough memory. */
bool source_take(TokenSource *source, const source_options *options, const whereabouts *where);
void source_forget(TokenSource *source); /* wipes all texts */
void source_free(TokenSource *source);

/* Microsoft's login or a local service: a request is sent for each token. */
bool source_is_remote(const TokenSource *source);

mde_slice source_text(const TokenSource *source, int which);

#define SOURCE_TEXT(name, type, start, which)                                                      \
  {                                                                                                \
    name, type, (start) + offsetof(source_options, text) + (which) * sizeof(mde_slice), 0, 0       \
  }

/* The rows of a source_options that lies at `start` of the target. */
#define SOURCE_ROWS(start)                                                                         \
  {"token", OPTION_ANY, 0, 0, 0}, {"credential", OPTION_ANY, 0, 0, 0},                             \
      {"managed_identity", OPTION_ANY, 0, 0, 0},                                                   \
      SOURCE_TEXT("tenant_id", OPTION_TEXT, start, SOURCE_TENANT_ID),                              \
      SOURCE_TEXT("client_id", OPTION_TEXT, start, SOURCE_CLIENT_ID),                              \
      SOURCE_TEXT("client_secret", OPTION_BYTES, start, SOURCE_PROOF),                             \
      SOURCE_TEXT("certificate", OPTION_BYTES, start, SOURCE_CERTIFICATE_FILE),                    \
      SOURCE_TEXT("private_key", OPTION_BYTES, start, SOURCE_KEY_FILE),                            \
      SOURCE_TEXT("passphrase", OPTION_BYTES, start, SOURCE_PASSPHRASE),                           \
      {"signature_algorithm", OPTION_TEXT, (start) + offsetof(source_options, algorithm), 0, 0},   \
      {"token_file", OPTION_BYTES, (start) + offsetof(source_options, token_file), 0, 0},          \
  {                                                                                                \
    "federated_token_file", OPTION_BYTES,                                                          \
        (start) + offsetof(source_options, federated_token_file), 0, 0                             \
  }

#endif

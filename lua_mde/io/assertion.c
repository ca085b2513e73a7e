#include "io/assertion.h"

#include "core/base64url.h"
#include "io/secret_file.h"

#include <stdio.h>

#ifdef MDE_WITH_LIBCRYPTO

enum { PART_MAX = 8192, UUID_BYTES = 16, UUID_SIZE = 37 };

typedef struct claim_set {
  mde_slice client_id;
  mde_slice audience;
  char id[UUID_SIZE];
  int64_t now_s;
} claim_set;

bool mde_assertion_available(void)
{
  return true;
}

/* --- claims --- */

static bool is_plain(mde_slice text)
{
  for (size_t i = 0; i < text.length; i++) {
    char c = text.data[i];
    if (c <= ' ' || c > '~' || c == '"' || c == '\\')
      return false;
  }
  return text.length > 0;
}

static bool check_plain(const char *name, mde_slice text, mde_trouble *trouble)
{
  return is_plain(text) ||
         mde_trouble_say(trouble, "%s is empty, or has a character that cannot stand there", name);
}

static bool make_id(char id[UUID_SIZE], mde_trouble *trouble)
{
  unsigned char b[UUID_BYTES];
  if (!mde_signer_random(b, sizeof b, trouble))
    return false;
  b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4 */
  b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
  snprintf(id, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
           b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
           b[14], b[15]);
  return true;
}

/* --- JSON --- */

static void open_string(mde_buffer *json, const char *name)
{
  mde_buffer_append_char(json, json->length == 0 ? '{' : ',');
  mde_buffer_append_char(json, '"');
  mde_buffer_append_text(json, name);
  mde_buffer_append_text(json, "\":");
}

static void put_text(mde_buffer *json, const char *name, mde_slice text)
{
  open_string(json, name);
  mde_buffer_append_char(json, '"');
  mde_buffer_append(json, text.data, text.length);
  mde_buffer_append_char(json, '"');
}

static void put_number(mde_buffer *json, const char *name, int64_t number)
{
  open_string(json, name);
  mde_buffer_append_integer(json, number);
}

static void put_thumbprint(mde_buffer *json, const char *name, const char *bytes, size_t size)
{
  open_string(json, name);
  mde_buffer_append_char(json, '"');
  mde_base64url_encode(json, (mde_slice){bytes, size});
  mde_buffer_append_char(json, '"');
}

static void put_header(mde_buffer *json, const mde_signer *signer, mde_signing signing)
{
  put_text(json, "alg", (mde_slice){signing == MDE_SIGNING_PS256 ? "PS256" : "RS256", 5});
  put_text(json, "typ", (mde_slice){"JWT", 3});
  if (signing == MDE_SIGNING_PS256)
    put_thumbprint(json, "x5t#S256", signer->sha256, sizeof signer->sha256);
  else
    put_thumbprint(json, "x5t", signer->sha1, sizeof signer->sha1);
  mde_buffer_append_char(json, '}');
}

static void put_claims(mde_buffer *json, const claim_set *claims)
{
  int64_t begin_s = claims->now_s - MDE_ASSERTION_EARLY_S;
  put_text(json, "aud", claims->audience);
  put_text(json, "iss", claims->client_id);
  put_text(json, "sub", claims->client_id);
  put_text(json, "jti", (mde_slice){claims->id, UUID_SIZE - 1});
  put_number(json, "nbf", begin_s);
  put_number(json, "iat", claims->now_s);
  put_number(json, "exp", begin_s + MDE_ASSERTION_LIFE_S);
  mde_buffer_append_char(json, '}');
}

/* --- the token --- */

static bool is_well(const mde_buffer *buffer, mde_trouble *trouble)
{
  if (buffer->status == MDE_NO_MEMORY)
    return mde_trouble_no_memory(trouble);
  if (buffer->status == MDE_TOO_LARGE)
    return mde_trouble_say(trouble, "the client's assertion has more than %zu bytes",
                           buffer->max_bytes);
  return true;
}

static mde_slice slice_of(const mde_buffer *buffer)
{
  return (mde_slice){mde_buffer_text(buffer), buffer->length};
}

static bool write_unsigned(mde_buffer *jwt, const mde_signer *signer, mde_signing signing,
                           const claim_set *claims, mde_trouble *trouble)
{
  mde_buffer json;
  mde_buffer_init_secret(&json, jwt->memory, PART_MAX);
  put_header(&json, signer, signing);
  mde_base64url_encode(jwt, slice_of(&json));
  bool well = is_well(&json, trouble);
  mde_buffer_reset(&json);
  put_claims(&json, claims);
  mde_buffer_append_char(jwt, '.');
  mde_base64url_encode(jwt, slice_of(&json));
  well = well && is_well(&json, trouble) && is_well(jwt, trouble);
  mde_buffer_free(&json);
  return well;
}

static bool write_signed(mde_buffer *jwt, const mde_signer *signer, mde_signing signing,
                         const claim_set *claims, mde_trouble *trouble)
{
  mde_signature signature;
  if (!write_unsigned(jwt, signer, signing, claims, trouble) ||
      !mde_signer_sign(signer, signing, slice_of(jwt), &signature, trouble))
    return false;
  mde_buffer_append_char(jwt, '.');
  mde_base64url_encode(jwt, (mde_slice){signature.bytes, signature.length});
  mde_wipe(&signature, sizeof signature);
  return is_well(jwt, trouble);
}

/* --- the files --- */

static bool read_pem(const char *what, mde_pem pem, mde_buffer *text, mde_trouble *trouble)
{
  return mde_secret_file_read(&(mde_secret_file){.what = what, .path = pem.path}, text, trouble);
}

static bool open_signer(mde_signer *signer, const mde_assertion_settings *settings,
                        const mde_memory *memory, int64_t now_s, mde_trouble *trouble)
{
  mde_buffer certificate, key;
  mde_buffer_init_secret(&certificate, memory, MDE_PEM_MAX);
  mde_buffer_init_secret(&key, memory, MDE_PEM_MAX);
  mde_signer_source source = {.certificate = {settings->certificate_file, &certificate},
                              .key = {settings->certificate_file, &certificate},
                              .passphrase = settings->passphrase,
                              .now_s = now_s};
  bool apart = settings->private_key_file != NULL;
  if (apart)
    source.key = (mde_pem){settings->private_key_file, &key};
  bool done = read_pem("certificate", source.certificate, &certificate, trouble) &&
              (!apart || read_pem("private key", source.key, &key, trouble)) &&
              mde_signer_open(signer, &source, trouble);
  mde_buffer_free(&certificate);
  mde_buffer_free(&key);
  return done;
}

bool mde_assertion_make(mde_buffer *jwt, const mde_assertion_settings *settings,
                        mde_slice client_id, mde_slice audience, int64_t now_s,
                        mde_trouble *trouble)
{
  mde_signer signer = {.key = NULL};
  claim_set claims = {.client_id = client_id, .audience = audience, .now_s = now_s};
  mde_buffer_reset(jwt);
  bool done = check_plain("the client id", client_id, trouble) &&
              check_plain("the token endpoint's address", audience, trouble) &&
              make_id(claims.id, trouble) &&
              open_signer(&signer, settings, jwt->memory, now_s, trouble) &&
              write_signed(jwt, &signer, settings->signing, &claims, trouble);
  mde_signer_free(&signer);
  if (!done)
    mde_buffer_reset(jwt);
  return done;
}

#else

bool mde_assertion_available(void)
{
  return false;
}

bool mde_assertion_make(mde_buffer *jwt, const mde_assertion_settings *settings,
                        mde_slice client_id, mde_slice audience, int64_t now_s,
                        mde_trouble *trouble)
{
  (void)settings, (void)client_id, (void)audience, (void)now_s;
  mde_buffer_reset(jwt);
  return mde_trouble_say(trouble, "this build of mde has no libcrypto: certificates need OpenSSL's "
                                  "development files (libssl-dev) when mde is built");
}

#endif

#include "io/signer.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char CERTIFICATE[] = "certificate", KEY[] = "private key";

/* --- what is wrong, for people --- */

/* Empties the queue: what is said of a failure may stand behind what came of it. */
static bool is_out_of_memory(void)
{
  bool found = false;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error())
    found = found || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
  return found;
}

static bool refuse(mde_trouble *trouble, const char *what, const mde_pem *pem, const char *reason)
{
  if (is_out_of_memory())
    return mde_trouble_no_memory(trouble);
  return mde_trouble_say_of(trouble, what, pem->path, "%s", reason);
}

static bool refuse_signing(mde_trouble *trouble)
{
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  if (is_out_of_memory())
    return mde_trouble_no_memory(trouble);
  return mde_trouble_say(trouble, "cannot sign with the private key: %s",
                         reason != NULL ? reason : "libcrypto does not say why");
}

/* --- reading PEM --- */

typedef struct question {
  const char *passphrase; /* NULL: none */
  bool asked;
} question;

/* In place of OpenSSL's own, which asks the terminal. */
static int give_passphrase(char *buffer, int size, int writing, void *context)
{
  question *asking = context;
  (void)writing;
  asking->asked = true;
  size_t length = asking->passphrase != NULL ? strlen(asking->passphrase) : SIZE_MAX;
  if (size < 0 || length > (size_t)size)
    return -1;
  memcpy(buffer, asking->passphrase, length);
  return (int)length;
}

static BIO *open_text(const mde_pem *pem, mde_trouble *trouble)
{
  size_t length = pem->text->length;
  BIO *bio = length <= INT_MAX ? BIO_new_mem_buf(mde_buffer_text(pem->text), (int)length) : NULL;
  if (bio == NULL)
    mde_trouble_no_memory(trouble);
  return bio;
}

static bool holds(const mde_pem *pem, const char *words)
{
  return strstr(mde_buffer_text(pem->text), words) != NULL;
}

/* --- the certificate --- */

static bool refuse_expired(const mde_pem *pem, const ASN1_TIME *end, mde_trouble *trouble)
{
  struct tm day;
  if (is_out_of_memory())
    return mde_trouble_no_memory(trouble);
  if (ASN1_TIME_to_tm(end, &day) != 1)
    return refuse(trouble, CERTIFICATE, pem, "the date of its end cannot be read");
  return mde_trouble_say_of(trouble, CERTIFICATE, pem->path,
                            "it expired on %04d-%02d-%02d. Register a new one with the app",
                            day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

static bool check_dates(X509 *certificate, const mde_signer_source *source, mde_trouble *trouble)
{
  const ASN1_TIME *end = X509_get0_notAfter(certificate);
  time_t now = (time_t)source->now_s;
  return X509_cmp_time(end, &now) > 0 || refuse_expired(&source->certificate, end, trouble);
}

static bool take_thumbprints(mde_signer *signer, const X509 *certificate)
{
  return X509_digest(certificate, EVP_sha1(), (unsigned char *)signer->sha1, NULL) == 1 &&
         X509_digest(certificate, EVP_sha256(), (unsigned char *)signer->sha256, NULL) == 1;
}

static X509 *read_certificate(const mde_pem *pem, mde_trouble *trouble)
{
  question asking = {.passphrase = NULL};
  if (!holds(pem, "CERTIFICATE-----")) {
    refuse(trouble, CERTIFICATE, pem, "there is no certificate in this file, in PEM format");
    return NULL;
  }
  BIO *bio = open_text(pem, trouble);
  if (bio == NULL)
    return NULL;
  X509 *certificate = PEM_read_bio_X509(bio, NULL, give_passphrase, &asking);
  if (certificate == NULL)
    refuse(trouble, CERTIFICATE, pem, "the certificate in this file is damaged");
  BIO_free(bio);
  return certificate;
}

/* --- the key --- */

static const char *why_no_key(const question *asking)
{
  if (!asking->asked)
    return "the private key in this file is damaged, or of a kind that libcrypto does not know";
  if (asking->passphrase == NULL)
    return "it is encrypted, and no passphrase was given";
  return "it cannot be decrypted: the passphrase is wrong";
}

/* A public key would be read as well, and be of no use later. */
static EVP_PKEY *read_key(const mde_signer_source *source, mde_trouble *trouble)
{
  question asking = {.passphrase = source->passphrase};
  if (!holds(&source->key, "PRIVATE KEY-----")) {
    refuse(trouble, KEY, &source->key, "there is no private key in this file, in PEM format");
    return NULL;
  }
  BIO *bio = open_text(&source->key, trouble);
  if (bio == NULL)
    return NULL;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asking);
  if (key == NULL)
    refuse(trouble, KEY, &source->key, why_no_key(&asking));
  BIO_free(bio);
  return key;
}

static bool check_key(EVP_PKEY *key, const mde_signer_source *source, mde_trouble *trouble)
{
  const mde_pem *pem = &source->key;
  if (EVP_PKEY_base_id(key) != EVP_PKEY_RSA)
    return refuse(trouble, KEY, pem, "it is no RSA key. The service takes RSA keys only");
  int bits = EVP_PKEY_bits(key);
  if (bits <= 0)
    return refuse(trouble, KEY, pem, "its size cannot be told");
  if (bits < MDE_SIGNER_BITS_MIN || bits > MDE_SIGNER_BITS_MAX)
    return mde_trouble_say_of(trouble, KEY, pem->path, "it has %d bits. It must have %d to %d",
                              bits, MDE_SIGNER_BITS_MIN, MDE_SIGNER_BITS_MAX);
  return true;
}

static bool check_pair(X509 *certificate, EVP_PKEY *key, const mde_signer_source *source,
                       mde_trouble *trouble)
{
  if (X509_check_private_key(certificate, key) == 1)
    return true;
  return refuse(trouble, KEY, &source->key, "it does not belong to the certificate");
}

/* --- the signer --- */

static bool open_with(mde_signer *signer, X509 *certificate, const mde_signer_source *source,
                      mde_trouble *trouble)
{
  if (!check_dates(certificate, source, trouble))
    return false;
  if (!take_thumbprints(signer, certificate))
    return refuse(trouble, CERTIFICATE, &source->certificate, "its thumbprint cannot be computed");
  signer->key = read_key(source, trouble);
  return signer->key != NULL && check_key(signer->key, source, trouble) &&
         check_pair(certificate, signer->key, source, trouble);
}

/* What others left in the queue of errors would be taken for ours, also by OpenSSL itself. */
bool mde_signer_open(mde_signer *signer, const mde_signer_source *source, mde_trouble *trouble)
{
  *signer = (mde_signer){.key = NULL};
  ERR_clear_error();
  X509 *certificate = read_certificate(&source->certificate, trouble);
  bool done = certificate != NULL && open_with(signer, certificate, source, trouble);
  X509_free(certificate);
  if (!done)
    mde_signer_free(signer);
  ERR_clear_error();
  return done;
}

static bool set_padding(EVP_PKEY_CTX *context, mde_signing signing)
{
  if (signing == MDE_SIGNING_RS256)
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, MDE_SHA256_SIZE) > 0;
}

static bool sign(EVP_MD_CTX *digest, EVP_PKEY *key, mde_signing signing, mde_slice message,
                 mde_signature *signature)
{
  EVP_PKEY_CTX *context = NULL; /* the digest's */
  signature->length = sizeof signature->bytes;
  return EVP_DigestSignInit(digest, &context, EVP_sha256(), NULL, key) == 1 &&
         set_padding(context, signing) &&
         EVP_DigestSign(digest, (unsigned char *)signature->bytes, &signature->length,
                        (const unsigned char *)message.data, message.length) == 1;
}

bool mde_signer_sign(const mde_signer *signer, mde_signing signing, mde_slice message,
                     mde_signature *signature, mde_trouble *trouble)
{
  ERR_clear_error();
  EVP_MD_CTX *digest = EVP_MD_CTX_new();
  bool done = digest != NULL ? sign(digest, signer->key, signing, message, signature) ||
                                   refuse_signing(trouble)
                             : mde_trouble_no_memory(trouble);
  EVP_MD_CTX_free(digest);
  if (!done)
    *signature = (mde_signature){.length = 0};
  ERR_clear_error();
  return done;
}

void mde_signer_free(mde_signer *signer)
{
  EVP_PKEY_free(signer->key); /* wipes it */
  OPENSSL_cleanse(signer, sizeof *signer);
}

bool mde_signer_random(unsigned char *bytes, size_t size, mde_trouble *trouble)
{
  bool done = size <= INT_MAX && RAND_bytes(bytes, (int)size) == 1;
  ERR_clear_error();
  return done || mde_trouble_say(trouble, "libcrypto has no random numbers");
}

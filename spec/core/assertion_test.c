/* Assertions against the `openssl` program: it makes the keys and verifies what was signed. */
#include "core/base64url.h"
#include "io/assertion.h"
#include "test.h"

#include <sys/stat.h>

#define CLIENT_ID "11111111-2222-3333-4444-555555555555"
#define AUDIENCE "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"
#define SLICE(text) ((mde_slice){text, sizeof(text) - 1})

enum { PATH_SIZE = 200, JWT_MAX = 16384, YEAR_S = 366 * 86400 };

static char folder[] = "/tmp/mde-assertion-XXXXXX";

static char text[MDE_TROUBLE_SIZE]; /* of the last trouble */

/* --- the openssl program --- */

static bool shell(const char *script)
{
  char command[4000];
  snprintf(command, sizeof command, "cd '%s' && { %s\n} >>log 2>&1 </dev/null", folder, script);
  return system(command) == 0;
}

static void must(const char *script)
{
  if (!shell(script))
    fail_msg("%s/log says why this failed: %s", folder, script);
}

/* Its own settings: a machine's may forbid short keys or add extensions. */
#define NEW_CERTIFICATE "openssl req -x509 -config req.cnf -nodes -days 2 -sha256 "

static int make_files(void **state)
{
  (void)state;
  assert_non_null(mkdtemp(folder));
  umask(022);
  must("printf '[req]\\ndistinguished_name=dn\\nprompt=no\\n[dn]\\nCN=mde\\n' >req.cnf");
  must(NEW_CERTIFICATE "-newkey rsa:2048 -keyout key.pem -out certificate.pem");
  must("openssl x509 -in certificate.pem -noout -pubkey >public.pem");
  must("cat certificate.pem key.pem >both.pem; cat key.pem certificate.pem >both_reversed.pem");
  must("cat public.pem key.pem >public_first.pem");
  must("openssl pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -passout pass:s3cret -out encrypted.pem");
  must("cat certificate.pem encrypted.pem >both_encrypted.pem");
  must("openssl rsa -in key.pem -traditional -out pkcs1.pem || "
       "openssl rsa -in key.pem -out pkcs1.pem");
  must("grep -q 'BEGIN RSA' pkcs1.pem");
  must("openssl rsa -in pkcs1.pem -traditional -aes256 -passout pass:s3cret -out pkcs1_enc.pem || "
       "openssl rsa -in pkcs1.pem -aes256 -passout pass:s3cret -out pkcs1_enc.pem");
  must("grep -q ENCRYPTED pkcs1_enc.pem");
  must(NEW_CERTIFICATE "-newkey rsa:2048 -keyout other_key.pem -out other.pem");
  must("cat certificate.pem other.pem >chain.pem");
  must(NEW_CERTIFICATE "-newkey rsa:1024 -keyout short_key.pem -out short.pem");
  must(NEW_CERTIFICATE "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout ec_key.pem "
                       "-out ec.pem");
  must("sed '3,6d' certificate.pem >damaged.pem; sed '3,6d' key.pem >damaged_key.pem");
  must("cp key.pem open_key.pem && chmod 0620 open_key.pem");
  return 0;
}

static int remove_files(void **state)
{
  (void)state;
  char command[PATH_SIZE];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static const char *path_of(char path[PATH_SIZE], const char *name)
{
  snprintf(path, PATH_SIZE, "%s/%s", folder, name);
  return path;
}

/* --- making assertions --- */

typedef struct wish {
  const char *certificate; /* names in the folder */
  const char *key;
  const char *passphrase;
  mde_signing signing;
  int64_t now_s; /* 0: now */
} wish;

#define PAIR(certificate_name, key_name)                                                           \
  ((wish){.certificate = (certificate_name), .key = (key_name)})
#define LOCKED(key_name, words)                                                                    \
  ((wish){.certificate = "certificate.pem", .key = (key_name), .passphrase = (words)})

static bool make_for(mde_buffer *jwt, wish order, mde_slice client_id, mde_slice audience,
                     bool *no_memory)
{
  char certificate[PATH_SIZE], key[PATH_SIZE];
  mde_assertion_settings settings = {.certificate_file = path_of(certificate, order.certificate),
                                     .private_key_file =
                                         order.key != NULL ? path_of(key, order.key) : NULL,
                                     .passphrase = order.passphrase,
                                     .signing = order.signing};
  mde_trouble trouble = {.text = text, .size = sizeof text};
  text[0] = '\0';
  int64_t now_s = order.now_s != 0 ? order.now_s : (int64_t)time(NULL);
  bool done = mde_assertion_make(jwt, &settings, client_id, audience, now_s, &trouble);
  assert_true(done || (text[0] != '\0' && jwt->length == 0 && jwt->status == MDE_OK));
  *no_memory = trouble.no_memory;
  return done;
}

static bool make(mde_buffer *jwt, wish order)
{
  bool no_memory;
  bool done = make_for(jwt, order, SLICE(CLIENT_ID), SLICE(AUDIENCE), &no_memory);
  assert_false(no_memory);
  return done;
}

static void assert_refused(wish order, const char *reason)
{
  mde_buffer jwt;
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  assert_false(make(&jwt, order));
  if (strstr(text, reason) == NULL)
    fail_msg("'%s' says nothing of '%s'", text, reason);
  assert_null(strstr(text, "s3cret"));
  mde_buffer_free(&jwt);
}

/* --- taking them apart --- */

static void save(const char *name, mde_slice bytes)
{
  char path[PATH_SIZE];
  FILE *file = fopen(path_of(path, name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes.data, 1, bytes.length, file), bytes.length);
  fclose(file);
}

static mde_slice part_of(const mde_buffer *jwt, int number)
{
  const char *begin = mde_buffer_text(jwt);
  for (; number > 0; number--) {
    begin = strchr(begin, '.');
    assert_non_null(begin);
    begin++;
  }
  return (mde_slice){begin, strcspn(begin, ".")};
}

static void decode_part(mde_buffer *out, const mde_buffer *jwt, int number)
{
  mde_buffer_init(out, &mde_memory_system, JWT_MAX);
  assert_true(mde_base64url_decode(out, part_of(jwt, number)));
}

/* The certificate's key has so many bits. */
static void assert_signed(const mde_buffer *jwt, const wish *order, size_t bits)
{
  static const char pss[] = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
  mde_buffer signature;
  mde_slice last = part_of(jwt, 2);
  assert_int_equal(last.length, strlen(last.data));
  save("message", (mde_slice){jwt->data, (size_t)(last.data - 1 - jwt->data)});
  decode_part(&signature, jwt, 2);
  assert_int_equal(signature.length, bits / 8);
  save("signature", (mde_slice){signature.data, signature.length});
  mde_buffer_free(&signature);
  char script[400];
  snprintf(script, sizeof script, "openssl x509 -in %s -noout -pubkey >its_public.pem",
           order->certificate);
  must(script);
  snprintf(script, sizeof script,
           "openssl dgst -sha256 -verify its_public.pem %s -signature signature message",
           order->signing == MDE_SIGNING_PS256 ? pss : "");
  must(script);
  must("printf x >>message");
  assert_false(shell(script));
}

static void assert_works_with(wish order, size_t bits)
{
  mde_buffer jwt;
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  if (!make(&jwt, order))
    fail_msg("%s", text);
  assert_signed(&jwt, &order, bits);
  mde_buffer_free(&jwt);
}

static void assert_works(wish order)
{
  assert_works_with(order, 2048);
}

/* As the openssl program prints it: sha1 Fingerprint=AA:BB:... */
static void append_fingerprint(mde_buffer *out, const char *hash)
{
  char script[200], path[PATH_SIZE], line[200], bytes[64];
  size_t size = 0;
  snprintf(script, sizeof script, "openssl x509 -in certificate.pem -noout -fingerprint -%s >print",
           hash);
  must(script);
  FILE *file = fopen(path_of(path, "print"), "r");
  assert_non_null(file);
  assert_non_null(fgets(line, sizeof line, file));
  fclose(file);
  for (char *hex = strchr(line, '='); hex != NULL; hex = strchr(hex + 1, ':'))
    bytes[size++] = (char)strtoul(hex + 1, NULL, 16);
  assert_true(size == MDE_SHA1_SIZE || size == MDE_SHA256_SIZE);
  mde_base64url_encode(out, (mde_slice){bytes, size});
}

/* `begin`, the certificate's thumbprint, and the end of the string and the object. */
static void assert_header(mde_signing signing, const char *begin, const char *hash)
{
  mde_buffer jwt, header, wanted;
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  assert_true(make(&jwt, (wish){"certificate.pem", "key.pem", .signing = signing}));
  decode_part(&header, &jwt, 0);
  mde_buffer_init(&wanted, &mde_memory_system, 300);
  mde_buffer_append_text(&wanted, begin);
  append_fingerprint(&wanted, hash);
  mde_buffer_append_text(&wanted, "\"}");
  assert_string_equal(mde_buffer_text(&header), mde_buffer_text(&wanted));
  mde_buffer_free(&wanted);
  mde_buffer_free(&header);
  mde_buffer_free(&jwt);
}

/* --- what it makes --- */

static void signs_in_both_algorithms(void **state)
{
  (void)state;
  assert_works((wish){"certificate.pem", "key.pem", .signing = MDE_SIGNING_PS256});
  assert_works((wish){"certificate.pem", "key.pem", .signing = MDE_SIGNING_RS256});
}

static void signs_with_longer_keys(void **state)
{
  (void)state;
  static const size_t lengths[] = {3072, 4096};
  for (size_t i = 0; i < TEST_COUNT(lengths); i++) {
    char script[200];
    snprintf(script, sizeof script,
             NEW_CERTIFICATE "-newkey rsa:%zu -keyout long_key.pem -out long.pem", lengths[i]);
    must(script);
    assert_works_with((wish){"long.pem", "long_key.pem", .signing = MDE_SIGNING_PS256}, lengths[i]);
    assert_works_with((wish){"long.pem", "long_key.pem", .signing = MDE_SIGNING_RS256}, lengths[i]);
  }
}

static void names_algorithm_and_certificate(void **state)
{
  (void)state;
  assert_header(MDE_SIGNING_PS256, "{\"alg\":\"PS256\",\"typ\":\"JWT\",\"x5t#S256\":\"", "sha256");
  assert_header(MDE_SIGNING_RS256, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"x5t\":\"", "sha1");
}

/* Version 4 and variant 1 of RFC 9562. */
static void assert_uuid(const char *id)
{
  static const char pattern[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
  assert_int_equal(strlen(id), strlen(pattern));
  for (size_t i = 0; pattern[i] != '\0'; i++) {
    const char *allowed = pattern[i] == 'x' ? "0123456789abcdef" : "89ab";
    assert_true(strchr("xy", pattern[i]) != NULL ? strchr(allowed, id[i]) != NULL
                                                 : id[i] == pattern[i]);
  }
}

static void read_claims(int64_t now_s, char id[37])
{
  mde_buffer jwt, payload;
  char rebuilt[1000];
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  if (!make(&jwt, (wish){"certificate.pem", "key.pem", .now_s = now_s}))
    fail_msg("%s", text);
  decode_part(&payload, &jwt, 1);
  const char *found = strstr(mde_buffer_text(&payload), "\"jti\":\"");
  assert_non_null(found);
  snprintf(id, 37, "%s", found + strlen("\"jti\":\""));
  snprintf(rebuilt, sizeof rebuilt,
           "{\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"%s\","
           "\"nbf\":%lld,\"iat\":%lld,\"exp\":%lld}",
           AUDIENCE, CLIENT_ID, CLIENT_ID, id, (long long)now_s - 60, (long long)now_s,
           (long long)now_s + 540);
  assert_string_equal(mde_buffer_text(&payload), rebuilt);
  mde_buffer_free(&payload);
  mde_buffer_free(&jwt);
}

static void claims_to_be_the_client_for_ten_minutes(void **state)
{
  (void)state;
  char id[37], next_id[37];
  int64_t now_s = (int64_t)time(NULL);
  read_claims(now_s, id);
  read_claims(now_s, next_id);
  assert_uuid(id);
  assert_uuid(next_id);
  assert_string_not_equal(id, next_id);
}

static void takes_certificate_and_key_from_one_file(void **state)
{
  (void)state;
  assert_works((wish){.certificate = "both.pem"});
  assert_works((wish){.certificate = "both_reversed.pem"});
  assert_works((wish){.certificate = "both_encrypted.pem", .passphrase = "s3cret"});
  assert_works((wish){.certificate = "both.pem", .key = "both.pem"});
}

static void takes_the_first_certificate_of_a_chain(void **state)
{
  (void)state;
  assert_works(PAIR("chain.pem", "key.pem"));
  assert_refused(PAIR("chain.pem", "other_key.pem"), "does not belong to the certificate");
}

static void takes_keys_in_every_wrapping(void **state)
{
  (void)state;
  assert_works(PAIR("certificate.pem", "pkcs1.pem"));
  assert_works(LOCKED("encrypted.pem", "s3cret"));
  assert_works(LOCKED("pkcs1_enc.pem", "s3cret"));
  assert_works(LOCKED("key.pem", "not needed"));
}

static void takes_in_a_renewed_certificate(void **state)
{
  (void)state;
  must("cp certificate.pem renewed.pem; cp key.pem renewed_key.pem");
  assert_works(PAIR("renewed.pem", "renewed_key.pem"));
  must("cp other.pem renewed.pem; cp other_key.pem renewed_key.pem");
  mde_buffer jwt;
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  assert_true(make(&jwt, PAIR("renewed.pem", "renewed_key.pem")));
  mde_buffer_free(&jwt);
}

/* --- what it refuses --- */

static void refuses_a_wrong_passphrase(void **state)
{
  (void)state;
  static const char *const encrypted[] = {"encrypted.pem", "pkcs1_enc.pem"};
  char long_one[5000];
  memset(long_one, 'x', sizeof long_one);
  long_one[sizeof long_one - 1] = '\0';
  for (size_t i = 0; i < TEST_COUNT(encrypted); i++) {
    const char *key = encrypted[i];
    assert_refused(LOCKED(key, "s3cre"), "the passphrase is wrong");
    assert_refused(LOCKED(key, ""), "the passphrase is wrong");
    assert_refused(LOCKED(key, long_one), "the passphrase is wrong");
    assert_refused(PAIR("certificate.pem", key), "it is encrypted, and no passphrase was given");
  }
  assert_refused((wish){.certificate = "both_encrypted.pem"}, "no passphrase was given");
}

static void refuses_a_key_of_another_certificate(void **state)
{
  (void)state;
  assert_refused(PAIR("certificate.pem", "other_key.pem"), "does not belong to the certificate");
}

static void refuses_keys_that_the_service_does_not_take(void **state)
{
  (void)state;
  assert_refused(PAIR("ec.pem", "ec_key.pem"), "it is no RSA key");
  assert_refused(PAIR("short.pem", "short_key.pem"), "it has 1024 bits");
}

static void refuses_an_expired_certificate(void **state)
{
  (void)state;
  char path[PATH_SIZE], wanted[100];
  struct stat facts;
  wish late = PAIR("certificate.pem", "key.pem");
  late.now_s = (int64_t)time(NULL) + YEAR_S;
  assert_refused(late, "it expired on 2");
  assert_int_equal(stat(path_of(path, "certificate.pem"), &facts), 0);
  time_t end = facts.st_mtime + 2 * 86400, a_little_before = end - 10;
  strftime(wanted, sizeof wanted, "it expired on %Y-%m-%d", gmtime(&end));
  if (strstr(text, wanted) == NULL) {
    strftime(wanted, sizeof wanted, "it expired on %Y-%m-%d", gmtime(&a_little_before));
    assert_non_null(strstr(text, wanted));
  }
}

static void says_what_is_not_in_a_file(void **state)
{
  (void)state;
  assert_refused((wish){.certificate = "certificate.pem"}, "there is no private key in this file");
  assert_refused(PAIR("certificate.pem", "public.pem"), "there is no private key in this file");
  assert_refused(PAIR("key.pem", "key.pem"), "there is no certificate in this file");
  assert_refused(PAIR("damaged.pem", "key.pem"), "the certificate in this file is damaged");
  assert_refused(PAIR("certificate.pem", "damaged_key.pem"), "the private key in this file is");
}

static void says_what_is_wrong_with_a_file(void **state)
{
  (void)state;
  assert_refused(PAIR("none.pem", "key.pem"), "certificate '/tmp/");
  assert_refused(PAIR("certificate.pem", "none.pem"), "private key '/tmp/");
  assert_refused(PAIR("certificate.pem", "open_key.pem"), "chmod go-w");
}

/* A public key in front of the private one is nothing that could sign. */
static void never_takes_a_public_key_for_the_private_one(void **state)
{
  (void)state;
  assert_works(PAIR("certificate.pem", "public_first.pem"));
}

static void refuses_what_would_have_to_be_escaped(void **state)
{
  (void)state;
  static const mde_slice bad[] = {{"", 0},    {"a\"b", 3},  {"a\\b", 3},     {"a\nb", 3},
                                  {"a b", 3}, {"a\x7f", 2}, {"\xc3\xa4", 2}, {"a\0b", 3}};
  wish whole = PAIR("certificate.pem", "key.pem");
  for (size_t i = 0; i < TEST_COUNT(bad); i++) {
    bool no_memory;
    mde_buffer jwt;
    mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
    assert_false(make_for(&jwt, whole, bad[i], SLICE(AUDIENCE), &no_memory));
    assert_non_null(strstr(text, "the client id"));
    assert_false(make_for(&jwt, whole, SLICE(CLIENT_ID), bad[i], &no_memory));
    assert_non_null(strstr(text, "the token endpoint's address"));
    mde_buffer_free(&jwt);
  }
}

static void refuses_to_be_too_long(void **state)
{
  (void)state;
  bool no_memory;
  char name[9000];
  mde_buffer jwt;
  wish whole = PAIR("certificate.pem", "key.pem");
  memset(name, 'x', sizeof name);
  mde_buffer_init_secret(&jwt, &mde_memory_system, JWT_MAX);
  assert_false(make_for(&jwt, whole, (mde_slice){name, sizeof name}, SLICE(AUDIENCE), &no_memory));
  assert_non_null(strstr(text, "has more than"));
  jwt.max_bytes = 500;
  assert_false(make_for(&jwt, whole, SLICE(CLIENT_ID), SLICE(AUDIENCE), &no_memory));
  assert_non_null(strstr(text, "has more than 500 bytes"));
  mde_buffer_free(&jwt);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  bool no_memory = true;
  for (size_t k = 1; no_memory; k++) {
    test_heap heap = {.fail_at = k, .secret = true};
    mde_memory memory = test_memory(&heap);
    mde_buffer jwt;
    mde_buffer_init_secret(&jwt, &memory, JWT_MAX);
    bool done = make_for(&jwt, PAIR("certificate.pem", "key.pem"), SLICE(CLIENT_ID),
                         SLICE(AUDIENCE), &no_memory);
    assert_int_equal(no_memory, !done);
    assert_int_equal(done, heap.allocations < k);
    mde_buffer_free(&jwt);
    assert_int_equal(heap.blocks, 0);
    assert_int_equal(heap.unwiped, 0);
    assert_true(k < 100);
  }
}

/* --- a build without libcrypto --- */

static void says_what_this_build_lacks(void **state)
{
  (void)state;
  assert_refused((wish){.certificate = "certificate.pem"}, "this build of mde has no libcrypto");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(signs_in_both_algorithms),
      cmocka_unit_test(signs_with_longer_keys),
      cmocka_unit_test(names_algorithm_and_certificate),
      cmocka_unit_test(claims_to_be_the_client_for_ten_minutes),
      cmocka_unit_test(takes_certificate_and_key_from_one_file),
      cmocka_unit_test(takes_the_first_certificate_of_a_chain),
      cmocka_unit_test(takes_keys_in_every_wrapping),
      cmocka_unit_test(takes_in_a_renewed_certificate),
      cmocka_unit_test(refuses_a_wrong_passphrase),
      cmocka_unit_test(refuses_a_key_of_another_certificate),
      cmocka_unit_test(refuses_keys_that_the_service_does_not_take),
      cmocka_unit_test(refuses_an_expired_certificate),
      cmocka_unit_test(says_what_is_not_in_a_file),
      cmocka_unit_test(says_what_is_wrong_with_a_file),
      cmocka_unit_test(never_takes_a_public_key_for_the_private_one),
      cmocka_unit_test(refuses_what_would_have_to_be_escaped),
      cmocka_unit_test(refuses_to_be_too_long),
      cmocka_unit_test(every_allocation_may_fail),
  };
  const struct CMUnitTest without[] = {
      cmocka_unit_test(says_what_this_build_lacks),
  };
  if (!mde_assertion_available())
    return cmocka_run_group_tests_name("assertion", without, NULL, NULL);
  return cmocka_run_group_tests_name("assertion", tests, make_files, remove_files);
}

#include "core/login.h"
#include "test.h"

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static mde_login_account account(void)
{
  return (mde_login_account){.authority = text_of("https://login.example"),
                             .tenant = text_of("tenant/1"),
                             .client_id = text_of("app id"),
                             .audience = text_of("https://api.example")};
}

static mde_login start(const mde_memory *memory)
{
  mde_login login;
  mde_login_init(&login, memory);
  return login;
}

static void assert_text(const mde_buffer *buffer, const char *wanted)
{
  assert_string_equal(mde_buffer_text(buffer), wanted);
}

#define COMMON                                                                                     \
  "grant_type=client_credentials&client_id=app%20id&scope=https%3A%2F%2Fapi.example%2F.default"

static void a_secret_goes_into_the_form_escaped(void **state)
{
  (void)state;
  mde_login login = start(&mde_memory_system);
  mde_login_account who = account();
  mde_login_by_secret(&login, &who, text_of("a&b=c +%~"));
  assert_text(&login.url, "https://login.example/tenant%2F1/oauth2/v2.0/token");
  assert_text(&login.form, COMMON "&client_secret=a%26b%3Dc%20%2B%25~");
  assert_text(&login.header, "");
  assert_string_equal(login.form.data + login.proof_at, "a%26b%3Dc%20%2B%25~");
  assert_true(mde_login_is_https(&login));
  mde_login_free(&login);
}

static void an_assertion_goes_into_the_form_with_its_type(void **state)
{
  (void)state;
  mde_login login = start(&mde_memory_system);
  mde_login_account who = account();
  mde_buffer_append_text(&login.token, "eyJ.eyJ.c2ln");
  mde_login_by_assertion(&login, &who, (mde_slice){login.token.data, login.token.length});
  assert_text(&login.form,
              COMMON "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                     "client-assertion-type%3Ajwt-bearer&client_assertion=eyJ.eyJ.c2ln");
  assert_string_equal(login.form.data + login.proof_at, "eyJ.eyJ.c2ln");
  mde_login_free(&login);
}

static void local_services_are_asked_by_their_addresses_and_headers(void **state)
{
  (void)state;
  mde_login login = start(&mde_memory_system);
  mde_login_account who = account();
  mde_login_by_imds(&login, &who, text_of("http://169.254.169.254"));
  assert_text(&login.url, "http://169.254.169.254/metadata/identity/oauth2/token"
                          "?api-version=2018-02-01&resource=https%3A%2F%2Fapi.example"
                          "&client_id=app%20id");
  assert_text(&login.header, "Metadata: true");
  assert_text(&login.form, "");
  assert_false(mde_login_is_https(&login));
  mde_login_reset(&login);
  who.client_id = text_of("");
  mde_login_by_app_service(&login, &who, text_of("http://127.0.0.1:41/msi/token"), text_of("key"));
  assert_text(&login.url, "http://127.0.0.1:41/msi/token?api-version=2019-08-01"
                          "&resource=https%3A%2F%2Fapi.example");
  assert_text(&login.header, "X-IDENTITY-HEADER: key");
  mde_login_free(&login);
}

static void what_is_too_long_shows_in_the_status(void **state)
{
  (void)state;
  static char secret[MDE_LOGIN_FORM_MAX];
  memset(secret, '!', sizeof secret);
  mde_login login = start(&mde_memory_system);
  mde_login_account who = account();
  mde_login_by_secret(&login, &who, (mde_slice){secret, sizeof secret});
  assert_int_equal(mde_login_status(&login), MDE_TOO_LARGE);
  mde_login_reset(&login);
  assert_int_equal(mde_login_status(&login), MDE_OK);
  mde_login_free(&login);
}

static void everything_is_wiped_whatever_fails(void **state)
{
  (void)state;
  static char secret[5000];
  memset(secret, 'x', sizeof secret);
  for (size_t k = 1; k < 12; k++) {
    test_heap heap = {.fail_at = k, .secret = true};
    mde_memory memory = test_memory(&heap);
    mde_login login = start(&memory);
    mde_login_account who = account();
    mde_login_by_secret(&login, &who, (mde_slice){secret, sizeof secret});
    assert_int_equal(mde_login_status(&login), heap.allocations >= k ? MDE_NO_MEMORY : MDE_OK);
    mde_login_free(&login);
    mde_login_free(&login);
    assert_int_equal(heap.blocks, 0);
    assert_int_equal(heap.unwiped, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_secret_goes_into_the_form_escaped),
      cmocka_unit_test(an_assertion_goes_into_the_form_with_its_type),
      cmocka_unit_test(local_services_are_asked_by_their_addresses_and_headers),
      cmocka_unit_test(what_is_too_long_shows_in_the_status),
      cmocka_unit_test(everything_is_wiped_whatever_fails),
  };
  return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}

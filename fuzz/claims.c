/* What a token says of itself: a payload, or behind a dot a whole token. What is kept is bounded,
 * and the hint that is made of it is fit for a message. */
#include "bind/claims.h"
#include "core/base64url.h"
#include "core/failure.h"

#include "lua.h"
#include "words.h"

#define assert_ended(text) assert_non_null(memchr(text, '\0', sizeof(text)))

static void assert_hint(const mde_claims *claims, int status)
{
  char hint[MDE_FAILURE_TEXT_MAX], text[MDE_FAILURE_TEXT_MAX];
  mde_memory array = mde_memory_block(hint);
  mde_buffer words;
  mde_claims_wanted wanted = {.audience = {"https://a", 9},
                              .tenant = {"11112222-bbbb-3333-cccc-4444dddd5555", 36},
                              .permission = "Ip.Read.All",
                              .now_s = 1800000000};
  mde_buffer_init(&words, &array, sizeof hint - 1);
  mde_claims_hint(&words, claims, &wanted, status);
  assert_true(claims->known || words.length == 0);
  mde_failure failure = {.status = status, .retry_after_ms = -1};
  mde_failure_context context = {.operation = &mde_operations[0],
                                 .hint = {mde_buffer_text(&words), words.length}};
  assert_calm(text, mde_failure_text(text, sizeof text, &failure, &context));
}

static void assert_claims(lua_State *L, mde_slice token)
{
  mde_claims claims;
  memset(&claims, 'x', sizeof claims);
  claims_read(L, token, &claims);
  assert_int_equal(lua_gettop(L), 0);
  assert_true(claims.expires_s >= 0 && claims.expires_s < INT64_C(1000000000000));
  assert_ended(claims.audience);
  assert_ended(claims.tenant);
  assert_ended(claims.permissions);
  assert_true(claims.known || (claims.expires_s == 0 && claims.permissions[0] == '\0'));
  assert_hint(&claims, 401);
  assert_hint(&claims, 403);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static lua_State *L;
  if (L == NULL)
    L = fuzz_lua(NULL);
  fuzz_input input = fuzz_begin(bytes, size);
  mde_slice text = fuzz_rest(&input);
  if (size > 0 && bytes[0] == '.') {
    assert_claims(L, (mde_slice){text.data + 1, text.length - 1});
  } else {
    mde_buffer token;
    mde_buffer_init(&token, &mde_memory_system, 1 << 20);
    mde_buffer_append_text(&token, "e30.");
    mde_base64url_encode(&token, text);
    mde_buffer_append_text(&token, ".c2ln");
    assert_claims(L, (mde_slice){token.data, token.length});
    mde_buffer_free(&token);
  }
  fuzz_free(&input);
  return 0;
}

/* The answer of a token endpoint, before it is parsed: where the token stood is nothing but the
 * mask, and the rest is as it was. */
#include "core/grant.h"
#include "core/credential.h"
#include "fuzz.h"

static void assert_mask(const char *bytes, size_t length)
{
  for (size_t i = 0; i < length; i++)
    assert_int_equal(bytes[i], MDE_GRANT_MASK);
}

static void assert_masked(const mde_buffer *body, mde_slice before, const mde_buffer *token)
{
  size_t at = 0;
  assert_true(mde_token_valid(token->data, token->length));
  while (at < before.length && body->data[at] == before.data[at])
    at++;
  if (at == before.length) { /* nothing has changed: a token that is a mask by itself */
    assert_mask(token->data, token->length);
    return;
  }
  while (before.data[at - 1] != '"')
    at--;
  size_t end = at + token->length;
  assert_true(end < before.length);
  assert_memory_equal(before.data + at, token->data, token->length);
  assert_mask(body->data + at, token->length);
  assert_int_equal(before.data[end], '"');
  assert_memory_equal(before.data + end, body->data + end, before.length - end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  test_heap heap = {.secret = true};
  mde_memory memory = test_memory(&heap);
  mde_slice answer = fuzz_rest(&input);
  mde_buffer body, token;
  mde_buffer_init(&body, &mde_memory_system, 1 << 20);
  mde_buffer_init_secret(&token, &memory, MDE_TOKEN_MAX);
  mde_buffer_append(&body, answer.data, answer.length);
  bool found = mde_grant_cut(&body, &token);
  assert_int_equal(body.length, answer.length);
  if (found)
    assert_masked(&body, answer, &token);
  else
    assert_true(token.length == 0 && fuzz_same(answer, body.data, body.length));
  mde_buffer_free(&body);
  mde_buffer_free(&token);
  assert_int_equal(heap.blocks + heap.unwiped, 0);
  fuzz_free(&input);
  return 0;
}

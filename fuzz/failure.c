/* Sentences on failed calls, of whatever words the service, the network or the token brought: they
 * fit, are calm, show no query, and cut no character of UTF-8 in two. */
#include "core/failure.h"

#include "words.h"

enum { SMALL = 64 };

static void assert_quote(mde_slice words)
{
  char text[MDE_FAILURE_TEXT_MAX];
  size_t length = mde_failure_quote(text, sizeof text, words);
  assert_true(length <= 303 && length <= words.length + 3);
  assert_calm(text, length);
  assert_no_query(text, length);
  if (is_utf8(words.data, words.length))
    assert_true(is_utf8(text, length));
}

static void assert_text(const mde_failure *failure, const mde_failure_context *context, bool utf8)
{
  char text[MDE_FAILURE_TEXT_MAX];
  size_t length = mde_failure_text(text, sizeof text, failure, context);
  assert_true(length < sizeof text);
  assert_int_equal(text[length], '\0');
  assert_true(length > strlen(context->operation->name));
  assert_calm(text, length);
  assert_true(!utf8 || is_utf8(text, length));
}

/* The same, but cut off. */
static void assert_beginning(const mde_failure *failure, const mde_failure_context *context)
{
  char whole[MDE_FAILURE_TEXT_MAX], text[SMALL];
  mde_failure_text(whole, sizeof whole, failure, context);
  size_t length = mde_failure_text(text, sizeof text, failure, context);
  assert_true(length < sizeof text);
  assert_memory_equal(text, whole, length);
}

static void take_detail(mde_failure *failure, mde_slice line)
{
  size_t length = line.length < MDE_FAILURE_DETAIL_MAX ? line.length : MDE_FAILURE_DETAIL_MAX;
  memcpy(failure->detail, line.data, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  mde_failure failure = {.reason = (mde_failure_reason)fuzz_number(&input, 0, MDE_FAILURE_MEMORY),
                         .kind = (mde_error_kind)fuzz_number(&input, 0, MDE_ERROR_MEMORY),
                         .status = (int)fuzz_number(&input, 0, 999),
                         .retry_after_ms = fuzz_number(&input, -1, 3600000),
                         .attempts = (uint32_t)fuzz_number(&input, 0, UINT32_MAX)};
  failure.unknown = failure.attempts % 2 == 1;
  mde_slice detail = fuzz_line(&input);
  take_detail(&failure, detail);
  mde_failure_context context = {
      .operation = &mde_operations[fuzz_number(&input, 0, (int64_t)mde_operation_count - 1)],
      .origin = {"https://h", 9},
      .audience = {"https://a", 9},
      .hint = fuzz_line(&input),
      .service_code = fuzz_line(&input),
      .service_target = fuzz_line(&input)};
  context.service_message = fuzz_rest(&input);
  bool utf8 = is_utf8(detail.data, detail.length) &&
              is_utf8(context.hint.data, context.hint.length) &&
              is_utf8(context.service_code.data, context.service_code.length) &&
              is_utf8(context.service_target.data, context.service_target.length) &&
              is_utf8(context.service_message.data, context.service_message.length);
  assert_quote(context.service_message);
  assert_text(&failure, &context, utf8);
  assert_beginning(&failure, &context);
  fuzz_free(&input);
  return 0;
}

/* An answer as it comes, head and body: waits are between none and an hour, limits are such as a
 * quota takes, and a second head leaves nothing of the first. */
#include "core/response.h"
#include "fuzz.h"

static void assert_wait(const mde_response *response)
{
  int64_t wait_ms = mde_response_retry_after_ms(response);
  assert_true(wait_ms >= -1 && wait_ms <= MDE_RETRY_AFTER_MAX_MS);
  assert_true(memchr(response->retry_after, '\0', sizeof response->retry_after) != NULL);
  assert_true(memchr(response->retry_after_ms, '\0', sizeof response->retry_after_ms) != NULL);
  assert_true(memchr(response->date, '\0', sizeof response->date) != NULL);
}

static void assert_limit(const mde_response *response)
{
  mde_window limit;
  if (!mde_response_limit(response, &limit))
    return;
  assert_true(limit.calls > 0 && limit.calls <= MDE_WINDOW_CALLS_MAX);
  assert_true(limit.length_ms > 0 && limit.length_ms < 25 * INT64_C(3600000));
}

/* Line ends are no part of a line. */
static void hear(mde_response *response, mde_response *twin, mde_slice line)
{
  mde_buffer whole;
  mde_buffer_init(&whole, &mde_memory_system, 1 << 20);
  mde_buffer_append(&whole, line.data, line.length);
  mde_buffer_append_text(&whole, "\r\n");
  mde_response_header(response, line.data, line.length);
  mde_response_header(twin, mde_buffer_text(&whole), whole.length);
  mde_buffer_free(&whole);
  assert_string_equal(response->retry_after, twin->retry_after);
  assert_string_equal(response->retry_after_ms, twin->retry_after_ms);
  assert_string_equal(response->date, twin->date);
}

static void assert_forgets(mde_response *response)
{
  mde_response_header(response, "HTTP/1.1 200 OK", 15);
  assert_int_equal(mde_response_retry_after_ms(response), -1);
  mde_response_reset(response);
  assert_false(mde_response_limit(response, &(mde_window){0}));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_response response, twin;
  mde_response_init(&response, &memory, 2000);
  mde_response_init(&twin, &memory, 0);
  for (int lines = 0; lines < 50; lines++) {
    mde_slice line = fuzz_line(&input);
    if (line.length == 0)
      break;
    hear(&response, &twin, line);
    assert_wait(&response);
  }
  mde_slice body = fuzz_rest(&input);
  mde_buffer_append(&response.body, body.data, body.length);
  assert_true(response.body.length <= 2000);
  assert_limit(&response);
  assert_forgets(&response);
  mde_response_free(&response);
  assert_int_equal(heap.blocks, 0);
  fuzz_free(&input);
  return 0;
}

/* Base64url: what can be read is written the same way again, and what was written can be read. */
#include "core/base64url.h"
#include "fuzz.h"

static mde_slice of(const mde_buffer *buffer)
{
  return (mde_slice){mde_buffer_text(buffer), buffer->length};
}

static void assert_reads_what_it_writes(mde_slice bytes)
{
  mde_buffer text, again;
  mde_buffer_init(&text, &mde_memory_system, 2 * bytes.length + 4);
  mde_buffer_init(&again, &mde_memory_system, bytes.length);
  assert_int_equal(mde_base64url_encode(&text, bytes), MDE_OK);
  assert_true(mde_base64url_decode(&again, of(&text)));
  assert_true(fuzz_same(bytes, again.data, again.length));
  mde_buffer_free(&text);
  mde_buffer_free(&again);
}

static void assert_writes_what_it_reads(mde_slice text)
{
  mde_buffer bytes, again;
  mde_buffer_init(&bytes, &mde_memory_system, text.length);
  mde_buffer_init(&again, &mde_memory_system, text.length + 4);
  if (mde_base64url_decode(&bytes, text)) {
    mde_base64url_encode(&again, of(&bytes));
    size_t padding = text.length - again.length;
    assert_true(padding <= 2);
    assert_true(fuzz_same(of(&again), text.data, text.length - padding));
    for (size_t i = text.length - padding; i < text.length; i++)
      assert_int_equal(text.data[i], '=');
  } else {
    assert_int_equal(bytes.length, 0);
  }
  mde_buffer_free(&bytes);
  mde_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  mde_slice text = fuzz_rest(&input);
  assert_reads_what_it_writes(text);
  assert_writes_what_it_reads(text);
  fuzz_free(&input);
  return 0;
}

#include "core/base64url.h"
#include "test.h"

#define SLICE(text) ((mde_slice){text, sizeof(text) - 1})

typedef struct pair {
  mde_slice bytes;
  mde_slice text;
} pair;

static const pair pairs[] = {
    /* RFC 4648, section 10 */
    {{"", 0}, {"", 0}},
    {{"f", 1}, {"Zg", 2}},
    {{"fo", 2}, {"Zm8", 3}},
    {{"foo", 3}, {"Zm9v", 4}},
    {{"foob", 4}, {"Zm9vYg", 6}},
    {{"fooba", 5}, {"Zm9vYmE", 7}},
    {{"foobar", 6}, {"Zm9vYmFy", 8}},
    /* what differs from plain base64, and bytes of either end */
    {{"\xfb\xff", 2}, {"-_8", 3}},
    {{"\0\0\0\0", 4}, {"AAAAAA", 6}},
    {{"\xff\xff\xff\xff", 4}, {"_____w", 6}},
};

static void assert_holds(const mde_buffer *buffer, mde_slice bytes)
{
  assert_int_equal(buffer->status, MDE_OK);
  assert_int_equal(buffer->length, bytes.length);
  assert_memory_equal(mde_buffer_text(buffer), bytes.data, bytes.length);
}

static void encodes_the_vectors_of_the_rfc(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(pairs); i++) {
    mde_buffer out;
    mde_buffer_init(&out, &mde_memory_system, 100);
    assert_int_equal(mde_base64url_encode(&out, pairs[i].bytes), MDE_OK);
    assert_holds(&out, pairs[i].text);
    mde_buffer_free(&out);
  }
}

static void decodes_the_vectors_of_the_rfc(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(pairs); i++) {
    mde_buffer out;
    mde_buffer_init(&out, &mde_memory_system, 100);
    assert_true(mde_base64url_decode(&out, pairs[i].text));
    assert_holds(&out, pairs[i].bytes);
    mde_buffer_free(&out);
  }
}

static void appends_to_what_is_there(void **state)
{
  (void)state;
  mde_buffer out;
  mde_buffer_init(&out, &mde_memory_system, 100);
  mde_base64url_encode(&out, SLICE("foo"));
  mde_buffer_append_char(&out, '.');
  mde_base64url_encode(&out, SLICE("f"));
  assert_string_equal(mde_buffer_text(&out), "Zm9v.Zg");
  mde_buffer_free(&out);
}

static bool decodes(mde_slice text)
{
  mde_buffer out;
  mde_buffer_init(&out, &mde_memory_system, 100);
  bool done = mde_base64url_decode(&out, text);
  assert_true(done || out.length == 0);
  mde_buffer_free(&out);
  return done;
}

static void tolerates_the_right_padding_only(void **state)
{
  (void)state;
  assert_true(decodes(SLICE("Zg==")));
  assert_true(decodes(SLICE("Zm8=")));
  static const mde_slice wrong[] = {{"Zg=", 3},      {"Zm8==", 5},  {"Zm9v=", 5}, {"Zm9v==", 6},
                                    {"Zm9v====", 8}, {"Z===", 4},   {"====", 4},  {"=", 1},
                                    {"==", 2},       {"Zg==Zg", 6}, {"=Zg=", 4},  {"Z=g=", 4}};
  for (size_t i = 0; i < TEST_COUNT(wrong); i++)
    assert_false(decodes(wrong[i]));
}

static void knows_its_own_alphabet_only(void **state)
{
  (void)state;
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (int byte = 0; byte < 256; byte++) {
    char text[] = {'Z', (char)byte, '9', 'v'};
    bool known = byte != 0 && strchr(alphabet, byte) != NULL;
    assert_int_equal(decodes((mde_slice){text, sizeof text}), known);
  }
}

static void refuses_bits_and_characters_left_over(void **state)
{
  (void)state;
  assert_false(decodes(SLICE("Z")));
  assert_false(decodes(SLICE("Zm9vY")));
  assert_false(decodes(SLICE("Zh")));
  assert_false(decodes(SLICE("Zm9")));
  assert_false(decodes(SLICE("Zg==\n")));
}

static void what_was_encoded_comes_back(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (size_t length = 0; length < 300; length++) {
    char bytes[300];
    for (size_t i = 0; i < length; i++)
      bytes[i] = (char)test_next(&dice);
    mde_buffer text, out;
    mde_buffer_init(&text, &mde_memory_system, 1000);
    mde_buffer_init(&out, &mde_memory_system, length);
    mde_base64url_encode(&text, (mde_slice){bytes, length});
    assert_int_equal(text.length, (length * 8 + 5) / 6);
    assert_true(mde_base64url_decode(&out, (mde_slice){mde_buffer_text(&text), text.length}));
    assert_holds(&out, (mde_slice){bytes, length});
    mde_buffer_free(&text);
    mde_buffer_free(&out);
  }
}

static void stops_at_the_buffers_maximum(void **state)
{
  (void)state;
  mde_buffer out;
  mde_buffer_init(&out, &mde_memory_system, 7);
  assert_int_equal(mde_base64url_encode(&out, SLICE("foobar")), MDE_TOO_LARGE);
  mde_buffer_free(&out);
  mde_buffer_init(&out, &mde_memory_system, 5);
  assert_false(mde_base64url_decode(&out, SLICE("Zm9vYmFy")));
  assert_int_equal(out.status, MDE_TOO_LARGE);
  mde_buffer_free(&out);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  char bytes[500] = {0};
  for (size_t k = 1; k < 6; k++) {
    test_heap heap = {.fail_at = k};
    mde_memory memory = test_memory(&heap);
    mde_buffer text, out;
    mde_buffer_init(&text, &memory, 1000);
    mde_buffer_init(&out, &memory, 1000);
    mde_base64url_encode(&text, (mde_slice){bytes, sizeof bytes});
    mde_base64url_decode(&out, (mde_slice){mde_buffer_text(&text), text.length / 4 * 4});
    assert_true(text.status == MDE_NO_MEMORY || out.status == MDE_NO_MEMORY);
    mde_buffer_free(&text);
    mde_buffer_free(&out);
    assert_int_equal(heap.blocks, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encodes_the_vectors_of_the_rfc),
      cmocka_unit_test(decodes_the_vectors_of_the_rfc),
      cmocka_unit_test(appends_to_what_is_there),
      cmocka_unit_test(tolerates_the_right_padding_only),
      cmocka_unit_test(knows_its_own_alphabet_only),
      cmocka_unit_test(refuses_bits_and_characters_left_over),
      cmocka_unit_test(what_was_encoded_comes_back),
      cmocka_unit_test(stops_at_the_buffers_maximum),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("base64url", tests, NULL, NULL);
}

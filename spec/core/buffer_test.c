#include "core/buffer.h"
#include "test.h"

static void holds_nothing_and_reads_as_an_empty_string_at_first(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 10);
  assert_string_equal(mde_buffer_text(&buffer), "");
  assert_int_equal(buffer.length, 0);
  mde_buffer_free(&buffer);
}

static void keeps_bytes_in_order_with_a_nul_behind_them(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 100);
  assert_int_equal(mde_buffer_append_text(&buffer, "a"), MDE_OK);
  assert_int_equal(mde_buffer_append(&buffer, "b\0c", 3), MDE_OK);
  assert_int_equal(mde_buffer_append_char(&buffer, 'd'), MDE_OK);
  assert_int_equal(buffer.length, 5);
  assert_memory_equal(mde_buffer_text(&buffer), "ab\0cd", 6);
  mde_buffer_free(&buffer);
}

static void appends_nothing_from_null(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 0);
  assert_int_equal(mde_buffer_append(&buffer, NULL, 0), MDE_OK);
  assert_string_equal(mde_buffer_text(&buffer), "");
  mde_buffer_free(&buffer);
}

static void writes_every_integer(void **state)
{
  (void)state;
  static const struct {
    int64_t number;
    const char *text;
  } cases[] = {{0, "0"},
               {7, "7"},
               {-12, "-12"},
               {INT64_MAX, "9223372036854775807"},
               {INT64_MIN, "-9223372036854775808"}};
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_buffer buffer;
    mde_buffer_init(&buffer, &mde_memory_system, 30);
    mde_buffer_append_integer(&buffer, cases[i].number);
    assert_string_equal(mde_buffer_text(&buffer), cases[i].text);
    mde_buffer_free(&buffer);
  }
}

static void takes_exactly_its_maximum(void **state)
{
  (void)state;
  static const size_t maxima[] = {0, 1, 62, 63, 64, 65, 127, 128, 1000};
  for (size_t i = 0; i < TEST_COUNT(maxima); i++) {
    test_heap heap = {0};
    mde_memory memory = test_memory(&heap);
    mde_buffer buffer;
    mde_buffer_init(&buffer, &memory, maxima[i]);
    for (size_t byte = 0; byte < maxima[i]; byte++)
      assert_int_equal(mde_buffer_append_char(&buffer, 'x'), MDE_OK);
    assert_int_equal(mde_buffer_append_char(&buffer, 'x'), MDE_TOO_LARGE);
    assert_int_equal(buffer.length, maxima[i]);
    assert_true(heap.largest <= maxima[i] + 1);
    mde_buffer_free(&buffer);
    assert_int_equal(heap.blocks, 0);
  }
}

static void refuses_sizes_that_would_overflow(void **state)
{
  (void)state;
  static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 2};
  for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
    test_heap heap = {.fail_at = 2, .fail_for_good = true};
    mde_memory memory = test_memory(&heap);
    mde_buffer buffer;
    mde_buffer_init(&buffer, &memory, SIZE_MAX);
    mde_buffer_append_char(&buffer, 'x');
    assert_int_not_equal(mde_buffer_append(&buffer, "y", sizes[i]), MDE_OK);
    assert_string_equal(mde_buffer_text(&buffer), "x");
    mde_buffer_free(&buffer);
  }
}

static void a_failure_sticks_and_keeps_what_was_there(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 5);
  mde_buffer_append_text(&buffer, "abc");
  assert_int_equal(mde_buffer_append_text(&buffer, "def"), MDE_TOO_LARGE);
  assert_int_equal(mde_buffer_append_char(&buffer, 'd'), MDE_TOO_LARGE);
  assert_int_equal(mde_buffer_append(&buffer, "", 0), MDE_TOO_LARGE);
  assert_string_equal(mde_buffer_text(&buffer), "abc");
  assert_int_equal(buffer.status, MDE_TOO_LARGE);
  mde_buffer_free(&buffer);
}

static void reset_forgets_the_failure_and_keeps_the_memory(void **state)
{
  (void)state;
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_buffer buffer;
  mde_buffer_init(&buffer, &memory, 5);
  mde_buffer_append_text(&buffer, "abcde");
  mde_buffer_append_text(&buffer, "f");
  mde_buffer_reset(&buffer);
  assert_string_equal(mde_buffer_text(&buffer), "");
  assert_int_equal(mde_buffer_append_text(&buffer, "ghijk"), MDE_OK);
  assert_string_equal(mde_buffer_text(&buffer), "ghijk");
  assert_int_equal(heap.allocations, 1);
  mde_buffer_free(&buffer);
  assert_int_equal(heap.blocks, 0);
}

static void trim_keeps_little_memory_and_gives_back_much(void **state)
{
  (void)state;
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_buffer buffer;
  mde_buffer_init(&buffer, &memory, 200);
  for (size_t most = 63; most <= 64; most++) { /* a buffer's first block has 64 bytes */
    mde_buffer_append_text(&buffer, "abcde");
    mde_buffer_trim(&buffer, most);
    assert_string_equal(mde_buffer_text(&buffer), "");
    assert_int_equal(buffer.length, 0);
    assert_int_equal(heap.blocks, most < 64 ? 0 : 1);
  }
  mde_buffer_free(&buffer);
}

static void growing_allocates_seldom(void **state)
{
  (void)state;
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_buffer buffer;
  mde_buffer_init(&buffer, &memory, 1 << 20);
  for (int i = 0; i < 1 << 20; i++)
    mde_buffer_append_char(&buffer, (char)i);
  assert_int_equal(buffer.status, MDE_OK);
  assert_true(heap.allocations <= 16);
  for (int i = 0; i < 1 << 20; i++)
    assert_int_equal(buffer.data[i], (char)i);
  mde_buffer_free(&buffer);
}

static void free_accepts_zeroed_fresh_used_and_freed(void **state)
{
  (void)state;
  mde_buffer zeroed = {0};
  mde_buffer_free(&zeroed);
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 5);
  mde_buffer_free(&buffer);
  mde_buffer_append_text(&buffer, "abc");
  mde_buffer_free(&buffer);
  mde_buffer_free(&buffer);
  assert_string_equal(mde_buffer_text(&buffer), "");
}

static void a_freed_buffer_can_be_used_again(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, 3);
  mde_buffer_append_text(&buffer, "too long");
  mde_buffer_free(&buffer);
  assert_int_equal(mde_buffer_append_text(&buffer, "abc"), MDE_OK);
  assert_string_equal(mde_buffer_text(&buffer), "abc");
  mde_buffer_free(&buffer);
}

static void append_a_secret(mde_buffer *buffer)
{
  for (int i = 0; i < 300; i++)
    mde_buffer_append_text(buffer, "secret ");
}

static void a_secret_is_wiped_wherever_it_has_been(void **state)
{
  (void)state;
  test_heap heap = {.secret = true};
  mde_memory memory = test_memory(&heap);
  mde_buffer buffer;
  mde_buffer_init_secret(&buffer, &memory, 10000);
  append_a_secret(&buffer);
  assert_true(heap.allocations > 2);
  mde_buffer_free(&buffer);
  assert_int_equal(heap.unwiped, 0);
  assert_int_equal(heap.blocks, 0);
}

static void the_test_notices_what_is_not_wiped(void **state)
{
  (void)state;
  test_heap heap = {.secret = true};
  mde_memory memory = test_memory(&heap);
  mde_buffer buffer;
  mde_buffer_init(&buffer, &memory, 10000);
  append_a_secret(&buffer);
  mde_buffer_free(&buffer);
  assert_int_equal(heap.unwiped, heap.allocations);
}

static void reset_wipes_a_secret(void **state)
{
  (void)state;
  mde_buffer buffer;
  mde_buffer_init_secret(&buffer, &mde_memory_system, 10000);
  append_a_secret(&buffer);
  mde_buffer_reset(&buffer);
  for (size_t i = 0; i < buffer.capacity; i++)
    assert_int_equal(buffer.data[i], 0);
  mde_buffer_free(&buffer);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  for (int secret = 0; secret < 2; secret++) {
    for (size_t k = 1; k < 10; k++) {
      test_heap heap = {.fail_at = k, .secret = secret != 0};
      mde_memory memory = test_memory(&heap);
      mde_buffer buffer;
      mde_buffer_init(&buffer, &memory, 10000);
      buffer.secret = secret != 0;
      append_a_secret(&buffer);
      bool failed = heap.allocations >= k;
      assert_int_equal(buffer.status, failed ? MDE_NO_MEMORY : MDE_OK);
      assert_int_equal(strlen(mde_buffer_text(&buffer)), buffer.length);
      assert_int_equal(buffer.length % 7, 0);
      mde_buffer_free(&buffer);
      assert_int_equal(heap.blocks, 0);
      assert_int_equal(heap.unwiped, 0);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(holds_nothing_and_reads_as_an_empty_string_at_first),
      cmocka_unit_test(keeps_bytes_in_order_with_a_nul_behind_them),
      cmocka_unit_test(appends_nothing_from_null),
      cmocka_unit_test(writes_every_integer),
      cmocka_unit_test(takes_exactly_its_maximum),
      cmocka_unit_test(refuses_sizes_that_would_overflow),
      cmocka_unit_test(a_failure_sticks_and_keeps_what_was_there),
      cmocka_unit_test(reset_forgets_the_failure_and_keeps_the_memory),
      cmocka_unit_test(trim_keeps_little_memory_and_gives_back_much),
      cmocka_unit_test(growing_allocates_seldom),
      cmocka_unit_test(free_accepts_zeroed_fresh_used_and_freed),
      cmocka_unit_test(a_freed_buffer_can_be_used_again),
      cmocka_unit_test(a_secret_is_wiped_wherever_it_has_been),
      cmocka_unit_test(the_test_notices_what_is_not_wiped),
      cmocka_unit_test(reset_wipes_a_secret),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}

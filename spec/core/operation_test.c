#include "core/operation.h"
#include "core/version.h"
#include "test.h"

static void every_row_is_found_by_its_name(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_operation_count; i++) {
    const char *name = mde_operations[i].name;
    assert_ptr_equal(mde_operation_find(name, strlen(name)), &mde_operations[i]);
  }
}

static void nothing_is_found_by_other_names(void **state)
{
  (void)state;
  static const char *const names[] = {"", "aler", "alert_", "alert_ipsx", "ALERT", "machines?"};
  for (size_t i = 0; i < TEST_COUNT(names); i++)
    assert_null(mde_operation_find(names[i], strlen(names[i])));
  assert_null(mde_operation_find("alert\0x", 7));
  assert_non_null(mde_operation_find("alert_ips_and_more", 9));
}

static void arguments_are_the_placeholders(void **state)
{
  (void)state;
  assert_int_equal(mde_operation_arguments(mde_operation_find("alerts", 6)), 0);
  assert_int_equal(mde_operation_arguments(mde_operation_find("alert_ips", 9)), 1);
  mde_operation two = {.path = "/a/{x}/b/{y}"};
  assert_int_equal(mde_operation_arguments(&two), 2);
}

static void assert_whole(const mde_operation *row)
{
  assert_true(row->name[0] != '\0' && row->method[0] != '\0');
  assert_true(row->subject[0] != '\0' && row->permission[0] != '\0');
  assert_memory_equal(row->path, "/api/", 5);
  assert_true(mde_operation_arguments(row) <= MDE_ARGUMENTS_MAX);
  assert_true(row->changes || strcmp(row->method, "GET") == 0 || strcmp(row->method, "POST") == 0);
  assert_int_equal((row->query & MDE_QUERY_TOP) != 0, row->top_max > 0);
  assert_true(row->query == 0 || row->shape == MDE_SHAPE_COLLECTION);
}

static void assert_windows(const mde_windows *windows)
{
  assert_true(windows->count <= MDE_WINDOWS_MAX);
  for (uint32_t i = 0; i < windows->count; i++) {
    assert_true(windows->window[i].length_ms >= 1000);
    assert_true(windows->window[i].calls > 0 && windows->window[i].calls <= MDE_WINDOW_CALLS_MAX);
    for (uint32_t k = 0; k < i; k++)
      assert_int_not_equal(windows->window[k].length_ms, windows->window[i].length_ms);
  }
}

static void every_row_is_whole(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_operation_count; i++) {
    assert_whole(&mde_operations[i]);
    assert_windows(&mde_operations[i].windows);
  }
}

static void alert_ips_is_what_is_documented(void **state)
{
  (void)state;
  const mde_operation *row = mde_operation_find("alert_ips", 9);
  assert_string_equal(row->method, "GET");
  assert_string_equal(row->path, "/api/alerts/{id}/ips");
  assert_string_equal(row->permission, "Ip.Read.All");
  assert_int_equal(row->shape, MDE_SHAPE_COLLECTION);
  assert_int_equal(row->windows.count, 2);
  assert_int_equal(row->windows.window[0].length_ms, 60000);
  assert_int_equal(row->windows.window[0].calls, 100);
  assert_int_equal(row->windows.window[1].length_ms, 3600000);
  assert_int_equal(row->windows.window[1].calls, 1500);
}

static void the_version_is_three_numbers(void **state)
{
  (void)state;
  unsigned major, minor, patch;
  char more;
  assert_int_equal(sscanf(MDE_VERSION "|", "%u.%u.%u%c", &major, &minor, &patch, &more), 4);
  assert_int_equal(more, '|');
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_found_by_its_name),
      cmocka_unit_test(nothing_is_found_by_other_names),
      cmocka_unit_test(arguments_are_the_placeholders),
      cmocka_unit_test(every_row_is_whole),
      cmocka_unit_test(alert_ips_is_what_is_documented),
      cmocka_unit_test(the_version_is_three_numbers),
  };
  return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}

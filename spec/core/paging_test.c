#include "core/paging.h"
#include "test.h"

static const char ORIGIN[] = "https://h";
static const mde_slice NO_LINK = {NULL, 0};

typedef struct paging_world {
  mde_base_url base;
  mde_paging paging;
} paging_world;

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static mde_status start_with(paging_world *world, const mde_memory *memory, const mde_query *query)
{
  assert_true(mde_base_url_parse(&world->base, ORIGIN, sizeof ORIGIN - 1));
  mde_paging_init(&world->paging, memory);
  return mde_paging_first(&world->paging, &world->base, mde_operation_find("alerts", 6), NULL,
                          query);
}

static void start(paging_world *world, mde_query query)
{
  assert_int_equal(start_with(world, &mde_memory_system, &query), MDE_OK);
}

static void assert_asks_for(const paging_world *world, const char *url)
{
  assert_string_equal(mde_buffer_text(&world->paging.url), url);
}

static void assert_next(paging_world *world, int64_t items, const char *link,
                        mde_paging_verdict verdict)
{
  mde_slice next = link != NULL ? text_of(link) : NO_LINK;
  assert_int_equal(mde_paging_next(&world->paging, items, next), verdict);
}

static void the_first_address_holds_what_is_asked_for(void **state)
{
  (void)state;
  static const char filter[] = "severity eq 'High'";
  static const char expand[] = "evidence";
  const struct {
    mde_query query;
    const char *url;
  } cases[] = {
      {{.top = 0}, "https://h/api/alerts"},
      {{.top = 10}, "https://h/api/alerts?$top=10"},
      {{.has_skip = true}, "https://h/api/alerts?$skip=0"},
      {{.has_skip = true, .skip = 7}, "https://h/api/alerts?$skip=7"},
      {{.max_items = 7}, "https://h/api/alerts"},
      {{.filter = {filter, sizeof filter - 1}},
       "https://h/api/alerts?$filter=severity%20eq%20%27High%27"},
      {{.filter = {"", 0}}, "https://h/api/alerts?$filter="},
      {{.filter = {filter, sizeof filter - 1},
        .expand = {expand, sizeof expand - 1},
        .has_skip = true,
        .skip = 20,
        .top = 10},
       "https://h/api/alerts?$filter=severity%20eq%20%27High%27&$expand=evidence&$top=10&$skip=20"},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    paging_world world;
    start(&world, cases[i].query);
    assert_asks_for(&world, cases[i].url);
    mde_paging_free(&world.paging);
  }
}

static void an_id_is_one_segment_behind_the_prefix(void **state)
{
  (void)state;
  static const char text[] = "https://h/gate/";
  mde_slice id = text_of("../a b");
  mde_query query = {0};
  mde_base_url base;
  mde_paging paging;
  assert_true(mde_base_url_parse(&base, text, sizeof text - 1));
  mde_paging_init(&paging, &mde_memory_system);
  assert_int_equal(
      mde_paging_first(&paging, &base, mde_operation_find("alert_ips", 9), &id, &query), MDE_OK);
  assert_string_equal(mde_buffer_text(&paging.url), "https://h/gate/api/alerts/..%2Fa%20b/ips");
  mde_paging_free(&paging);
}

static void an_address_that_is_too_long_is_refused(void **state)
{
  (void)state;
  static char filter[MDE_URL_MAX];
  memset(filter, 'x', sizeof filter);
  size_t most = MDE_URL_MAX - strlen("https://h/api/alerts?$filter=");
  for (size_t length = most - 1; length <= most + 1; length++) {
    paging_world world;
    mde_query query = {.filter = {filter, length}};
    assert_int_equal(start_with(&world, &mde_memory_system, &query),
                     length <= most ? MDE_OK : MDE_TOO_LARGE);
    mde_paging_free(&world.paging);
    query = (mde_query){.filter = {filter, length - 6}, .top = 1}; /* and then &$top=1 */
    assert_int_equal(start_with(&world, &mde_memory_system, &query),
                     length < most ? MDE_OK : MDE_TOO_LARGE);
    mde_paging_free(&world.paging);
  }
}

static void a_page_without_a_link_is_the_last(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){0});
  assert_next(&world, 10000, NULL, MDE_PAGING_END);
  mde_paging_free(&world.paging);
}

static void links_are_followed_to_the_last_page(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){0});
  assert_next(&world, 5, "https://other/api/alerts?$skip=5", MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$skip=5");
  assert_next(&world, 0, "https://other/api/alerts?$skip=10", MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$skip=10");
  assert_next(&world, 5, NULL, MDE_PAGING_END);
  mde_paging_free(&world.paging);
}

static void a_full_page_is_followed_by_asking_on_with_skip(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.filter = text_of("x"), .top = 10, .has_skip = true, .skip = 3});
  assert_next(&world, 10, NULL, MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$filter=x&$top=10&$skip=13");
  assert_next(&world, 12, NULL, MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$filter=x&$top=10&$skip=25");
  assert_next(&world, 9, NULL, MDE_PAGING_END);
  mde_paging_free(&world.paging);
}

static void a_full_page_at_the_end_needs_one_empty_page_more(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.top = 10});
  assert_next(&world, 10, NULL, MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$top=10&$skip=10");
  assert_next(&world, 0, NULL, MDE_PAGING_END);
  mde_paging_free(&world.paging);
}

static void a_link_wins_over_asking_on(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.top = 10});
  assert_next(&world, 10, "/api/alerts?$skiptoken=abc", MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$skiptoken=abc");
  assert_next(&world, 10, NULL, MDE_PAGING_MORE);
  assert_asks_for(&world, "https://h/api/alerts?$top=10&$skip=20");
  mde_paging_free(&world.paging);
}

static void enough_items_end_it_whatever_follows(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.top = 10, .max_items = 15});
  assert_int_equal(mde_paging_wanted(&world.paging, 10), 10);
  assert_next(&world, 10, NULL, MDE_PAGING_MORE);
  assert_int_equal(mde_paging_wanted(&world.paging, 4), 4);
  assert_int_equal(mde_paging_wanted(&world.paging, 5), 5);
  assert_int_equal(mde_paging_wanted(&world.paging, 10), 5);
  assert_next(&world, 5, "/never", MDE_PAGING_END);
  mde_paging_free(&world.paging);
}

static void without_a_maximum_every_item_is_wanted(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){0});
  assert_int_equal(mde_paging_wanted(&world.paging, INT64_MAX), INT64_MAX);
  mde_paging_free(&world.paging);
}

static void what_a_link_forgets_is_put_back(void **state)
{
  (void)state;
  static const struct {
    const char *link, *url;
  } cases[] = {
      {"https://h/api/alerts?$skip=2",
       "https://h/api/alerts?$skip=2&$filter=a%26b&$expand=evidence"},
      {"/api/all", "https://h/api/all?$filter=a%26b&$expand=evidence"},
      {"/api/alerts?$filter=x&$skip=2", "https://h/api/alerts?$filter=x&$skip=2&$expand=evidence"},
      {"/api/alerts?%24filter=x&%24expand=y", "https://h/api/alerts?%24filter=x&%24expand=y"},
      {"/api/alerts?$skiptoken=abc", "https://h/api/alerts?$skiptoken=abc"},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    paging_world world;
    start(&world, (mde_query){.filter = text_of("a&b"), .expand = text_of("evidence")});
    assert_next(&world, 2, cases[i].link, MDE_PAGING_MORE);
    assert_asks_for(&world, cases[i].url);
    mde_paging_free(&world.paging);
  }
}

static void a_link_seen_before_is_a_circle(void **state)
{
  (void)state;
  static const char *const circles[] = {"/api/alerts", "https://other/api/alerts", "/second",
                                        "/second#again", "//other/third"};
  for (size_t i = 0; i < TEST_COUNT(circles); i++) {
    paging_world world;
    start(&world, (mde_query){0});
    assert_next(&world, 1, "/second", MDE_PAGING_MORE);
    assert_next(&world, 1, "/third", MDE_PAGING_MORE);
    assert_next(&world, 1, circles[i], MDE_PAGING_CIRCLE);
    mde_paging_free(&world.paging);
  }
}

static void the_page_itself_is_a_circle_too(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){0});
  assert_next(&world, 1, "/api/alerts", MDE_PAGING_CIRCLE);
  mde_paging_free(&world.paging);
}

static void reset_forgets_all_pages(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.top = 2, .skip = 3, .has_skip = true, .max_items = 4});
  assert_next(&world, 2, "/a", MDE_PAGING_MORE);
  mde_paging_reset(&world.paging);
  const mde_query none = {0};
  mde_paging_first(&world.paging, &world.base, mde_operation_find("alerts", 6), NULL, &none);
  assert_asks_for(&world, "https://h/api/alerts");
  assert_next(&world, 9, "/a", MDE_PAGING_MORE);
  assert_int_equal(mde_paging_wanted(&world.paging, 99), 99);
  assert_int_equal(world.paging.pages, 1);
  mde_paging_free(&world.paging);
}

static void a_link_that_cannot_be_followed_is_malformed(void **state)
{
  (void)state;
  static const char *const bad[] = {"x", "ftp://h/x", "https://h", "/x\ny", "#"};
  for (size_t i = 0; i < TEST_COUNT(bad); i++) {
    paging_world world;
    start(&world, (mde_query){0});
    assert_next(&world, 1, bad[i], MDE_PAGING_MALFORMED);
    mde_paging_free(&world.paging);
  }
}

static void a_thousand_pages_are_enough(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){0});
  for (int page = 1; page <= MDE_PAGES_MAX; page++) {
    char link[30];
    snprintf(link, sizeof link, "/page/%d", page);
    assert_next(&world, 1, link, page < MDE_PAGES_MAX ? MDE_PAGING_MORE : MDE_PAGING_TOO_MANY);
  }
  assert_int_equal(world.paging.pages, MDE_PAGES_MAX);
  mde_paging_free(&world.paging);
}

static void asking_on_is_bounded_too(void **state)
{
  (void)state;
  paging_world world;
  start(&world, (mde_query){.top = 1});
  for (int page = 1; page < MDE_PAGES_MAX; page++)
    assert_next(&world, 1, NULL, MDE_PAGING_MORE);
  assert_next(&world, 1, NULL, MDE_PAGING_TOO_MANY);
  mde_paging_free(&world.paging);
}

/* Three pages of a call, one of them by link. False: memory ran out. */
static bool walk(paging_world *world, const mde_memory *memory)
{
  static char filter[500];
  memset(filter, '\'', sizeof filter);
  mde_query query = {.filter = {filter, sizeof filter}, .top = 1};
  mde_status status = start_with(world, memory, &query);
  if (status != MDE_OK) {
    assert_int_equal(status, MDE_NO_MEMORY);
    return false;
  }
  static const char *const next[] = {NULL, "/link", NULL};
  for (size_t i = 0; i < TEST_COUNT(next); i++) {
    mde_slice link = next[i] != NULL ? text_of(next[i]) : NO_LINK;
    mde_paging_verdict verdict = mde_paging_next(&world->paging, 1, link);
    if (verdict == MDE_PAGING_NO_MEMORY)
      return false;
    assert_int_equal(verdict, MDE_PAGING_MORE);
  }
  return true;
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  bool walked = false;
  for (size_t k = 1; !walked; k++) {
    test_heap heap = {.fail_at = k};
    mde_memory memory = test_memory(&heap);
    paging_world world;
    walked = walk(&world, &memory);
    assert_int_equal(walked, heap.allocations < k);
    mde_paging_free(&world.paging);
    mde_paging_free(&world.paging);
    assert_int_equal(heap.blocks, 0);
    assert_true(k < 100);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_address_holds_what_is_asked_for),
      cmocka_unit_test(an_id_is_one_segment_behind_the_prefix),
      cmocka_unit_test(an_address_that_is_too_long_is_refused),
      cmocka_unit_test(a_page_without_a_link_is_the_last),
      cmocka_unit_test(links_are_followed_to_the_last_page),
      cmocka_unit_test(a_full_page_is_followed_by_asking_on_with_skip),
      cmocka_unit_test(a_full_page_at_the_end_needs_one_empty_page_more),
      cmocka_unit_test(a_link_wins_over_asking_on),
      cmocka_unit_test(enough_items_end_it_whatever_follows),
      cmocka_unit_test(without_a_maximum_every_item_is_wanted),
      cmocka_unit_test(what_a_link_forgets_is_put_back),
      cmocka_unit_test(a_link_seen_before_is_a_circle),
      cmocka_unit_test(the_page_itself_is_a_circle_too),
      cmocka_unit_test(reset_forgets_all_pages),
      cmocka_unit_test(a_link_that_cannot_be_followed_is_malformed),
      cmocka_unit_test(a_thousand_pages_are_enough),
      cmocka_unit_test(asking_on_is_bounded_too),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}

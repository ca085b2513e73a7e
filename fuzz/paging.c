/* The pages of a list, as a service names them: never to another host, never one twice, never for
 * ever, and never without the filter that was asked for. */
#include "core/paging.h"

#include "address.h"

static const mde_operation *alerts(void)
{
  return mde_operation_find("alerts", 6);
}

static void start(mde_paging *paging, const mde_base_url *base, fuzz_input *input)
{
  mde_query query = {.filter = fuzz_line(input)};
  if (query.filter.length == 0)
    query.filter.data = NULL;
  query.top = fuzz_number(input, 0, 10000);
  query.skip = fuzz_number(input, 0, INT32_MAX);
  query.has_skip = query.skip > 0;
  query.max_items = fuzz_number(input, 0, 1000000);
  mde_paging_first(paging, base, alerts(), NULL, &query);
}

/* "%24filter=" is the same, and a skip token stands for all of it. */
static bool is_filtered(const char *url)
{
  return strstr(url, "$filter=") != NULL || strstr(url, "%24filter=") != NULL ||
         strstr(url, "skiptoken") != NULL;
}

static void assert_new(const mde_paging *paging, char *const *seen, size_t count)
{
  for (size_t i = 0; i < count; i++)
    assert_string_not_equal(mde_buffer_text(&paging->url), seen[i]);
}

static void follow(mde_paging *paging, const mde_base_url *base, fuzz_input *input, bool filtered)
{
  char *seen[FUZZ_PIECES_MAX];
  size_t count = 0;
  mde_paging_verdict verdict = MDE_PAGING_MORE;
  while (verdict == MDE_PAGING_MORE && input->left > 0 && input->count + 2 < FUZZ_PIECES_MAX) {
    assert_address(base, &paging->url);
    assert_true(!filtered || is_filtered(paging->url.data));
    assert_new(paging, seen, count);
    seen[count++] = strdup(paging->url.data);
    int64_t items = fuzz_number(input, 0, 10000);
    int64_t wanted = mde_paging_wanted(paging, items);
    assert_true(wanted >= 0 && wanted <= items);
    verdict = mde_paging_next(paging, items, fuzz_line(input));
    assert_true(paging->pages == count && paging->items >= items);
    assert_true(verdict != MDE_PAGING_NO_MEMORY);
  }
  while (count > 0)
    free(seen[--count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_base_url base;
  mde_paging paging;
  mde_slice text = fuzz_line(&input);
  mde_paging_init(&paging, &memory);
  if (mde_base_url_parse(&base, text.data, text.length)) {
    start(&paging, &base, &input);
    if (paging.url.length > 0 && paging.url.status == MDE_OK)
      follow(&paging, &base, &input, strstr(paging.url.data, "$filter=") != NULL);
  }
  mde_paging_free(&paging);
  assert_int_equal(heap.blocks, 0);
  fuzz_free(&input);
  return 0;
}

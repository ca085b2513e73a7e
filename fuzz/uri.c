/* A base_url, an id, a filter and a next link: ids stay one path segment, filters one query value,
 * and whatever a link says leads to the configured host. */
#include "address.h"

static const char PATH[] = "/api/alerts/{id}/ips";

static void assert_prefix(const mde_base_url *base)
{
  mde_slice prefix = base->prefix;
  assert_true(prefix.length == 0 ||
              (prefix.data[0] == '/' && prefix.data[prefix.length - 1] != '/'));
  for (size_t i = 0; i < prefix.length; i++)
    assert_true(prefix.data[i] > ' ' && strchr("?#", prefix.data[i]) == NULL);
}

/* /api/alerts/ID/ips?$filter=FILTER */
static void assert_request(const mde_base_url *base, mde_slice id, mde_slice filter)
{
  mde_buffer url;
  mde_buffer_init(&url, &mde_memory_system, MDE_URL_MAX);
  mde_buffer_append(&url, base->origin.data, base->origin.length);
  mde_buffer_append(&url, base->prefix.data, base->prefix.length);
  size_t at = url.length;
  mde_uri_path(&url, PATH, &id, 1);
  if (mde_uri_query(&url, "$filter", filter) == MDE_OK) {
    assert_address(base, &url);
    assert_memory_equal(url.data + at, "/api/alerts/", 12);
    at += 12 + assert_escaped(url.data + at + 12, id);
    assert_memory_equal(url.data + at, "/ips?$filter=", 13);
    at += 13 + assert_escaped(url.data + at + 13, filter);
    assert_int_equal(at, url.length);
  }
  mde_buffer_free(&url);
}

static void assert_link(const mde_base_url *base, mde_slice link)
{
  mde_buffer url, again;
  mde_buffer_init(&url, &mde_memory_system, MDE_URL_MAX);
  mde_buffer_init(&again, &mde_memory_system, MDE_URL_MAX);
  if (mde_uri_follow(&url, base, link) == MDE_LINK_OK) {
    assert_address(base, &url);
    /* What was made of it means itself. */
    assert_int_equal(mde_uri_follow(&again, base, (mde_slice){url.data, url.length}), MDE_LINK_OK);
    assert_string_equal(again.data, url.data);
  }
  mde_buffer_free(&url);
  mde_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  mde_base_url base;
  mde_slice text = fuzz_line(&input), id = fuzz_line(&input), filter = fuzz_line(&input);
  mde_slice link = fuzz_rest(&input);
  if (mde_base_url_parse(&base, text.data, text.length)) {
    assert_origin(&base);
    assert_prefix(&base);
    if (mde_uri_segment_valid(id))
      assert_request(&base, id, filter);
    assert_link(&base, link);
  }
  fuzz_free(&input);
  return 0;
}

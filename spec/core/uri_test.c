#include "core/uri.h"
#include "test.h"

/* Initialises a slice; the NULs within are kept. */
#define TEXT(literal)                                                                              \
  {                                                                                                \
    (literal), sizeof(literal) - 1                                                                 \
  }

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static mde_buffer start(void)
{
  mde_buffer buffer;
  mde_buffer_init(&buffer, &mde_memory_system, MDE_URL_MAX);
  return buffer;
}

/* --- the configured host --- */

static const struct {
  const char *text, *origin, *prefix;
  bool https, loopback;
} good_urls[] = {
    {"https://api.security.microsoft.com", "https://api.security.microsoft.com", "", true, false},
    {"https://api.security.microsoft.com/", "https://api.security.microsoft.com", "", true, false},
    {"https://API.example", "https://API.example", "", true, false},
    {"https://h", "https://h", "", true, false},
    {"https://h_1-2.x.", "https://h_1-2.x.", "", true, false},
    {"https://h:1", "https://h:1", "", true, false},
    {"https://h:65535", "https://h:65535", "", true, false},
    {"https://h:00443", "https://h:00443", "", true, false},
    {"https://h/gateway", "https://h", "/gateway", true, false},
    {"https://h/gateway/", "https://h", "/gateway", true, false},
    {"https://h/gateway///", "https://h", "/gateway", true, false},
    {"https://h:8443/a/b%20c", "https://h:8443", "/a/b%20c", true, false},
    {"https://h///", "https://h", "", true, false},
    {"http://h", "http://h", "", false, false},
    {"https://10.0.0.1", "https://10.0.0.1", "", true, false},
    {"https://[2001:db8::1]", "https://[2001:db8::1]", "", true, false},
    {"https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "/x", true, false},
    {"https://[::ffff:127.0.0.1]", "https://[::ffff:127.0.0.1]", "", true, false},
    {"http://localhost", "http://localhost", "", false, true},
    {"http://localhost:8080/x", "http://localhost:8080", "/x", false, true},
    {"https://localhost", "https://localhost", "", true, true},
    {"http://127.0.0.1", "http://127.0.0.1", "", false, true},
    {"http://127.0.0.1:80", "http://127.0.0.1:80", "", false, true},
    {"http://127.255.255.255", "http://127.255.255.255", "", false, true},
    {"http://[::1]", "http://[::1]", "", false, true},
    {"http://[::1]:8080", "http://[::1]:8080", "", false, true},
};

static void takes_addresses_of_hosts(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(good_urls); i++) {
    mde_base_url base;
    if (!mde_base_url_parse(&base, good_urls[i].text, strlen(good_urls[i].text)))
      fail_msg("refused: %s", good_urls[i].text);
    assert_int_equal(base.origin.length, strlen(good_urls[i].origin));
    assert_memory_equal(base.origin.data, good_urls[i].origin, base.origin.length);
    assert_int_equal(base.prefix.length, strlen(good_urls[i].prefix));
    assert_memory_equal(base.prefix.data, good_urls[i].prefix, base.prefix.length);
    assert_int_equal(base.https, good_urls[i].https);
    assert_int_equal(base.loopback, good_urls[i].loopback);
  }
}

static const mde_slice bad_urls[] = {
    TEXT(""),
    TEXT("https"),
    TEXT("https:"),
    TEXT("https:/"),
    TEXT("https://"),
    TEXT("https:///"),
    TEXT("https:///path"),
    TEXT("https://:443"),
    TEXT("https:h"),
    TEXT("ftp://h"),
    TEXT("file:///etc/passwd"),
    TEXT("httpss://h"),
    TEXT(" https://h"),
    TEXT("h"),
    TEXT("//h"),
    TEXT("h:443"),
    TEXT("https://user@h"),
    TEXT("https://user:password@h"),
    TEXT("https://h@evil.com"),
    TEXT("https://h:443@evil.com"),
    TEXT("https://h\\@evil.com"),
    TEXT("https://h?x=1"),
    TEXT("https://h/?x=1"),
    TEXT("https://h/p?"),
    TEXT("https://h?"),
    TEXT("https://h#f"),
    TEXT("https://h/p#f"),
    TEXT("https://h:"),
    TEXT("https://h:/"),
    TEXT("https://h:0"),
    TEXT("https://h:65536"),
    TEXT("https://h:99999"),
    TEXT("https://h:100000"),
    TEXT("https://h:4294967297"),
    TEXT("https://h:80x"),
    TEXT("https://h:-1"),
    TEXT("https://h:+80"),
    TEXT("https://h: 80"),
    TEXT("https://h:80:80"),
    TEXT("https://::1"),
    TEXT("https://2001:db8::1"),
    TEXT("https://[]"),
    TEXT("https://["),
    TEXT("https://]"),
    TEXT("https://[::1"),
    TEXT("https://::1]"),
    TEXT("https://[::1]x"),
    TEXT("https://[::1]:"),
    TEXT("https://[::1]:0"),
    TEXT("https://[::1]:x"),
    TEXT("https://[fe80::1%25eth0]"),
    TEXT("https://[[::1]]"),
    TEXT("https://[h]@evil"),
    TEXT("https://h o"),
    TEXT("https://h\n"),
    TEXT("https://h\r\nX: y"),
    TEXT("https://h\0"),
    TEXT("https://h\0.evil.com"),
    TEXT("https://h%2eevil"),
    TEXT("https://h/a b"),
    TEXT("https://h/a\nb"),
    TEXT("https://h/a\0b"),
    TEXT("https://h/\xc3\xa6"),
    TEXT("https://\xc3\xa6.example"),
    TEXT("https://h/{id}"),
    TEXT("https://h/\"x\""),
    TEXT("https://h/a\\b"),
    TEXT("https://h/a%"),
    TEXT("https://h/a%2"),
    TEXT("https://h/%zz/b"),
    TEXT("https://h;x"),
    TEXT("https://h,x"),
    TEXT("https://*"),
};

static void refuses_everything_else(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(bad_urls); i++) {
    mde_base_url base;
    if (mde_base_url_parse(&base, bad_urls[i].data, bad_urls[i].length))
      fail_msg("taken (%zu): %s", i, bad_urls[i].data);
  }
}

/* Plain http is allowed to these only, so nothing that could be looked up elsewhere may pass. */
static void what_only_looks_like_loopback_is_not(void **state)
{
  (void)state;
  static const char *const hosts[] = {
      "127.0.0.1.evil.com",
      "localhost.evil.com",
      "127.1",
      "127.0.1",
      "127",
      "127.0.0.1.",
      "127.0.0.1.1",
      "127.0.0.",
      "127..0.1",
      "127.0.0.256",
      "127.0.0.999",
      "127.0.0.1000",
      "127.0.0.0001",
      "127.0.0.01",
      "0127.0.0.1",
      "127.00.0.1",
      "1270.0.0.1",
      "128.0.0.1",
      "126.0.0.1",
      "12.7.0.1",
      "0.0.0.0",
      "localhost.",
      "localhos",
      "xlocalhost",
      "localhost-evil.com",
      "[::2]",
      "[::]",
      "[::11]",
      "[1::1]",
      "[::ffff:127.0.0.1]",
      "evil.com",
      "127.0.0.1x",
      "127.0.0.x",
      "x127.0.0.1",
      "2130706433",
      "0x7f.0.0.1",
  };
  for (size_t i = 0; i < TEST_COUNT(hosts); i++) {
    char text[100];
    mde_base_url base;
    snprintf(text, sizeof text, "http://%s:8080/x", hosts[i]);
    if (mde_base_url_parse(&base, text, strlen(text)) && base.loopback)
      fail_msg("loopback: %s", hosts[i]);
  }
}

/* --- escaping --- */

static void escapes_every_byte_but_the_unreserved(void **state)
{
  (void)state;
  static const char unreserved[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (int code = 0; code < 256; code++) {
    char byte = (char)code;
    char wanted[8];
    bool stays = memchr(unreserved, byte, sizeof unreserved - 1) != NULL;
    snprintf(wanted, sizeof wanted, stays ? "%c" : "%%%02X", code);
    mde_buffer out = start();
    assert_int_equal(mde_uri_escape(&out, (mde_slice){&byte, 1}), MDE_OK);
    assert_string_equal(mde_buffer_text(&out), wanted);
    mde_buffer_free(&out);
  }
}

static void a_segment_may_be_anything_but_empty_dots_and_controls(void **state)
{
  (void)state;
  static const struct {
    mde_slice segment;
    bool valid;
  } cases[] = {
      {TEXT("da637308392288907382_-880718168"), true},
      {TEXT("a/b"), true},
      {TEXT("a?b#c%d e"), true},
      {TEXT("..x"), true},
      {TEXT("x.."), true},
      {TEXT("..."), true},
      {TEXT(" "), true},
      {TEXT("\xc3\xa6\xf0\x9f\x98\x80"), true},
      {TEXT("\x80\xff"), true},
      {TEXT("%2e%2e"), true},
      {TEXT("../.."), true},
      {TEXT(""), false},
      {TEXT("."), false},
      {TEXT(".."), false},
      {TEXT("a\0"), false},
      {TEXT("a\nb"), false},
      {TEXT("\r"), false},
      {TEXT("\t"), false},
      {TEXT("a\x1f"), false},
      {TEXT("a\x7f"), false},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++)
    assert_int_equal(mde_uri_segment_valid(cases[i].segment), cases[i].valid);
}

static void fills_a_path_in(void **state)
{
  (void)state;
  static const struct {
    const char *path;
    mde_slice segments[3];
    size_t count;
    const char *wanted;
  } cases[] = {
      {"/api/alerts", {{NULL, 0}}, 0, "/api/alerts"},
      {"/api/alerts/{id}", {TEXT("a")}, 1, "/api/alerts/a"},
      {"/api/alerts/{id}/ips", {TEXT("a/b")}, 1, "/api/alerts/a%2Fb/ips"},
      {"/api/alerts/{id}/ips", {TEXT("{x}?#%")}, 1, "/api/alerts/%7Bx%7D%3F%23%25/ips"},
      {"/a/{x}/b/{y}", {TEXT("1"), TEXT("\xc3\xa6 2")}, 2, "/a/1/b/%C3%A6%202"},
      {"/{x}{y}{z}", {TEXT("1"), TEXT("2"), TEXT("3")}, 3, "/123"},
      {"/a(b='{x}')", {TEXT("it's")}, 1, "/a(b='it%27s')"},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_buffer out = start();
    mde_uri_path(&out, cases[i].path, cases[i].segments, cases[i].count);
    assert_string_equal(mde_buffer_text(&out), cases[i].wanted);
    mde_buffer_free(&out);
  }
}

static void joins_queries(void **state)
{
  (void)state;
  mde_buffer out = start();
  mde_uri_query(&out, "$filter", text_of("severity eq 'High' & a+b=c?"));
  mde_uri_query_integer(&out, "$top", 100);
  mde_uri_query_integer(&out, "$skip", INT64_MAX);
  mde_uri_query(&out, "$expand", text_of(""));
  assert_string_equal(mde_buffer_text(&out),
                      "?$filter=severity%20eq%20%27High%27%20%26%20a%2Bb%3Dc%3F"
                      "&$top=100&$skip=9223372036854775807&$expand=");
  mde_buffer_free(&out);
}

static void a_query_goes_on_where_an_address_has_one(void **state)
{
  (void)state;
  mde_buffer out = start();
  mde_buffer_append_text(&out, "https://h/p?a=1");
  mde_uri_query_integer(&out, "$top", 1);
  assert_string_equal(mde_buffer_text(&out), "https://h/p?a=1&$top=1");
  mde_buffer_free(&out);
}

/* --- next links --- */

#define HOST "https://api.example:8443"

static const struct {
  mde_slice link;
  const char *url; /* behind the host; NULL: malformed */
} links[] = {
    {TEXT(HOST "/api/alerts?$skip=100"), "/api/alerts?$skip=100"},
    {TEXT("https://evil.com/api/alerts?$skip=1"), "/api/alerts?$skip=1"},
    {TEXT("http://evil.com/api/alerts"), "/api/alerts"},
    {TEXT("https://evil.com:99/x"), "/x"},
    {TEXT("https://user:password@evil.com/x"), "/x"},
    {TEXT("https://user@evil.com/x@y"), "/x@y"},
    {TEXT("https://evil.com\\@api.example/x"), "/x"},
    {TEXT("https://[::1]:80/x"), "/x"},
    {TEXT("//evil.com/x"), "/x"},
    {TEXT("///x"), "/x"},
    {TEXT("https:///x"), "/x"},
    {TEXT("https://evil.com//other.com/x"), "//other.com/x"},
    {TEXT("/x?y"), "/x?y"},
    {TEXT("/x?y?z"), "/x?y?z"},
    {TEXT("/"), "/"},
    {TEXT("/x#fragment"), "/x"},
    {TEXT("/x?y#fragment?z"), "/x?y"},
    {TEXT("/x?$filter=a eq 'b'"), "/x?$filter=a%20eq%20'b'"},
    {TEXT("/x?$filter=a%20eq%20%27b%27"), "/x?$filter=a%20eq%20%27b%27"},
    {TEXT("/x?a=\xc3\xa6"), "/x?a=%C3%A6"},
    {TEXT("/x?a=\x80\xff"), "/x?a=%80%FF"},
    {TEXT("/x?a=\"<>[]{}|\\^`"), "/x?a=%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60"},
    {TEXT("/x?a=b+c&d=!$&'()*,;:@/-._~"), "/x?a=b+c&d=!$&'()*,;:@/-._~"},
    {TEXT("/\\evil.com/x"), "/%5Cevil.com/x"},
    {TEXT("/@evil.com/x"), "/@evil.com/x"},
    {TEXT("/:80/x"), "/:80/x"},
    {TEXT(""), NULL},
    {TEXT("#"), NULL},
    {TEXT("x"), NULL},
    {TEXT("x/y"), NULL},
    {TEXT("../x"), NULL},
    {TEXT("?$skip=1"), NULL},
    {TEXT("@evil.com/x"), NULL},
    {TEXT(".evil.com/x"), NULL},
    {TEXT(":99/x"), NULL},
    {TEXT("https:"), NULL},
    {TEXT("https:/x"), NULL},
    {TEXT("https://"), NULL},
    {TEXT("https://evil.com"), NULL},
    {TEXT("https://evil.com?x"), NULL},
    {TEXT("https://evil.com#/x"), NULL},
    {TEXT("//"), NULL},
    {TEXT("//evil.com"), NULL},
    {TEXT("ftp://evil.com/x"), NULL},
    {TEXT("javascript:/x"), NULL},
    {TEXT(" /x"), NULL},
    {TEXT(" https://evil.com/x"), NULL},
    {TEXT("/x\n"), NULL},
    {TEXT("/x\r\nHost: evil.com"), NULL},
    {TEXT("/x\0y"), NULL},
    {TEXT("/x?\t"), NULL},
    {TEXT("/x\x7f"), NULL},
    {TEXT("/x?a=%zz"), NULL},
    {TEXT("/x?a=%2"), NULL},
    {TEXT("/x?a=%"), NULL},
    {TEXT("https://evil.com/x\x01"), NULL},
};

static void a_link_is_followed_on_the_configured_host_only(void **state)
{
  (void)state;
  mde_base_url base;
  assert_true(mde_base_url_parse(&base, HOST, sizeof HOST - 1));
  for (size_t i = 0; i < TEST_COUNT(links); i++) {
    mde_buffer out = start();
    mde_buffer_append_text(&out, "what was there before");
    mde_link_verdict verdict = mde_uri_follow(&out, &base, links[i].link);
    char wanted[200];
    snprintf(wanted, sizeof wanted, HOST "%s", links[i].url != NULL ? links[i].url : "");
    if (verdict != (links[i].url != NULL ? MDE_LINK_OK : MDE_LINK_MALFORMED))
      fail_msg("row %zu (%s): verdict %d", i, links[i].link.data, verdict);
    if (links[i].url != NULL)
      assert_string_equal(mde_buffer_text(&out), wanted);
    mde_buffer_free(&out);
  }
}

static void a_link_goes_under_the_prefix_once(void **state)
{
  (void)state;
  static const struct {
    const char *link, *wanted;
  } cases[] = {
      {"https://api.microsoft.com/api/alerts?x", "https://h/gate/way/api/alerts?x"},
      {"https://h/gate/way/api/alerts?x", "https://h/gate/way/api/alerts?x"},
      {"/gate/way", "https://h/gate/way"},
      {"/gate/wayward", "https://h/gate/way/gate/wayward"},
      {"/gate", "https://h/gate/way/gate"},
      {"/", "https://h/gate/way/"},
  };
  mde_base_url base;
  static const char text[] = "https://h/gate/way/";
  assert_true(mde_base_url_parse(&base, text, sizeof text - 1));
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_buffer out = start();
    assert_int_equal(mde_uri_follow(&out, &base, text_of(cases[i].link)), MDE_LINK_OK);
    assert_string_equal(mde_buffer_text(&out), cases[i].wanted);
    mde_buffer_free(&out);
  }
}

static void an_endless_link_is_malformed(void **state)
{
  (void)state;
  mde_base_url base;
  static char link[2 * MDE_URL_MAX];
  memset(link, 'x', sizeof link);
  link[0] = '/';
  assert_true(mde_base_url_parse(&base, HOST, sizeof HOST - 1));
  size_t longest = MDE_URL_MAX - (sizeof HOST - 1);
  mde_buffer out = start();
  assert_int_equal(mde_uri_follow(&out, &base, (mde_slice){link, longest}), MDE_LINK_OK);
  assert_int_equal(out.length, MDE_URL_MAX);
  assert_int_equal(mde_uri_follow(&out, &base, (mde_slice){link, longest + 1}), MDE_LINK_MALFORMED);
  assert_int_equal(mde_uri_follow(&out, &base, (mde_slice){link, sizeof link}), MDE_LINK_MALFORMED);
  assert_int_equal(mde_uri_follow(&out, &base, text_of("/x")), MDE_LINK_OK);
  mde_buffer_free(&out);
}

static void a_missing_link_is_malformed(void **state)
{
  (void)state;
  mde_base_url base;
  assert_true(mde_base_url_parse(&base, HOST, sizeof HOST - 1));
  mde_buffer out = start();
  assert_int_equal(mde_uri_follow(&out, &base, (mde_slice){NULL, 0}), MDE_LINK_MALFORMED);
  mde_buffer_free(&out);
}

/* Whatever the link is: it leads to the host, or nowhere; and nothing in it could end a line. */
static void random_links_never_leave_the_host(void **state)
{
  (void)state;
  static const char pieces[] = "/:@?#.%\\ ahttps//[]\r\n";
  test_random dice = test_random_start();
  mde_base_url base;
  assert_true(mde_base_url_parse(&base, HOST, sizeof HOST - 1));
  mde_buffer out = start();
  int followed = 0;
  for (int run = 0; run < 20000; run++) {
    char link[16];
    size_t length = (size_t)test_between(&dice, 0, sizeof link);
    for (size_t i = 0; i < length; i++)
      link[i] = test_chance(&dice, 90) ? pieces[test_between(&dice, 0, sizeof pieces - 2)]
                                       : (char)test_between(&dice, -128, 127);
    if (mde_uri_follow(&out, &base, (mde_slice){link, length}) != MDE_LINK_OK)
      continue;
    followed++;
    assert_memory_equal(out.data, HOST "/", sizeof HOST);
    for (size_t i = 0; i < out.length; i++)
      assert_true(out.data[i] > 0x20 && out.data[i] < 0x7f && out.data[i] != '#');
  }
  assert_true(followed > 500);
  mde_buffer_free(&out);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  mde_base_url base;
  assert_true(mde_base_url_parse(&base, HOST, sizeof HOST - 1));
  static char link[1000];
  memset(link, ' ', sizeof link);
  link[0] = '/';
  for (size_t k = 1; k < 10; k++) {
    test_heap heap = {.fail_at = k};
    mde_memory memory = test_memory(&heap);
    mde_buffer out;
    mde_buffer_init(&out, &memory, MDE_URL_MAX);
    mde_link_verdict verdict = mde_uri_follow(&out, &base, (mde_slice){link, sizeof link});
    assert_int_equal(verdict, heap.allocations >= k ? MDE_LINK_NO_MEMORY : MDE_LINK_OK);
    mde_buffer_free(&out);
    assert_int_equal(heap.blocks, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_addresses_of_hosts),
      cmocka_unit_test(refuses_everything_else),
      cmocka_unit_test(what_only_looks_like_loopback_is_not),
      cmocka_unit_test(escapes_every_byte_but_the_unreserved),
      cmocka_unit_test(a_segment_may_be_anything_but_empty_dots_and_controls),
      cmocka_unit_test(fills_a_path_in),
      cmocka_unit_test(joins_queries),
      cmocka_unit_test(a_query_goes_on_where_an_address_has_one),
      cmocka_unit_test(a_link_is_followed_on_the_configured_host_only),
      cmocka_unit_test(a_link_goes_under_the_prefix_once),
      cmocka_unit_test(an_endless_link_is_malformed),
      cmocka_unit_test(a_missing_link_is_malformed),
      cmocka_unit_test(random_links_never_leave_the_host),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}

#include "core/response.h"
#include "test.h"

static mde_response start(void)
{
  mde_response response;
  mde_response_init(&response, &mde_memory_system, 100000);
  return response;
}

static void hear(mde_response *response, const char *line)
{
  mde_response_header(response, line, strlen(line));
}

/* --- the head --- */

static void understands_header_lines(void **state)
{
  (void)state;
  static const struct {
    const char *line, *value;
  } cases[] = {
      {"Retry-After: 12\r\n", "12"},
      {"Retry-After: 12\n", "12"},
      {"Retry-After: 12", "12"},
      {"Retry-After:12\r\n", "12"},
      {"retry-after:\t 12 \t\r\n", "12"},
      {"RETRY-AFTER: 12\r\n", "12"},
      {"Retry-After: a:b c\r\n", "a:b c"},
      {"Retry-After:\r\n", ""},
      {"Retry-After:", ""},
      {"Retry-After : 12\r\n", ""},
      {" Retry-After: 12\r\n", ""},
      {"Retry-After\r\n", ""},
      {"Retry-Afte: 12\r\n", ""},
      {"Retry-After2: 12\r\n", ""},
      {"X-Retry-After: 12\r\n", ""},
      {"Retry-After-Ms: 12\r\n", ""},
      {"Retry-After-Reason: 12\r\n", ""},
      {"", ""},
      {":", ""},
      {"\r\n", ""},
  };
  for (size_t i = 0; i < TEST_COUNT(cases); i++) {
    mde_response response = start();
    hear(&response, cases[i].line);
    assert_string_equal(response.retry_after, cases[i].value);
    mde_response_free(&response);
  }
}

static void takes_both_names_of_the_milliseconds(void **state)
{
  (void)state;
  static const char *const lines[] = {"retry-after-ms: 250\r\n", "x-ms-retry-after-ms: 250\r\n",
                                      "X-MS-Retry-After-MS:250"};
  for (size_t i = 0; i < TEST_COUNT(lines); i++) {
    mde_response response = start();
    hear(&response, lines[i]);
    assert_string_equal(response.retry_after_ms, "250");
    assert_string_equal(response.retry_after, "");
    assert_int_equal(mde_response_retry_after_ms(&response), 250);
    mde_response_free(&response);
  }
}

static void a_value_of_63_bytes_fits_and_a_longer_one_is_garbage(void **state)
{
  (void)state;
  for (int zeros = 62; zeros <= 70; zeros++) {
    mde_response response = start();
    char line[100];
    snprintf(line, sizeof line, "Retry-After: %0*d\r\n", zeros, 7);
    hear(&response, line);
    assert_int_equal(mde_response_retry_after_ms(&response), zeros <= 63 ? 7000 : -1);
    mde_response_free(&response);
  }
}

static void the_last_of_repeated_headers_counts(void **state)
{
  (void)state;
  mde_response response = start();
  hear(&response, "Retry-After: 1\r\n");
  hear(&response, "Retry-After: 2\r\n");
  assert_int_equal(mde_response_retry_after_ms(&response), 2000);
  mde_response_free(&response);
}

static void a_status_line_starts_a_new_head(void **state)
{
  (void)state;
  mde_response response = start();
  hear(&response, "HTTP/1.1 100 Continue\r\n");
  hear(&response, "Retry-After: 1\r\n");
  hear(&response, "retry-after-ms: 1\r\n");
  hear(&response, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  response.status = 100;
  hear(&response, "HTTP/2 429\r\n");
  assert_int_equal(response.status, 0);
  assert_string_equal(response.date, "");
  assert_int_equal(mde_response_retry_after_ms(&response), -1);
  mde_response_free(&response);
}

static void reset_forgets_the_answer_and_keeps_the_memory(void **state)
{
  (void)state;
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  mde_response response;
  mde_response_init(&response, &memory, 10);
  response.status = 429;
  hear(&response, "Retry-After: 1\r\n");
  mde_buffer_append_text(&response.body, "0123456789");
  mde_buffer_append_text(&response.body, "too much");
  mde_response_reset(&response);
  assert_int_equal(response.status, 0);
  assert_int_equal(response.body.length, 0);
  assert_int_equal(response.body.status, MDE_OK);
  assert_int_equal(mde_response_retry_after_ms(&response), -1);
  assert_int_equal(heap.blocks, 1);
  mde_response_free(&response);
  mde_response_free(&response);
  assert_int_equal(heap.blocks, 0);
}

static void every_short_line_is_harmless(void **state)
{
  (void)state;
  static const char lines[] = "HTTP/1.1 200 OK\r\nx-ms-retry-after-ms: 1\r\nDate: x\r\n";
  mde_response response = start();
  for (size_t from = 0; from < sizeof lines; from++) {
    for (size_t to = from; to < sizeof lines; to++) {
      size_t length = to - from;
      char *line = malloc(length + 1); /* its own block, so that a tool sees reads beyond it */
      assert_non_null(line);
      memcpy(line, lines + from, length);
      mde_response_header(&response, line, length);
      free(line);
    }
  }
  mde_response_free(&response);
}

/* --- Retry-After --- */

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define HOUR_MS 3600000

static const struct {
  const char *retry_after, *retry_after_ms, *date;
  int64_t wait_ms;
} waits[] = {
    /* seconds */
    {"0", NULL, NULL, 0},
    {"12", NULL, NULL, 12000},
    {"0012", NULL, NULL, 12000},
    {"3599", NULL, NULL, 3599000},
    {"3600", NULL, NULL, HOUR_MS},
    {"3601", NULL, NULL, HOUR_MS},
    {"86400", NULL, NULL, HOUR_MS},
    {"2147483648", NULL, NULL, HOUR_MS},
    {"4294967296", NULL, NULL, HOUR_MS},
    {"9223372036854775807", NULL, NULL, HOUR_MS},
    {"18446744073709551616", NULL, NULL, HOUR_MS},
    {"999999999999999999999999999999999999999999999999999999999999999", NULL, NULL, HOUR_MS},
    /* fractions */
    {"1.5", NULL, NULL, 1500},
    {"0.25", NULL, NULL, 250},
    {"0.0009", NULL, NULL, 0},
    {"1.23456789012345678901234567890", NULL, NULL, 1234},
    {"3600.5", NULL, NULL, HOUR_MS},
    {"1.", NULL, NULL, 1000},
    /* milliseconds, which are more exact */
    {NULL, "250", NULL, 250},
    {"7", "250", NULL, 250},
    {"7", "garbage", NULL, 7000},
    {"7", "-1", NULL, 7000},
    {"7", "0", NULL, 0},
    {NULL, "12.7", NULL, 12},
    {NULL, "3600001", NULL, HOUR_MS},
    {NULL, "99999999999999999999", NULL, HOUR_MS},
    /* dates, against the answer's own */
    {"Sun, 06 Nov 1994 08:49:47 GMT", NULL, DATE, 10000},
    {"Sunday, 06-Nov-94 08:49:47 GMT", NULL, DATE, 10000},
    {"Sun Nov  6 08:49:47 1994", NULL, DATE, 10000},
    {"Sun, 06 Nov 1994 08:49:47 GMT", NULL, "Sunday, 06-Nov-94 08:49:37 GMT", 10000},
    {"Sun, 06 Nov 1994 08:49:47 GMT", NULL, "Sun Nov  6 08:49:37 1994", 10000},
    {"Mon, 07 Nov 1994 00:00:00 GMT", NULL, "Sun, 06 Nov 1994 23:59:59 GMT", 1000},
    {DATE, NULL, DATE, 0},
    {"Sun, 06 Nov 1994 09:49:37 GMT", NULL, DATE, HOUR_MS},
    {"Sun, 06 Nov 1994 09:49:38 GMT", NULL, DATE, HOUR_MS},
    {"Fri, 31 Dec 9999 23:59:59 GMT", NULL, DATE, HOUR_MS},
    {"Sun, 06 Nov 1994 08:49:36 GMT", NULL, DATE, -1},
    {"Sun, 06 Nov 1994 08:49:47 GMT", NULL, NULL, -1},
    {"Sun, 06 Nov 1994 08:49:47 GMT", NULL, "yesterday", -1},
    /* nothing and garbage */
    {NULL, NULL, NULL, -1},
    {NULL, NULL, DATE, -1},
    {"", NULL, NULL, -1},
    {"-1", NULL, NULL, -1},
    {"+1", NULL, NULL, -1},
    {".5", NULL, NULL, -1},
    {".", NULL, NULL, -1},
    {"1,5", NULL, NULL, -1},
    {"1.5.1", NULL, NULL, -1},
    {"1 2", NULL, NULL, -1},
    {"12s", NULL, NULL, -1},
    {"1e3", NULL, NULL, -1},
    {"0x10", NULL, NULL, -1},
    {"soon", NULL, DATE, -1},
    {"NaN", NULL, NULL, -1},
    {"inf", NULL, NULL, -1},
};

static void hear_header(mde_response *response, const char *name, const char *value)
{
  char line[200];
  if (value == NULL)
    return;
  snprintf(line, sizeof line, "%s: %s\r\n", name, value);
  hear(response, line);
}

static void understands_every_form_of_retry_after(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(waits); i++) {
    mde_response response = start();
    hear_header(&response, "Date", waits[i].date);
    hear_header(&response, "Retry-After", waits[i].retry_after);
    hear_header(&response, "retry-after-ms", waits[i].retry_after_ms);
    int64_t wait_ms = mde_response_retry_after_ms(&response);
    if (wait_ms != waits[i].wait_ms)
      fail_msg("row %zu, Retry-After %s: %lld", i, waits[i].retry_after, (long long)wait_ms);
    mde_response_free(&response);
  }
}

/* --- dates --- */

static const struct {
  const char *text;
  int64_t seconds;
} dates[] = {
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sun Nov 06 08:49:37 1994", 784111777},
    {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
    {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
    {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
    {"Sun, 28 Feb 2100 00:00:00 GMT", INT64_C(4107456000)},
    {"Mon, 01 Mar 2100 00:00:00 GMT", INT64_C(4107542400)}, /* no leap year */
    {"Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648)},
    {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
    {"Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Tuesday, 31-Dec-69 00:00:00 GMT", INT64_C(3155673600)}, /* 2069 */
    {"Xyz, 06 Nov 1994 08:49:37 GMT", 784111777},             /* the day's name says nothing new */
    /* out of range */
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Sun, 06 Nov 0000 08:49:37 GMT", -1},
    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 32 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
    {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
    {"Sun, -6 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 -8:49:37 GMT", -1},
    {"Sun, 06 Nov -994 08:49:37 GMT", -1},
    /* other things */
    {"Sun, 06 Foo 1994 08:49:37 GMT", -1},
    {"Sun, 06 anF 1994 08:49:37 GMT", -1}, /* stands in JanFeb */
    {"Sun, 06 No 1994 08:49:37 GMT", -1},
    {"Sun, 06 November 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:49 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:37 CET", -1},
    {"Sun, 06 Nov 1994 08:49:37 +0100", -1},
    {"Sun, 06 Nov 1994 08:49:37", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT and more", -1},
    {"Sun Nov  6 08:49:37 1994 GMT", -1},
    {"Sunday, 06-Nov-94 08:49:37 EST", -1},
    {"Sunday, 06-Nov-1994 08:49:37 GMT", -1},
    {"1994-11-06T08:49:37Z", -1},
    {"06 Nov 1994 08:49:37 GMT", -1},
    {"784111777", -1},
    {"", -1},
    {" ", -1},
    {",", -1},
};

static void reads_http_dates_and_nothing_else(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(dates); i++) {
    int64_t seconds = mde_http_date(dates[i].text);
    if (seconds != dates[i].seconds)
      fail_msg("%s: %lld", dates[i].text, (long long)seconds);
  }
}

/* Day by day from 1970 to 2400, against a count of our own. */
static void every_day_follows_the_one_before(void **state)
{
  (void)state;
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t days = 0;
  for (int year = 1970; year <= 2400; year++) {
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (int month = 0; month < 12; month++) {
      int length = lengths[month] + (month == 1 && leap);
      for (int day = 1; day <= length; day++, days++) {
        char text[64];
        snprintf(text, sizeof text, "Day, %02d %s %04d 00:00:00 GMT", day, months[month], year);
        assert_int_equal(mde_http_date(text), days * 86400);
      }
    }
  }
}

/* --- the limit that a refusal names --- */

static const struct {
  const char *body;
  bool found;
  uint32_t calls;
  int64_t length_ms;
} limits[] = {
    {"{\"error\":{\"code\":\"429\",\"message\":\"API calls quota exceeded! maximum allowed 45 per "
     "00:01:00\",\"target\":\"x\"}}",
     true, 45, 60000},
    {"maximum allowed 1500 per 01:00:00", true, 1500, HOUR_MS},
    {"maximum allowed 1 per 00:00:01", true, 1, 1000},
    {"maximum allowed 1000000 per 24:00:00", true, 1000000, 86400000},
    {"maximum allowed 20 per 00:05:30.", true, 20, 330000},
    {"", false, 0, 0},
    {"<html>Too many requests</html>", false, 0, 0},
    {"maximum allowed", false, 0, 0},
    {"maximum allowed ", false, 0, 0},
    {"maximum allowed 45", false, 0, 0},
    {"maximum allowed 45 per", false, 0, 0},
    {"maximum allowed 45 per 00", false, 0, 0},
    {"maximum allowed 45 per 00:01", false, 0, 0},
    {"maximum allowed 45 per 00:01:", false, 0, 0},
    {"maximum allowed x per 00:01:00", false, 0, 0},
    {"maximum allowed 0 per 00:01:00", false, 0, 0},
    {"maximum allowed 45 per 00:00:00", false, 0, 0},
    {"maximum allowed -45 per 00:01:00", false, 0, 0},
    {"maximum allowed 45 per -1:01:00", false, 0, 0},
    {"maximum allowed 45 per 00:-1:00", false, 0, 0},
    {"maximum allowed 45 per 00:01:-1", false, 0, 0},
    {"maximum allowed 45 per 00:60:00", false, 0, 0},
    {"maximum allowed 45 per 00:00:60", false, 0, 0},
    {"maximum allowed 1000001 per 00:01:00", false, 0, 0},
    {"maximum allowed 99999999999999999999 per 00:01:00", false, 0, 0},
    {"maximum allowed 45 per 99:00:00", false, 0, 0},
    {"maximum allowed 45 per 1.00:00:00", false, 0, 0},
};

static void reads_the_limit_out_of_a_body(void **state)
{
  (void)state;
  for (size_t i = 0; i < TEST_COUNT(limits); i++) {
    mde_response response = start();
    mde_buffer_append_text(&response.body, limits[i].body);
    mde_window limit = {0};
    bool found = mde_response_limit(&response, &limit);
    if (found != limits[i].found)
      fail_msg("%s: %d", limits[i].body, found);
    if (found) {
      assert_int_equal(limit.calls, limits[i].calls);
      assert_int_equal(limit.length_ms, limits[i].length_ms);
    }
    mde_response_free(&response);
  }
}

static void searches_the_beginning_of_a_body_only(void **state)
{
  (void)state;
  static const char words[] = "maximum allowed 45 per 00:01:00";
  for (size_t before = 4000; before < 4200; before++) {
    mde_response response = start();
    for (size_t i = 0; i < before; i++)
      mde_buffer_append_char(&response.body, ' ');
    mde_buffer_append_text(&response.body, words);
    mde_window limit = {0};
    bool found = mde_response_limit(&response, &limit);
    if (before + sizeof words - 1 <= 4096)
      assert_true(found);
    if (before > 4096)
      assert_false(found);
    mde_response_free(&response);
  }
}

static void nul_bytes_in_a_body_are_harmless(void **state)
{
  (void)state;
  static const char words[] = "maximum allowed 45 per 00:01:00";
  for (size_t at = 0; at < sizeof words; at++) {
    mde_response response = start();
    mde_buffer_append(&response.body, words, sizeof words - 1);
    mde_buffer_append(&response.body, "\0\0\0", 3);
    response.body.data[at] = '\0';
    mde_window limit = {0};
    bool found = mde_response_limit(&response, &limit);
    assert_int_equal(found, at >= sizeof words - 2); /* one digit of the seconds is enough */
    mde_response_free(&response);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(understands_header_lines),
      cmocka_unit_test(takes_both_names_of_the_milliseconds),
      cmocka_unit_test(a_value_of_63_bytes_fits_and_a_longer_one_is_garbage),
      cmocka_unit_test(the_last_of_repeated_headers_counts),
      cmocka_unit_test(a_status_line_starts_a_new_head),
      cmocka_unit_test(reset_forgets_the_answer_and_keeps_the_memory),
      cmocka_unit_test(every_short_line_is_harmless),
      cmocka_unit_test(understands_every_form_of_retry_after),
      cmocka_unit_test(reads_http_dates_and_nothing_else),
      cmocka_unit_test(every_day_follows_the_one_before),
      cmocka_unit_test(reads_the_limit_out_of_a_body),
      cmocka_unit_test(searches_the_beginning_of_a_body_only),
      cmocka_unit_test(nul_bytes_in_a_body_are_harmless),
  };
  return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}

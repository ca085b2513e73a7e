/* Dates in an answer's head: what is read can be written again in each of the three forms, and a
 * Retry-After is the distance of two. */
#include "core/response.h"
#include "fuzz.h"

static void assert_read_again(int64_t seconds, const char *form)
{
  char text[64];
  struct tm parts;
  time_t moment = (time_t)seconds;
  assert_non_null(gmtime_r(&moment, &parts));
  assert_true(strftime(text, sizeof text, form, &parts) > 0);
  if (mde_http_date(text) != seconds)
    fail_msg("%lld is written as %s", (long long)seconds, text);
}

static int64_t read_date(const char *text)
{
  int64_t seconds = mde_http_date(text);
  assert_true(seconds >= -1 && seconds < INT64_C(253402300800 + 86400)); /* the year 10000 */
  if (seconds < 0 || seconds >= INT64_C(253402300800))
    return seconds;
  assert_read_again(seconds, "%a, %d %b %Y %H:%M:%S GMT");
  assert_read_again(seconds, "%a %b %e %H:%M:%S %Y");
  if (seconds < INT64_C(3155760000)) /* two digits for a year end in 2069 */
    assert_read_again(seconds, "%A, %d-%b-%y %H:%M:%S GMT");
  return seconds;
}

static void take_line(char text[MDE_HEADER_VALUE_MAX + 1], mde_slice line)
{
  size_t length = line.length < MDE_HEADER_VALUE_MAX ? line.length : MDE_HEADER_VALUE_MAX;
  memcpy(text, line.data, length);
  text[length] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_input input = fuzz_begin(bytes, size);
  mde_response response;
  mde_response_init(&response, &mde_memory_system, 1);
  take_line(response.retry_after, fuzz_line(&input));
  take_line(response.date, fuzz_line(&input));
  int64_t until = read_date(response.retry_after);
  int64_t now = read_date(response.date);
  int64_t wait_ms = mde_response_retry_after_ms(&response);
  bool is_number = response.retry_after[0] >= '0' && response.retry_after[0] <= '9';
  if (until >= 0 && !is_number) {
    int64_t most = until - now < 3600 ? until - now : 3600;
    assert_int_equal(wait_ms, now < 0 || until < now ? -1 : most * 1000);
  }
  fuzz_free(&input);
  return 0;
}

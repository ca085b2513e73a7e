#include "core/response.h"

#include <stdio.h>
#include <string.h>

enum { LIMIT_SEARCH_BYTES = 4096, SECOND_MS = 1000 };

void mde_response_init(mde_response *response, const mde_memory *memory, size_t max_body_bytes)
{
  memset(response, 0, sizeof *response);
  mde_buffer_init(&response->body, memory, max_body_bytes);
}

static void forget_head(mde_response *response)
{
  response->status = 0;
  response->retry_after[0] = '\0';
  response->retry_after_ms[0] = '\0';
  response->date[0] = '\0';
}

void mde_response_reset(mde_response *response)
{
  forget_head(response);
  mde_buffer_reset(&response->body);
}

void mde_response_free(mde_response *response)
{
  mde_buffer_free(&response->body);
}

/* --- the head --- */

static char lower(char byte)
{
  return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static bool is_space(char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool name_is(const char *line, size_t length, const char *name)
{
  size_t i = 0;
  while (i < length && name[i] != '\0' && lower(line[i]) == name[i])
    i++;
  return name[i] == '\0' && i < length && line[i] == ':';
}

static void copy_value(char *value, const char *line, size_t length)
{
  const char *from = memchr(line, ':', length);
  const char *end = line + length;
  from++;
  while (from < end && is_space(*from))
    from++;
  while (end > from && is_space(end[-1]))
    end--;
  size_t size = (size_t)(end - from);
  if (size > MDE_HEADER_VALUE_MAX)
    size = 0;
  memcpy(value, from, size);
  value[size] = '\0';
}

void mde_response_header(mde_response *response, const char *line, size_t length)
{
  if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
    forget_head(response);
  else if (name_is(line, length, "retry-after"))
    copy_value(response->retry_after, line, length);
  else if (name_is(line, length, "retry-after-ms") || name_is(line, length, "x-ms-retry-after-ms"))
    copy_value(response->retry_after_ms, line, length);
  else if (name_is(line, length, "date"))
    copy_value(response->date, line, length);
}

/* --- how long to wait --- */

static int64_t clamp_wait(int64_t wait_ms)
{
  return wait_ms > MDE_RETRY_AFTER_MAX_MS ? MDE_RETRY_AFTER_MAX_MS : wait_ms;
}

/* "12" or "1.5" in units of `unit_ms`; -1 for anything else. */
static int64_t parse_number(const char *text, int64_t unit_ms)
{
  int64_t whole = 0;
  int64_t part = 0;
  int64_t scale = unit_ms;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++)
    whole = clamp_wait(whole * 10 + (*at - '0'));
  if (at == text)
    return -1;
  if (*at == '.') {
    for (at++; *at >= '0' && *at <= '9'; at++) {
      scale /= 10;
      part += (*at - '0') * scale;
    }
  }
  return *at == '\0' ? clamp_wait(whole * unit_ms + part) : -1;
}

static int64_t parse_wait_date(const mde_response *response)
{
  int64_t until = mde_http_date(response->retry_after);
  int64_t now = mde_http_date(response->date);
  if (until < 0 || now < 0 || until < now)
    return -1;
  return clamp_wait(clamp_wait(until - now) * SECOND_MS);
}

int64_t mde_response_retry_after_ms(const mde_response *response)
{
  int64_t wait_ms = parse_number(response->retry_after_ms, 1);
  if (wait_ms < 0)
    wait_ms = parse_number(response->retry_after, SECOND_MS);
  return wait_ms >= 0 ? wait_ms : parse_wait_date(response);
}

/* --- dates --- */

static int month_number(const char *name)
{
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;
  return at != NULL && (at - names) % 3 == 0 ? (int)(at - names) / 3 + 1 : 0;
}

/* Days since 1970 of a Gregorian date: a year that begins in March has its leap day last. */
static int64_t days_from_civil(int year, int month, int day)
{
  int64_t y = month > 2 ? year : year - 1;
  int64_t era = y / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

int64_t mde_http_date(const char *text)
{
  int year, day, hour, minute, second;
  char month[4];
  int end = 0; /* stays 0 if the text does not go on to the pattern's end */
  if (sscanf(text, "%*[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour,
             &minute, &second, &end) == 6 &&
      text[end] == '\0') {
    /* RFC 1123: Sun, 06 Nov 1994 08:49:37 GMT */
  } else if (sscanf(text, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, month, &year,
                    &hour, &minute, &second, &end) == 6 &&
             text[end] == '\0') {
    year += year < 70 ? 2000 : 1900; /* RFC 850: Sunday, 06-Nov-94 08:49:37 GMT */
  } else if (sscanf(text, "%*[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &day, &hour,
                    &minute, &second, &year, &end) != 6 ||
             text[end] != '\0') {
    return -1; /* asctime: Sun Nov  6 08:49:37 1994 */
  }
  int number = month_number(month);
  bool valid = number > 0 && year >= 1970 && day >= 1 && day <= 31 && hour >= 0 && hour <= 23 &&
               minute >= 0 && minute <= 59 && second >= 0 && second <= 60;
  if (!valid)
    return -1;
  return ((days_from_civil(year, number, day) * 24 + hour) * 60 + minute) * 60 + second;
}

/* --- the limit that a refusal names --- */

bool mde_response_limit(const mde_response *response, mde_window *limit)
{
  static const char words[] = "maximum allowed ";
  char text[LIMIT_SEARCH_BYTES + 1];
  size_t size = response->body.length;
  if (size > LIMIT_SEARCH_BYTES)
    size = LIMIT_SEARCH_BYTES;
  if (size > 0)
    memcpy(text, response->body.data, size);
  text[size] = '\0';
  const char *at = strstr(text, words);
  unsigned calls, hours, minutes, seconds;
  if (at == NULL ||
      sscanf(at + sizeof words - 1, "%7u per %3u:%2u:%2u", &calls, &hours, &minutes, &seconds) != 4)
    return false;
  limit->calls = calls;
  limit->length_ms = ((int64_t)hours * 3600 + minutes * 60 + seconds) * SECOND_MS;
  return calls > 0 && calls <= MDE_WINDOW_CALLS_MAX && limit->length_ms > 0 && hours <= 24 &&
         minutes < 60 && seconds < 60;
}

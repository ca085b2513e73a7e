/* The floor: what the same requests cost a bare C program on libcurl, written for them and nothing else.
 *
 *   floor sequential N            one easy handle, one request after the other
 *   floor multi N CONCURRENCY     curl_multi_perform and curl_multi_poll
 *   floor socket N CONCURRENCY    curl_multi_socket_action and a poll of our own
 *   floor page                    one page of alerts
 *   floor version                 of libcurl and what it is built with
 *
 * Bodies are collected in memory and thrown away; nothing is decoded, counted or tried again. It prints the number
 * of bytes, for the caller to compare: who has received less has not done the work; the milliseconds that the work took
 * without the start of the program; and the microseconds of CPU for each call after the first ones, which make the
 * connections. From the environment: BENCH_BASE (the address before
 * /api), BENCH_CA_FILE, BENCH_TOKEN, BENCH_HTTP (1.1 or 2; otherwise libcurl's choice). */
#include <curl/curl.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONCURRENCY_MAX = 1024, URL_MAX = 512 };

typedef struct transfer {
  CURL *easy;
  char *data;
  size_t length, capacity;
} transfer;

typedef struct work {
  long wanted, begun, done;
  size_t bytes;
  CURLM *multi;
  long timeout_ms;
  nfds_t watched;
  struct pollfd watch[CONCURRENCY_MAX];
  int running;
} work;

static const char *base, *ca_file, *http;
static clock_t warm_clock; /* when `warm_done` calls were done, and so the connections made */
static long warm_done = -1;
static struct curl_slist *headers;

static void fail(const char *what, const char *why)
{
  fprintf(stderr, "floor: %s: %s\n", what, why);
  exit(1);
}

static const char *environment(const char *name)
{
  const char *value = getenv(name);
  if (value == NULL)
    fail(name, "not set");
  return value;
}

static void check(CURLcode result)
{
  if (result != CURLE_OK)
    fail("libcurl", curl_easy_strerror(result));
}

static void check_multi(CURLMcode result)
{
  if (result != CURLM_OK)
    fail("libcurl", curl_multi_strerror(result));
}

static void warm(long done)
{
  if (warm_done >= 0)
    return;
  warm_clock = clock();
  warm_done = done;
}

static double now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double warm_us_per_call(long wanted)
{
  if (warm_done < 0 || wanted <= warm_done)
    return 0;
  return (double)(clock() - warm_clock) * 1e6 / CLOCKS_PER_SEC / (double)(wanted - warm_done);
}

/* --- one transfer --- */

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
  transfer *at = context;
  (void)one;
  if (at->length + length > at->capacity) {
    while (at->length + length > at->capacity)
      at->capacity = at->capacity > 0 ? at->capacity * 2 : 1024;
    at->data = realloc(at->data, at->capacity);
    if (at->data == NULL)
      fail("realloc", "no memory");
  }
  memcpy(at->data + at->length, bytes, length);
  at->length += length;
  return length;
}

/* The settings that the module has, too, as far as they change what is sent. */
static void set_up(transfer *at)
{
  at->easy = curl_easy_init();
  if (at->easy == NULL)
    fail("curl_easy_init", "no memory");
  curl_easy_setopt(at->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(at->easy, CURLOPT_PROXY, "");
  curl_easy_setopt(at->easy, CURLOPT_CAINFO, ca_file);
  curl_easy_setopt(at->easy, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(at->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(at->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(at->easy, CURLOPT_USERAGENT, "mde-lua/0.0.0");
  curl_easy_setopt(at->easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(at->easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(at->easy, CURLOPT_WRITEDATA, at);
  curl_easy_setopt(at->easy, CURLOPT_PRIVATE, at);
  if (strcmp(http, "1.1") == 0)
    curl_easy_setopt(at->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  if (strcmp(http, "2") == 0) {
    curl_easy_setopt(at->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(at->easy, CURLOPT_PIPEWAIT, 1L); /* one connection for all */
  }
}

static void address(transfer *at, long number)
{
  char url[URL_MAX];
  snprintf(url, sizeof url, "%s/api/alerts/da637472900382838869_%ld/ips", base, number);
  at->length = 0;
  check(curl_easy_setopt(at->easy, CURLOPT_URL, url));
}

static size_t finish(transfer *at)
{
  long status = 0;
  curl_easy_getinfo(at->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    fail("the server", "the answer is not 200");
  return at->length;
}

static void free_transfer(transfer *at)
{
  curl_easy_cleanup(at->easy);
  free(at->data);
}

/* --- one after the other --- */

static size_t run_sequential(long wanted)
{
  transfer at = {0};
  size_t bytes = 0;
  set_up(&at);
  for (long i = 1; i <= wanted; i++) {
    address(&at, i);
    check(curl_easy_perform(at.easy));
    bytes += finish(&at);
    warm(i);
  }
  free_transfer(&at);
  return bytes;
}

static size_t run_page(void)
{
  transfer at = {0};
  char url[URL_MAX];
  set_up(&at);
  snprintf(url, sizeof url, "%s/api/alerts", base);
  check(curl_easy_setopt(at.easy, CURLOPT_URL, url));
  check(curl_easy_perform(at.easy));
  size_t bytes = finish(&at);
  free_transfer(&at);
  return bytes;
}

/* --- many at once --- */

static void begin(work *all, transfer *at)
{
  address(at, ++all->begun);
  check_multi(curl_multi_add_handle(all->multi, at->easy));
}

/* Takes what has ended, and begins as many. */
static void take_finished(work *all)
{
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(all->multi, &left)) != NULL) {
    transfer *at = NULL;
    check(message->data.result);
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&at);
    curl_multi_remove_handle(all->multi, at->easy);
    all->bytes += finish(at);
    all->done++;
    if (all->begun < all->wanted)
      begin(all, at);
  }
}

static bool goes_on(const work *all, long concurrency)
{
  if (all->done >= 2 * concurrency)
    warm(all->done);
  return all->done < all->wanted;
}

static void run_poll(work *all, long concurrency)
{
  while (goes_on(all, concurrency)) {
    check_multi(curl_multi_perform(all->multi, &all->running));
    take_finished(all);
    if (all->done < all->wanted)
      check_multi(curl_multi_poll(all->multi, NULL, 0, 1000, NULL));
  }
}

/* What libcurl wants to be told of stands in one array, which poll takes as it is. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
  work *all = context;
  nfds_t at = 0;
  (void)easy, (void)known;
  while (at < all->watched && all->watch[at].fd != fd)
    at++;
  if (what == CURL_POLL_REMOVE) {
    if (at < all->watched)
      all->watch[at] = all->watch[--all->watched];
    return 0;
  }
  if (at == all->watched && all->watched++ == CONCURRENCY_MAX)
    fail("poll", "too many sockets");
  int in = what & CURL_POLL_IN ? POLLIN : 0;
  int out = what & CURL_POLL_OUT ? POLLOUT : 0;
  all->watch[at] = (struct pollfd){.fd = fd, .events = (short)(in | out)};
  return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
  work *all = context;
  (void)multi;
  all->timeout_ms = timeout_ms;
  return 0;
}

static void act(work *all, curl_socket_t fd, int events)
{
  check_multi(curl_multi_socket_action(all->multi, fd, events, &all->running));
}

static int events_of(const struct pollfd *at)
{
  int in = at->revents & (POLLIN | POLLHUP | POLLERR) ? CURL_CSELECT_IN : 0;
  return in | (at->revents & POLLOUT ? CURL_CSELECT_OUT : 0);
}

static void run_socket(work *all, long concurrency)
{
  struct pollfd ready[CONCURRENCY_MAX];
  while (goes_on(all, concurrency)) {
    int count = 0;
    if (all->timeout_ms != 0)
      count = poll(all->watch, all->watched, (int)all->timeout_ms);
    if (count == 0) {
      all->timeout_ms = -1; /* it has gone off; libcurl sets the next */
      act(all, CURL_SOCKET_TIMEOUT, 0);
    }
    nfds_t found = 0;
    for (nfds_t i = 0; count > 0 && i < all->watched; i++) {
      if (all->watch[i].revents != 0)
        ready[found++] = all->watch[i];
    }
    for (nfds_t i = 0; i < found; i++)
      act(all, ready[i].fd, events_of(&ready[i]));
    take_finished(all);
  }
}

static size_t run_multi(long wanted, long concurrency, bool by_socket)
{
  static transfer transfers[CONCURRENCY_MAX];
  work all = {.wanted = wanted, .timeout_ms = -1, .multi = curl_multi_init()};
  curl_multi_setopt(all.multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)CONCURRENCY_MAX);
  if (by_socket) {
    curl_multi_setopt(all.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(all.multi, CURLMOPT_SOCKETDATA, &all);
    curl_multi_setopt(all.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(all.multi, CURLMOPT_TIMERDATA, &all);
  }
  for (long i = 0; i < concurrency && i < wanted; i++) {
    set_up(&transfers[i]);
    begin(&all, &transfers[i]);
  }
  if (by_socket)
    run_socket(&all, concurrency);
  else
    run_poll(&all, concurrency);
  for (long i = 0; i < concurrency && i < wanted; i++)
    free_transfer(&transfers[i]);
  curl_multi_cleanup(all.multi);
  return all.bytes;
}

/* --- from the command line --- */

static long number_of(const char *text, long most)
{
  long number = strtol(text, NULL, 10);
  if (number < 1 || number > most)
    fail(text, "a number in range expected");
  return number;
}

static size_t run(int count, char **words, long wanted)
{
  const char *mode = count > 1 ? words[1] : "";
  if (count == 3 && strcmp(mode, "sequential") == 0)
    return run_sequential(wanted);
  if (count == 4 && (strcmp(mode, "multi") == 0 || strcmp(mode, "socket") == 0))
    return run_multi(wanted, number_of(words[3], CONCURRENCY_MAX), mode[0] == 's');
  if (count == 2 && strcmp(mode, "page") == 0)
    return run_page();
  fail("usage", "floor sequential N | multi N CONCURRENCY | socket N CONCURRENCY | page | version");
  return 0;
}

int main(int count, char **words)
{
  char authorization[8192];
  long wanted = count > 2 ? number_of(words[2], 100000000) : 1;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (count == 2 && strcmp(words[1], "version") == 0)
    return puts(curl_version()) < 0;
  base = environment("BENCH_BASE");
  ca_file = environment("BENCH_CA_FILE");
  http = getenv("BENCH_HTTP") != NULL ? getenv("BENCH_HTTP") : "";
  snprintf(authorization, sizeof authorization, "Authorization: Bearer %s",
           environment("BENCH_TOKEN"));
  headers = curl_slist_append(curl_slist_append(NULL, authorization), "Accept: application/json");
  double began_ms = now_ms();
  size_t bytes = run(count, words, wanted);
  printf("%zu %.1f %.2f\n", bytes, now_ms() - began_ms, warm_us_per_call(wanted));
  curl_slist_free_all(headers);
  curl_global_cleanup();
  return 0;
}

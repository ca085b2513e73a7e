#include "io/transport.h"

#include "core/buffer.h"
#include "core/credential.h"
#include "io/clock.h"
#include "io/fork_mark.h"
#include "io/sockets.h"
#include "io/watch.h"

#include <curl/curl.h>

#include <limits.h>
#ifdef __linux__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if LIBCURL_VERSION_NUM < 0x074c00
#error "mde needs libcurl 7.76.0 or newer"
#endif

struct mde_exchange {
  CURL *easy;
  mde_transport *transport;
  void *owner;
  mde_response *response;
  mde_buffer header; /* a copy: the credential may change while it is in flight */
  struct curl_slist headers[2];
  size_t head_bytes;
  const char *method; /* as set, like the next three */
  int64_t timeout_ms, connect_timeout_ms;
  bool direct, has_form;
  bool head_ended; /* libcurl takes an answer that stops within its head for a whole one */
  bool sent;
  bool orphaned;
  bool lost; /* orphaned by libcurl, not by a fork */
  bool too_large;
  bool no_memory;
  mde_exchange *next;  /* of the active, the idle or the orphaned ones */
  mde_exchange **link; /* what points to it, while it is active or orphaned */
  char error[CURL_ERROR_SIZE];
};

struct mde_transport {
  const mde_memory *memory;
  CURLM *multi;
  mde_exchange *active;
  mde_exchange *idle;   /* easy handles kept for the next requests */
  mde_exchange *orphan; /* cut off by a fork or by libcurl, still to be taken */
  mde_sockets sockets;
  mde_watch watch;
  int64_t lively_ms; /* when something was last asked, or has come, on any connection */
  int64_t timer_ms;  /* when libcurl wants to be called next; MDE_TIME_NEVER: only by a socket */
  mde_fork_mark mark;
  uint64_t connections;
  int in_flight, running; /* ours, and libcurl's: those that it is not through with */
  bool lost;              /* libcurl had no memory, and its multi handle is not to be trusted */
  long http_version;
  char accept[sizeof "Accept: application/json"]; /* libcurl's lists want writable text */
  mde_buffer ca_file, proxy, no_proxy, user_agent;
  char detail[CURL_ERROR_SIZE];
};

/* libcurl's own start, once for the process; tried again if there was no memory for it. It is never undone:
 * others may use libcurl, too. */
static pthread_mutex_t curl_starts = PTHREAD_MUTEX_INITIALIZER;
static bool curl_has_started;

/* libcurl's buffers have held the token and the secret: what it gives back is overwritten. Theirs and
 * the C library's blocks stay exchangeable. Where its memory is somebody else's already, it stays so. */
#ifdef __linux__
static void give_back(void *block)
{
  if (block == NULL)
    return;
  size_t size = malloc_usable_size(block);
  mde_wipe(block, size);
  mde_memory_resize(&mde_memory_system, block, size, 0);
}

/* realloc would leave the old bytes behind. */
static void *move(void *block, size_t size)
{
  size_t old_size = block != NULL ? malloc_usable_size(block) : 0;
  void *moved = mde_memory_resize(&mde_memory_system, NULL, 0, size);
  if (moved == NULL)
    return NULL;
  if (old_size > 0)
    memcpy(moved, block, old_size < size ? old_size : size);
  give_back(block);
  return moved;
}

static CURLcode init_curl(void)
{
  return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, give_back, move, strdup, calloc);
}
#else
static CURLcode init_curl(void)
{
  return curl_global_init(CURL_GLOBAL_DEFAULT);
}
#endif

static bool start_curl(void)
{
  pthread_mutex_lock(&curl_starts);
  bool started = curl_has_started || init_curl() == CURLE_OK;
  curl_has_started = started;
  pthread_mutex_unlock(&curl_starts);
  return started;
}

/* --- callbacks of libcurl: no Lua, nothing that waits --- */

static bool is_status_line(const char *line, size_t length)
{
  return length >= 5 && memcmp(line, "HTTP/", 5) == 0;
}

/* libcurl passes trailers on as well, without the empty line at their end. */
static bool is_trailer(const mde_exchange *exchange, const char *line, size_t length)
{
  return exchange->head_ended && !is_status_line(line, length);
}

static size_t on_header(char *line, size_t one, size_t length, void *context)
{
  mde_exchange *exchange = context;
  (void)one;
  exchange->head_bytes += length;
  if (exchange->head_bytes > MDE_HEAD_MAX) {
    exchange->too_large = true;
    return 0;
  }
  if (is_trailer(exchange, line, length))
    return length;
  exchange->head_ended = line[0] == '\r' || line[0] == '\n';
  mde_response_header(exchange->response, line, length);
  return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
  mde_exchange *exchange = context;
  (void)one;
  mde_status status = mde_buffer_append(&exchange->response->body, bytes, length);
  exchange->too_large = status == MDE_TOO_LARGE;
  exchange->no_memory = status == MDE_NO_MEMORY;
  return status == MDE_OK ? length : 0;
}

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *addr)
{
  mde_transport *transport = context;
  (void)purpose;
  int fd = mde_sockets_open(&transport->sockets, addr->family, addr->socktype, addr->protocol);
  mde_watch_forget(&transport->watch, fd); /* libcurl's resolver closes descriptors of its own */
  return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int on_close_socket(void *context, curl_socket_t fd)
{
  mde_transport *transport = context;
  mde_watch_forget(&transport->watch, fd);
  mde_sockets_close(&transport->sockets, fd);
  return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
  mde_transport *transport = context;
  (void)easy, (void)unused;
  unsigned in = what == CURL_POLL_IN || what == CURL_POLL_INOUT ? MDE_WATCH_READ : 0;
  unsigned out = what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? MDE_WATCH_WRITE : 0;
  return mde_watch_set(&transport->watch, fd, in | out) ? 0 : -1;
}

static int64_t steady_ms(void)
{
  static const mde_clock machine = {.by_hand = false};
  return mde_clock_now_ms(&machine);
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
  mde_transport *transport = context;
  (void)multi;
  transport->timer_ms = timeout_ms >= 0 ? steady_ms() + timeout_ms : MDE_TIME_NEVER;
  return 0;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* Called when the connection stands and the request is about to be written. A second time in one
 * attempt means that libcurl found the connection dead and would send the request again, unasked:
 * without a slot of the quota, and though a POST may have been taken already. */
static int on_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
  mde_exchange *exchange = context;
  (void)remote, (void)local, (void)remote_port, (void)local_port;
  if (exchange->sent)
    return CURL_PREREQFUNC_ABORT;
  exchange->sent = true;
  return CURL_PREREQFUNC_OK;
}
#endif

/* --- easy handles --- */

static const char *text_or_null(const mde_buffer *buffer)
{
  return buffer->length > 0 ? mde_buffer_text(buffer) : NULL;
}

/* libcurl copies strings, so setting one may fail for want of memory. */
static bool set_text(CURL *easy, CURLoption option, const char *text)
{
  return curl_easy_setopt(easy, option, text) == CURLE_OK;
}

static bool allow_http_only(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  return set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

static void set_callbacks(mde_exchange *exchange)
{
  CURL *easy = exchange->easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange->transport);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, exchange->transport);
#if LIBCURL_VERSION_NUM >= 0x075000
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
#else
  /* Only a kept connection can be found dead; without any, nothing is sent twice. */
  curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
#endif
}

static void set_safety(CURL *easy)
{
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* ids are escaped; nothing is to be normalised */
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* no token to a proxy */
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a slow resolver must not outlast a time-out */
#endif
}

static void set_version(CURL *easy, const mde_transport *transport)
{
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, transport->http_version);
  /* Over HTTP/2 a second request would rather share the first one's connection than open its own. */
  if (transport->http_version != CURL_HTTP_VERSION_1_1)
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
}

static bool set_strings(CURL *easy, const mde_transport *transport)
{
  bool ok = allow_http_only(easy);
  /* The service has answered "deflate" with bytes that no zlib takes: gzip only. */
  ok = ok && set_text(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  ok = ok && set_text(easy, CURLOPT_USERAGENT, mde_buffer_text(&transport->user_agent));
  /* Empty rather than unset: libcurl then does not look into the environment by itself. */
  ok = ok && set_text(easy, CURLOPT_PROXY, mde_buffer_text(&transport->proxy));
  ok = ok && set_text(easy, CURLOPT_NOPROXY, mde_buffer_text(&transport->no_proxy));
  const char *ca_file = text_or_null(&transport->ca_file);
  if (ca_file == NULL)
    return ok;
  ok = ok && set_text(easy, CURLOPT_CAINFO, ca_file) && set_text(easy, CURLOPT_CAPATH, NULL);
  /* The same authorities vouch for an https proxy; a libcurl without such proxies says so here. */
  (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, ca_file);
  (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
  return ok;
}

static void exchange_free(mde_exchange *exchange)
{
  if (exchange->easy != NULL)
    curl_easy_cleanup(exchange->easy);
  mde_buffer_free(&exchange->header);
  mde_memory_resize(exchange->transport->memory, exchange, sizeof *exchange, 0);
}

static mde_exchange *exchange_new(mde_transport *transport)
{
  mde_exchange *exchange = mde_memory_resize(transport->memory, NULL, 0, sizeof *exchange);
  if (exchange == NULL)
    return NULL;
  memset(exchange, 0, sizeof *exchange);
  exchange->transport = transport;
  mde_buffer_init_secret(&exchange->header, transport->memory, MDE_TOKEN_MAX + 64);
  exchange->easy = curl_easy_init();
  if (exchange->easy == NULL || !set_strings(exchange->easy, transport)) {
    exchange_free(exchange);
    return NULL;
  }
  set_callbacks(exchange);
  set_safety(exchange->easy);
  set_version(exchange->easy, transport);
  return exchange;
}

/* --- the transport --- */

/* As an option has it, and our name behind that of the user agent. */
enum { TEXT_MAX = 65536 + 64 };

static bool copy_text(mde_buffer *buffer, const mde_memory *memory, const char *text, bool secret)
{
  mde_buffer_init(buffer, memory, TEXT_MAX);
  buffer->secret = secret;
  return text == NULL || mde_buffer_append_text(buffer, text) == MDE_OK;
}

/* Left to itself, libcurl keeps four connections for each attempt that is under way at the moment: when
 * many end together, most of the connections go with them. */
enum { KEPT_CONNECTIONS = 1024 };

/* Of one HTTP/2 connection, if the server allows as many: libcurl's own limit is 100, and those that do
 * not fit open a connection each. */
enum { STREAMS_MAX = 1024 };

static void set_multi(mde_transport *transport)
{
  curl_multi_setopt(transport->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(transport->multi, CURLMOPT_SOCKETDATA, transport);
  curl_multi_setopt(transport->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(transport->multi, CURLMOPT_TIMERDATA, transport);
  curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
  curl_multi_setopt(transport->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MAX);
}

static bool open_multi(mde_transport *transport)
{
  int spare[MDE_SPARE_FDS];
  mde_fork_mark_set(&transport->mark);
  transport->timer_ms = MDE_TIME_NEVER;
  transport->running = 0;
  if (!mde_watch_open(&transport->watch, transport->memory))
    return false;
  mde_spare_fds(spare);
  transport->multi = curl_multi_init();
  mde_spare_fds_seal(spare); /* libcurl's wake-up pair */
  if (transport->multi == NULL)
    return false;
  set_multi(transport);
  return true;
}

static long version_of(mde_http_version version)
{
  switch (version) {
  case MDE_HTTP_1_1:
    return CURL_HTTP_VERSION_1_1;
  case MDE_HTTP_2:
    return CURL_HTTP_VERSION_2TLS;
  case MDE_HTTP_DEFAULT:
    break;
  }
  return CURL_HTTP_VERSION_1_1;
}

static bool transport_init(mde_transport *transport, const mde_transport_settings *settings)
{
  const mde_memory *memory = transport->memory;
  memcpy(transport->accept, "Accept: application/json", sizeof transport->accept);
  mde_sockets_init(&transport->sockets, memory);
  transport->watch = (mde_watch){.memory = memory, .epoll = -1};
  transport->http_version = version_of(settings->http_version);
  bool ok = copy_text(&transport->ca_file, memory, settings->ca_file, false);
  ok = copy_text(&transport->proxy, memory, settings->proxy, true) && ok; /* may hold a password */
  ok = copy_text(&transport->no_proxy, memory, settings->no_proxy, false) && ok;
  ok = copy_text(&transport->user_agent, memory, settings->user_agent, false) && ok;
  return open_multi(transport) && ok;
}

mde_transport *mde_transport_open(const mde_transport_settings *settings, const mde_memory *memory)
{
  if (!start_curl())
    return NULL;
  mde_transport *transport = mde_memory_resize(memory, NULL, 0, sizeof *transport);
  if (transport == NULL)
    return NULL;
  memset(transport, 0, sizeof *transport);
  transport->memory = memory;
  if (transport_init(transport, settings))
    return transport;
  mde_transport_close(transport);
  return NULL;
}

static void free_list(mde_exchange *exchange)
{
  while (exchange != NULL) {
    mde_exchange *next = exchange->next;
    exchange_free(exchange);
    exchange = next;
  }
}

static void close_multi(mde_transport *transport)
{
  for (mde_exchange *at = transport->active; at != NULL; at = at->next)
    curl_multi_remove_handle(transport->multi, at->easy);
  if (transport->multi != NULL)
    curl_multi_cleanup(transport->multi);
  transport->multi = NULL;
  mde_watch_close(&transport->watch);
}

void mde_transport_close(mde_transport *transport)
{
  if (transport == NULL)
    return;
  if (!mde_fork_mark_is_own(&transport->mark))
    mde_sockets_mute(&transport->sockets);
  close_multi(transport);
  mde_fork_mark_clear(&transport->mark);
  free_list(transport->active);
  free_list(transport->idle);
  free_list(transport->orphan);
  mde_sockets_free(&transport->sockets);
  mde_buffer_free(&transport->ca_file);
  mde_buffer_free(&transport->proxy);
  mde_buffer_free(&transport->no_proxy);
  mde_buffer_free(&transport->user_agent);
  mde_memory_resize(transport->memory, transport, sizeof *transport, 0);
}

static void put_in(mde_exchange **list, mde_exchange *exchange)
{
  exchange->next = *list;
  exchange->link = list;
  if (*list != NULL)
    (*list)->link = &exchange->next;
  *list = exchange;
}

static void take_out(mde_exchange *exchange)
{
  *exchange->link = exchange->next;
  if (exchange->next != NULL)
    exchange->next->link = exchange->link;
  exchange->next = NULL;
  exchange->link = NULL;
}

/* After a fork the connections are the parent's: anything said on them would disturb it. And what
 * libcurl had no memory to note it never calls for again, not even when its time is over; what it has noted
 * by half makes it crash. Either way another multi handle takes its place. */
static bool own_process(mde_transport *transport)
{
  bool own = mde_fork_mark_is_own(&transport->mark);
  if (own && transport->multi != NULL && !transport->lost)
    return true;
  if (!own)
    mde_sockets_mute(&transport->sockets);
  close_multi(transport);
  free_list(transport->idle);
  transport->idle = NULL;
  transport->in_flight = 0;
  while (transport->active != NULL) {
    mde_exchange *exchange = transport->active;
    take_out(exchange);
    put_in(&transport->orphan, exchange);
    exchange->orphaned = true;
    exchange->lost = own;
  }
  transport->lost = false;
  return open_multi(transport);
}

/* --- exchanges --- */

static bool has_header(const mde_exchange *exchange, const char *line, size_t length)
{
  const mde_buffer *kept = &exchange->header;
  return kept->length == length && memcmp(kept->data, line, length) == 0;
}

/* An exchange at rest keeps its header for the next request; not longer than its token is in use. */
static void forget_header(mde_exchange *exchange)
{
  curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, NULL);
  mde_buffer_reset(&exchange->header);
}

static void forget_others(mde_transport *transport, const char *line, size_t length)
{
  for (mde_exchange *at = transport->idle; at != NULL; at = at->next) {
    if (at->header.length > 0 && !has_header(at, line, length))
      forget_header(at);
  }
}

/* Our own list nodes, not curl_slist_append's: its copies of the token would not be wiped. */
static bool set_header_list(mde_exchange *exchange)
{
  struct curl_slist *first = &exchange->headers[exchange->header.length > 0 ? 0 : 1];
  exchange->headers[0].data = exchange->header.data;
  exchange->headers[0].next = &exchange->headers[1];
  exchange->headers[1].data = exchange->transport->accept;
  exchange->headers[1].next = NULL;
  return curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, first) == CURLE_OK;
}

static bool set_header(mde_exchange *exchange, const char *line)
{
  size_t length = strlen(line);
  if (length > 0 && has_header(exchange, line, length))
    return true;
  if (length > 0)
    forget_others(exchange->transport, line, length);
  mde_buffer_reset(&exchange->header);
  return mde_buffer_append(&exchange->header, line, length) == MDE_OK && set_header_list(exchange);
}

/* libcurl does not copy the form: it is its owner's, and is forgotten with the exchange. */
static void set_form(mde_exchange *exchange, mde_slice form)
{
  if (form.length == 0)
    return;
  curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE, (long)form.length);
  curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, form.data);
  exchange->has_form = true;
}

static void forget_form(mde_exchange *exchange)
{
  if (!exchange->has_form)
    return;
  curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, NULL);
  curl_easy_setopt(exchange->easy, CURLOPT_HTTPGET, 1L); /* which undoes the POST */
  exchange->method = NULL;
  exchange->has_form = false;
}

static bool set_direct(mde_exchange *exchange, bool direct)
{
  if (exchange->direct == direct)
    return true;
  const char *proxy = direct ? "" : mde_buffer_text(&exchange->transport->proxy);
  if (!set_text(exchange->easy, CURLOPT_PROXY, proxy))
    return false;
  exchange->direct = direct;
  return true;
}

static long as_long(int64_t milliseconds)
{
  return milliseconds < LONG_MAX ? (long)milliseconds : LONG_MAX;
}

static void set_milliseconds(CURL *easy, CURLoption option, int64_t milliseconds, int64_t *set)
{
  if (*set == milliseconds)
    return;
  curl_easy_setopt(easy, option, as_long(milliseconds));
  *set = milliseconds;
}

/* A constant of the operation's row: the same one need not be set again. */
static bool set_method(mde_exchange *exchange, const char *method)
{
  if (exchange->method == method)
    return true;
  exchange->method = NULL;
  if (!set_text(exchange->easy, CURLOPT_CUSTOMREQUEST, method))
    return false;
  exchange->method = method;
  return true;
}

static bool prepare(mde_exchange *exchange, const mde_request *request)
{
  CURL *easy = exchange->easy;
  exchange->response = request->response;
  exchange->head_bytes = 0;
  exchange->head_ended = exchange->sent = false;
  exchange->too_large = exchange->no_memory = false;
  exchange->error[0] = '\0';
  set_milliseconds(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms, &exchange->timeout_ms);
  set_milliseconds(easy, CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms,
                   &exchange->connect_timeout_ms);
  set_form(exchange, request->form);
  return set_text(easy, CURLOPT_URL, request->url) && set_method(exchange, request->method) &&
         set_direct(exchange, request->direct) && set_header(exchange, request->header);
}

static void retire(mde_exchange *exchange)
{
  mde_transport *transport = exchange->transport;
  forget_form(exchange);
  exchange->orphaned = false;
  exchange->owner = NULL;
  exchange->response = NULL;
  exchange->next = transport->idle;
  transport->idle = exchange;
}

static mde_exchange *take_idle(mde_transport *transport)
{
  mde_exchange *exchange = transport->idle;
  if (exchange == NULL)
    return exchange_new(transport);
  transport->idle = exchange->next;
  return exchange;
}

/* Nobody waits for a connection at rest. What comes on it then, bytes or the end of TLS, was not asked
 * for, and must not pass for the next answer; but libcurl 7.88 would use it all the same. Over HTTP/2
 * the other side may speak at any time. */
static void end_unclean(mde_transport *transport)
{
  const mde_sockets *sockets = &transport->sockets;
  if (transport->http_version != CURL_HTTP_VERSION_1_1)
    return;
  for (size_t i = 0; i < sockets->count; i++) {
    if (!mde_watch_wants(&transport->watch, sockets->fds[i]))
      mde_socket_end_unclean(sockets->fds[i]);
  }
}

mde_exchange *mde_transport_start(mde_transport *transport, const mde_request *request, void *owner)
{
  mde_exchange *exchange = own_process(transport) ? take_idle(transport) : NULL;
  if (exchange == NULL)
    return NULL;
  exchange->owner = owner;
  end_unclean(transport);
  if (!prepare(exchange, request) ||
      curl_multi_add_handle(transport->multi, exchange->easy) != CURLM_OK) {
    retire(exchange);
    return NULL;
  }
  put_in(&transport->active, exchange);
  transport->lively_ms = steady_ms();
  transport->in_flight++;
  transport->running++;
  return exchange;
}

static void take_off_the_wire(mde_exchange *exchange)
{
  mde_transport *transport = exchange->transport;
  curl_multi_remove_handle(transport->multi, exchange->easy);
  transport->in_flight -= !exchange->orphaned;
  take_out(exchange);
}

static bool was_sent(const mde_exchange *exchange)
{
#if LIBCURL_VERSION_NUM >= 0x075000
  return exchange->sent;
#else
  curl_off_t ready_us = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
  return exchange->sent || ready_us > 0;
#endif
}

static void count_connections(const mde_exchange *exchange)
{
  long connections = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &connections);
  exchange->transport->connections += (uint64_t)connections;
}

bool mde_transport_cancel(mde_transport *transport, mde_exchange *exchange)
{
  own_process(transport); /* or it is an orphan, which ends likewise */
  bool sent = was_sent(exchange);
  if (sent) /* before, the number may be that of the attempt before it */
    count_connections(exchange);
  take_off_the_wire(exchange);
  retire(exchange);
  return sent;
}

static void act(mde_transport *transport, curl_socket_t fd, unsigned events)
{
  int in = (events & MDE_WATCH_READ) != 0 ? CURL_CSELECT_IN : 0;
  int out = (events & MDE_WATCH_WRITE) != 0 ? CURL_CSELECT_OUT : 0;
  if (in != 0)
    transport->lively_ms = steady_ms();
  if (!transport->lost)
    transport->lost =
        curl_multi_socket_action(transport->multi, fd, in | out, &transport->running) != CURLM_OK;
}

static void heed_timer(mde_transport *transport)
{
  if (transport->timer_ms > steady_ms())
    return;
  transport->timer_ms = MDE_TIME_NEVER; /* before: libcurl sets it anew */
  act(transport, CURL_SOCKET_TIMEOUT, 0);
}

void mde_transport_kick(mde_transport *transport)
{
  if (own_process(transport) && transport->orphan == NULL)
    heed_timer(transport);
}

static int within_int(int64_t wait_ms)
{
  return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

/* Who does not want to wait has something else to do: what is ready then is served the next time. A TLS
 * handshake is about a millisecond's work, and there may be many at once. */
enum { UNWAITED_RUN_MS = 2 };

void mde_transport_run(mde_transport *transport, int64_t wait_ms)
{
  mde_ready ready[MDE_WATCH_READY_MAX];
  int64_t end_ms = wait_ms > 0 ? MDE_TIME_NEVER : steady_ms() + UNWAITED_RUN_MS;
  if (!own_process(transport) || transport->orphan != NULL)
    return;
  heed_timer(transport);
  int64_t due_ms = mde_transport_due_ms(transport);
  int count =
      mde_watch_wait(&transport->watch, within_int(due_ms < wait_ms ? due_ms : wait_ms), ready);
  for (int i = 0; i < count && (i == 0 || steady_ms() < end_ms); i++)
    act(transport, ready[i].fd, ready[i].events);
  heed_timer(transport);
}

int64_t mde_transport_due_ms(const mde_transport *transport)
{
  if (transport->orphan != NULL || transport->lost || transport->running < transport->in_flight)
    return 0;
  if (transport->timer_ms == MDE_TIME_NEVER)
    return MDE_TIME_NEVER;
  int64_t due_ms = transport->timer_ms - steady_ms();
  return due_ms > 0 ? due_ms : 0;
}

bool mde_transport_ready(mde_transport *transport)
{
  mde_ready ready[MDE_WATCH_READY_MAX];
  return !own_process(transport) || mde_transport_due_ms(transport) == 0 ||
         mde_watch_wait(&transport->watch, 0, ready) > 0;
}

size_t mde_transport_watched(mde_transport *transport, mde_ready *list, size_t most)
{
  return own_process(transport) ? mde_watch_list(&transport->watch, list, most) : 0;
}

/* --- outcomes --- */

static mde_outcome_kind kind_of_aborted(const mde_exchange *exchange)
{
  if (exchange->too_large)
    return MDE_OUTCOME_TOO_LARGE;
  return exchange->no_memory ? MDE_OUTCOME_NO_MEMORY : MDE_OUTCOME_BROKEN;
}

/* OpenSSL reports a connection that broke during the handshake in the same code as a handshake that
 * was refused; only the words differ. */
static mde_outcome_kind kind_of_handshake(const mde_exchange *exchange)
{
  bool cut = strstr(exchange->error, "SSL_ERROR_SYSCALL") != NULL ||
             strstr(exchange->error, "SSL_ERROR_ZERO_RETURN") != NULL || /* a goodbye */
             strstr(exchange->error, "unexpected eof") != NULL ||
             strstr(exchange->error, "reset by peer") != NULL;
  return cut ? MDE_OUTCOME_UNREACHABLE : MDE_OUTCOME_TLS;
}

/* Older versions of libcurl say of a header line that is too long that there is not enough memory; and
 * nobody but us may claim that. */
static bool in_head(const mde_exchange *exchange)
{
  return exchange->sent && !exchange->head_ended;
}

/* In TLS 1.3 the client is through with the handshake before the server looks at its certificate. */
static mde_outcome_kind kind_of_broken(const mde_exchange *exchange)
{
  if (strstr(exchange->error, "alert certificate required") != NULL)
    return MDE_OUTCOME_TLS;
  return exchange->sent ? MDE_OUTCOME_BROKEN : MDE_OUTCOME_UNREACHABLE;
}

static mde_outcome_kind kind_of_result(const mde_exchange *exchange, CURLcode result)
{
  switch (result) {
  case CURLE_BAD_CONTENT_ENCODING: /* whole, but for a body that cannot be unpacked */
  case CURLE_OK:
    return exchange->head_ended ? MDE_OUTCOME_ANSWER : MDE_OUTCOME_BROKEN;
  case CURLE_OPERATION_TIMEDOUT:
    return MDE_OUTCOME_TIMEOUT;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_COULDNT_CONNECT:
    return MDE_OUTCOME_UNREACHABLE;
  case CURLE_WRITE_ERROR:
    return kind_of_aborted(exchange);
  case CURLE_SSL_CONNECT_ERROR:
    return kind_of_handshake(exchange);
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CRL_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_ENGINE_INITFAILED:
    return MDE_OUTCOME_TLS;
#if LIBCURL_VERSION_NUM >= 0x080600
  case CURLE_TOO_LARGE:
    return MDE_OUTCOME_TOO_LARGE;
#endif
  case CURLE_OUT_OF_MEMORY:
    return in_head(exchange) ? MDE_OUTCOME_TOO_LARGE : MDE_OUTCOME_NO_MEMORY;
  default:
    return kind_of_broken(exchange);
  }
}

/* libcurl shows a proxy's address that it cannot use as it was given, password and all. */
static bool shows_proxy(const mde_transport *transport, const char *words)
{
  const char *proxy = text_or_null(&transport->proxy);
  return strstr(words, "Unsupported proxy") != NULL ||
         (proxy != NULL && strstr(words, proxy) != NULL && strchr(proxy, '@') != NULL);
}

static void describe(mde_transport *transport, const mde_exchange *exchange, CURLcode result)
{
  const char *words = exchange->error;
  if (words[0] == '\0')
    words = result == CURLE_OK ? "the answer ended within its head" : curl_easy_strerror(result);
  if (result == CURLE_ABORTED_BY_CALLBACK)
    words = "the kept connection was closed by the other side";
  bool head = in_head(exchange) || exchange->head_bytes > MDE_HEAD_MAX;
  /* libcurl's words would be about our callback */
  if (exchange->too_large || result == CURLE_OUT_OF_MEMORY)
    words = head ? "its head is too long" : "";
  if (shows_proxy(transport, words))
    words = "the address of the proxy is not one that can be used";
  size_t length = strlen(words);
  if (length >= sizeof transport->detail)
    length = sizeof transport->detail - 1;
  memcpy(transport->detail, words, length);
  transport->detail[length] = '\0';
}

/* After a time-out libcurl keeps a connection of HTTP/2 for its other streams. One that has died without a
 * word would take every later request with it. But what was asked just now may still be answered. */
static void end_silent(mde_exchange *exchange)
{
  mde_transport *transport = exchange->transport;
  if (steady_ms() - transport->lively_ms >= exchange->timeout_ms / 2)
    mde_sockets_end(&transport->sockets);
}

static void finish(mde_exchange *exchange, CURLcode result, mde_finished *finished)
{
  mde_transport *transport = exchange->transport;
  long status = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
  count_connections(exchange);
  exchange->response->status = (int)status;
  if (result == CURLE_BAD_CONTENT_ENCODING)
    mde_buffer_reset(&exchange->response->body); /* half of it must not pass for all */
  if (result == CURLE_OPERATION_TIMEDOUT && transport->http_version != CURL_HTTP_VERSION_1_1)
    end_silent(exchange);
  describe(transport, exchange, result);
  finished->owner = exchange->owner;
  finished->outcome =
      (mde_outcome){.kind = kind_of_result(exchange, result), .sent = was_sent(exchange)};
  if (finished->outcome.kind != MDE_OUTCOME_ANSWER)
    finished->outcome.detail = transport->detail;
}

static bool take_orphan(mde_transport *transport, mde_finished *finished)
{
  mde_exchange *exchange = transport->orphan;
  if (exchange == NULL)
    return false;
  finished->owner = exchange->owner;
  finished->outcome = (mde_outcome){.kind = MDE_OUTCOME_CANCELLED,
                                    .sent = exchange->sent,
                                    .detail = "it belongs to the process that has forked"};
  if (exchange->lost)
    finished->outcome = (mde_outcome){.kind = MDE_OUTCOME_NO_MEMORY, .sent = was_sent(exchange)};
  take_out(exchange);
  exchange_free(exchange);
  return true;
}

bool mde_transport_take(mde_transport *transport, mde_finished *finished)
{
  CURLMsg *message;
  int left = 0;
  bool ready = own_process(transport);
  if (take_orphan(transport, finished))
    return true;
  if (!ready)
    return false;
  do {
    message = curl_multi_info_read(transport->multi, &left);
  } while (message != NULL && message->msg != CURLMSG_DONE);
  if (message == NULL)
    return false;
  CURLcode result = message->data.result;
  mde_exchange *exchange = NULL;
  curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
  take_off_the_wire(exchange);
  finish(exchange, result, finished);
  retire(exchange);
  return true;
}

uint64_t mde_transport_connections(const mde_transport *transport)
{
  return transport->connections;
}

/* HTTP by libcurl, and the only file of this project that knows it.
 *
 *   mde_transport *transport = mde_transport_open(&settings, memory);         returns owned
 *   mde_exchange *exchange = mde_transport_start(transport, &request, owner);
 *   mde_transport_run(transport, 100);                      moves bytes; waits up to 100 ms for some
 *   while (mde_transport_take(transport, &finished)) ...    finished.owner, finished.outcome
 *   mde_transport_close(transport);                         takes
 *
 * An attempt is one request: redirects are not followed, and libcurl's own re-sending of a request on
 * a fresh connection is refused, so that each request has a quota slot of its own. In a forked child
 * the transport makes itself new connections and lets go of the parent's without touching them. It
 * does not retry, and knows nothing of quotas, tokens' lives or JSON. */
#ifndef MDE_IO_TRANSPORT_H
#define MDE_IO_TRANSPORT_H

#include "core/memory.h"
#include "core/request.h"
#include "io/watch.h"

enum { MDE_HEAD_MAX = 262144 }; /* bytes of one answer's head */

typedef enum mde_http_version { MDE_HTTP_DEFAULT, MDE_HTTP_1_1, MDE_HTTP_2 } mde_http_version;

typedef struct mde_transport_settings {
  const char *ca_file;  /* NULL: libcurl's own */
  const char *proxy;    /* NULL: none */
  const char *no_proxy; /* NULL: none */
  const char *user_agent;
  mde_http_version http_version;
} mde_transport_settings; /* borrowed only while opening */

typedef struct mde_transport mde_transport;
typedef struct mde_exchange mde_exchange;

typedef struct mde_finished {
  void *owner; /* as given at the start */
  mde_outcome outcome;
} mde_finished;

/* NULL: no memory (or a libcurl that cannot do TLS or be started). */
mde_transport *mde_transport_open(const mde_transport_settings *settings, const mde_memory *memory);
void mde_transport_close(mde_transport *transport);

/* Borrows the request's texts only now; its form and response until the exchange is taken or cancelled.
 * NULL: no memory. */
mde_exchange *mde_transport_start(mde_transport *transport, const mde_request *request,
                                  void *owner);

/* Takes an exchange off the wire; its owner hears nothing more. Returns whether it may have been
 * sent. */
bool mde_transport_cancel(mde_transport *transport, mde_exchange *exchange);

/* Puts on the wire what was started, without a look at what has come. */
void mde_transport_kick(mde_transport *transport);

/* Moves bytes; waits for them at most so long. */
void mde_transport_run(mde_transport *transport, int64_t wait_ms);

/* Would mde_transport_run have something to move now? A look, and nothing else. */
bool mde_transport_ready(mde_transport *transport);

/* For somebody else's loop: when to call mde_transport_run at the latest (MDE_TIME_NEVER: only when a
 * descriptor is ready), and which descriptors to wait for. */
int64_t mde_transport_due_ms(const mde_transport *transport);
size_t mde_transport_watched(mde_transport *transport, mde_ready *list, size_t most);

/* One exchange that has come to its end, if there is one. Its `detail` is good until the next call
 * of any of these functions. */
bool mde_transport_take(mde_transport *transport, mde_finished *finished);

/* Connections made so far. */
uint64_t mde_transport_connections(const mde_transport *transport);

#endif

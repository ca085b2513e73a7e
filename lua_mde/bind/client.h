/* The client: what one `mde.client{...}` owns. Methods are in client.c, running calls in driver.c.
 *
 * The userdata is zeroed before it gets its metatable, and every field may be freed when zero, so a
 * collection at any moment of its making finds nothing that it cannot clean up. Its user value holds
 * the Lua values that belong to it, under the names below. */
#ifndef MDE_BIND_CLIENT_H
#define MDE_BIND_CLIENT_H

#include "bind/quota.h"
#include "bind/source.h"
#include "core/call.h"
#include "io/clock.h"
#include "io/transport.h"

#define CLIENT_CLASS "mde.client"

enum { CONCURRENCY_MAX = 1000 };

/* The largest `max_body`. */
#define MAX_BODY_MAX ((double)(SIZE_MAX / 4 < ((size_t)1 << 40) ? SIZE_MAX / 4 : ((size_t)1 << 40)))

/* Fields of the user value. */
#define CLIENT_TOKEN "token"           /* the token function */
#define CLIENT_ON_EVENT "on_event"     /* the event function */
#define CLIENT_BASE_URL "base_url"     /* its text */
#define CLIENT_QUOTA "quota"           /* the quota, ours or a script's */
#define CLIENT_OWN_CALL "own_call"     /* of its blocking methods, one after the other */
#define CLIENT_TOKEN_CALL "token_call" /* of its fetches of tokens, likewise */
#define CLIENT_CALLS "calls"           /* weak: light userdata -> call userdata */
#define CLIENT_SCRIPT "script"         /* mde.testing's answering function */
#define CLIENT_CLOCK "clock"           /* mde.testing's clock */

struct Call;

/* Calls in the order in which they came; each takes itself out. */
typedef struct CallList {
  struct Call *first, **end;
  uint32_t count;
} CallList;

typedef struct client_stats {
  uint64_t calls, attempts, retries, throttled, errors, tokens, pages, bytes;
  int64_t waited_ms;
} client_stats;

typedef struct Client {
  bool open;
  bool busy;        /* its driver is running, perhaps inside a callback of the script's */
  bool close_asked; /* by such a callback: done as soon as the driver may */
  bool scripted;    /* answers come from mde.testing, not from a network */
  bool has_events;
  bool hosted;       /* its token function is called by somebody else: see hosted.h */
  bool token_wanted; /* of that one, */
  bool token_asked;  /* who has been told */
  mde_base_url base; /* borrows from the user value's string */
  mde_call_limits limits;
  uint32_t concurrency, in_flight;
  mde_credential credential;
  TokenSource source; /* of its tokens */
  Quota *quota;       /* in the user value; NULL: a script's */
  mde_transport *transport;
  mde_clock *clock; /* own_clock, or mde.testing's, which the user value keeps alive */
  mde_clock own_clock;
  uint64_t random_state;
  double fixed_jitter;        /* of mde.testing; negative: the dice */
  CallList queued;            /* not begun: they wait for one of the places in flight */
  int64_t queued_deadline_ms; /* none of theirs is earlier */
  CallList active;            /* not finished, and not on the wire */
  CallList flying;            /* on the wire */
  struct Call *cursor;        /* of the active ones: whose turn is next */
  struct Call *token_call;    /* active or on the wire; NULL: no token is being fetched from afar */
  struct Call *turn;          /* whose turn it is */
  struct Call
      *handled; /* by the driver: if a callback cancels it, that waits until the driver may */
  uint32_t unfinished;
  client_stats stats;
} Client;

/* `mde.client(options)`. */
int client_new(lua_State *L);

/* Makes a client from the options at `argument`, and leaves its userdata on top. With a clock of
 * mde.testing it gets no transport; its script is then set, and the clock kept alive, by the caller. */
Client *client_create(lua_State *L, int argument, mde_clock *clock);

/* Registers the class: a method for each operation of the table, and the others. */
void client_register(lua_State *L);

/* Lets go of everything; may be called twice. Calls that are not finished end as closed. */
void client_close(Client *client);

/* The client at 1, which must not be in the middle of something. */
Client *client_check_idle(lua_State *L);
/* nil and an error of kind "closed". */
int client_push_closed(lua_State *L, const char *operation);

int64_t client_now_ms(const Client *client);

#endif

/* The call userdata: the core's state machine with what it has under way, linked into its client.
 *
 * The client's list holds plain pointers, and the userdata unlinks itself when it is collected or
 * its client is closed. Its user value is { client userdata, result, slot }. */
#ifndef MDE_BIND_CALL_H
#define MDE_BIND_CALL_H

#include "bind/client.h"

#define CALL_CLASS "mde.call"

/* Of the user value: the slot is one of a script's quota, the queue is told when the call ends. */
enum { CALL_CLIENT = 1, CALL_RESULT = 2, CALL_SLOT = 3, CALL_ERROR = 4, CALL_QUEUE = 5 };

typedef struct Call {
  mde_call core;
  Client *client; /* NULL once detached */
  struct Call *next, **link;
  CallList *list;         /* of the client, that it is in */
  bool serves_again;      /* no script sees it, and its memory is for the next one */
  bool stepped;           /* as far as it goes by itself: something else must move */
  bool awaits_slot;       /* of a quota that is all in flight */
  bool cancel_asked;      /* by a callback while the driver handles it */
  mde_exchange *exchange; /* on the wire */
  bool has_slot;          /* of the operation's quota */
  mde_file_slot slot;     /* which one, if processes share it */
  int64_t sent_ms;
  int64_t
      token_since_ms; /* since when it waits for a token that is being fetched; 0: it does not */
  /* Without a network: when the scripted outcome arrives, and what it is. */
  int64_t scripted_ms;
  mde_outcome scripted;
} Call;

/* What is to be called for. Slices are borrowed until the call has been made. */
typedef struct call_order {
  const mde_operation *operation;
  mde_slice segments[MDE_ARGUMENTS_MAX];
  mde_call_limits limits;
  mde_query query;
} call_order;

/* Pushes a new call of the client at `client_index`, linked and ready to be driven. Raises for memory,
 * and for an address that is too long; so do the next two. */
Call *call_push(lua_State *L, int client_index, const call_order *order);

/* Makes a call the next one. It must serve again, and its outcome must have been forgotten. */
void call_restart(lua_State *L, Call *call, Client *client, const call_order *order);

/* Pushes the client's own, of the blocking methods: made once, and restarted for each. */
Call *call_push_own(lua_State *L, int client_index, const call_order *order);

/* Pushes the client's own that fetches a token, and sets it off. There must be none under way. */
void call_push_for_token(lua_State *L, int client_index, const mde_operation *operation,
                         const mde_call_limits *limits);

/* Does it fetch a token, and not belong to any script? */
bool call_is_login(const Call *call);

/* Lets go of what came of a call: for one that serves again, when it has been handed out. */
void call_forget(lua_State *L, int call_index);

/* Gives its memory back, unless it is to be used again. */
void call_give_back(Call *call);

/* Moves it between its client's lists, behind all others. */
void call_move(Call *call, CallList *list);

/* Ends it before its time: off the wire, failed, detached. */
void call_end(Call *call, mde_error_kind kind, mde_failure_reason reason);

/* Takes it off the wire and lets its client forget it. May be called twice. */
void call_detach(Call *call);

/* Pushes the finished call's value, or nil and its error: always the same ones. */
int call_push_outcome(lua_State *L, int call_index);

void call_register(lua_State *L);

#endif

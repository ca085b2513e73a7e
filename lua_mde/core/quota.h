/* A sliding-window quota: may one more request be sent now, and if not, when?
 *
 *   mde_quota_reserve(&quota, now_ms)     before a request is sent: takes a slot
 *   ... the request travels, is counted by the service at some moment, is answered ...
 *   mde_quota_settle(&quota, MDE_SLOT_ANSWERED, now_ms)
 *
 * Example: 2 calls in 10 s. Sent at 0 s and 1 s, answered at 4 s and 5 s. The service may have
 * counted them as late as 4 s and 5 s, so the next is allowed at 14 s, not at 10 s:
 *
 *       0    4    5                 14
 *   ----|====|----|-----------------|--->     a slot is taken before sending, never expires in
 *         |=======|                           flight, and is free a window (and a margin) after
 *         1                                   the answer.
 *
 * So in no interval of a window's length, wherever it starts, do more than its calls reach the
 * service. Proof: of n+1 requests counted within w, look at the one reserved last, at time r. The n
 * others are still in flight at r, or were settled after they were counted, so less than w before r:
 * either way they hold all n slots, and the reservation is refused.
 *
 * Time is passed in, in milliseconds of a clock that never goes back. It does not wait, queue or
 * spread: all of a burst may be used at once. */
#ifndef MDE_CORE_QUOTA_H
#define MDE_CORE_QUOTA_H

#include "core/buffer.h"
#include "core/instant.h"
#include "core/pace.h"
#include "core/window.h"

enum {
  /* A request given up on may still be under way: it counts as if answered this much later. */
  MDE_QUOTA_LINGER_MS = 5000,
  /* A slot that was not used by then is given back: who was stopped that long might be too late. */
  MDE_QUOTA_FRESH_MS = 1000
};

typedef struct mde_quota {
  mde_windows windows;
  const mde_memory *memory; /* borrows */
  int64_t *stamps;          /* a ring of the latest settlements, oldest first from `next` on */
  uint32_t size;            /* of the ring; grows up to the largest window's calls */
  uint32_t count;
  uint32_t next;
  uint32_t in_flight;
  int64_t closed_until_ms; /* by the service's Retry-After */
  mde_pace pace;           /* bursts, unless set */
  int64_t next_us;         /* of a smooth pace */
} mde_quota;

typedef enum mde_slot_end {
  MDE_SLOT_UNSENT,   /* never left the machine: given back */
  MDE_SLOT_ANSWERED, /* the service counted it at the latest now */
  MDE_SLOT_ABANDONED /* sent, and nobody waits for the answer any more */
} mde_slot_end;

typedef struct mde_quota_answer {
  mde_status status; /* MDE_NO_MEMORY: nothing was decided */
  bool granted;
  bool closed;     /* refused because of a Retry-After */
  int64_t wait_ms; /* until it is worth asking again; MDE_WAIT_UNKNOWN: until a slot is settled */
  const char
      *trouble; /* why the quota cannot decide; NULL: it can. Borrowed until it is asked again */
} mde_quota_answer;

/* What an answer of the service teaches. */
typedef struct mde_lesson {
  int64_t close_for_ms; /* its Retry-After; 0: nothing */
  mde_window limit;     /* that it named; calls 0: none */
} mde_lesson;

void mde_quota_init(mde_quota *quota, const mde_memory *memory, const mde_windows *windows);
void mde_quota_free(mde_quota *quota);

mde_quota_answer mde_quota_reserve(mde_quota *quota, int64_t now_ms);
/* What a reservation would be told, without making one. */
mde_quota_answer mde_quota_ask(const mde_quota *quota, int64_t now_ms);
void mde_quota_settle(mde_quota *quota, mde_slot_end end, int64_t now_ms);

/* A Retry-After closes the quota: never for shorter than an earlier one. For a limit see
 * mde_windows_lower. */
void mde_quota_learn(mde_quota *quota, const mde_lesson *lesson, int64_t now_ms);

/* How many calls count in that window now, those in flight included. */
uint32_t mde_quota_used(const mde_quota *quota, const mde_window *window, int64_t now_ms);

#endif

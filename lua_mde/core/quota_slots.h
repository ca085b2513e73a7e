/* The slots of one operation, in memory that processes share.
 *
 *   mde_slots_fewer(&slots, 100, now_ms - held_ms + 1, first)    do fewer than 100 calls count?
 *   mde_slots_claim(&slots, &claim, &slot)
 *   mde_slots_move(&slots, &slot, now_ms)
 *
 * A slot counts "since" a moment if its own is not before it. Each block of slots has a bound: none
 * of its moments is later. It is raised before a slot is, so that whole blocks can be passed over.
 *
 * A word with a wrong check is a damaged one. It counts, and becomes a call of this moment: it is never
 * a free slot.
 * What a call may do is decided elsewhere; here words are counted and changed, each as a whole. */
#ifndef MDE_CORE_QUOTA_SLOTS_H
#define MDE_CORE_QUOTA_SLOTS_H

#include "core/quota_slot.h"

#include <stdatomic.h>
#include <stddef.h>

enum { MDE_SLOTS_BLOCK = 64, MDE_SLOT_HOLDERS = 256 /* 0: settled */ };

typedef _Atomic uint64_t mde_word;

typedef struct mde_slots {
  mde_word *bounds;  /* borrows; the words are behind them */
  uint32_t capacity; /* a multiple of MDE_SLOTS_BLOCK */
  uint64_t salt;
} mde_slots;

typedef struct mde_slot {
  uint32_t index;
  uint64_t word; /* what the claim wrote there */
} mde_slot;

typedef struct mde_claim {
  int64_t since_ms, now_ms;
  int64_t stamp_ms; /* the lease's end */
  uint8_t holder;
  uint32_t first;
} mde_claim;

uint32_t mde_slots_capacity(uint32_t calls); /* at least so many */
size_t mde_slots_bytes(uint32_t capacity);

void mde_slots_clear(const mde_slots *slots); /* before anybody shares them */
/* Finds and mends what is damaged, and moments that cannot be: in flight after `latest_ms`. */
void mde_slots_heal(const mde_slots *slots, int64_t now_ms, int64_t latest_ms);
/* Every slot before `since_ms` becomes a call of this moment. */
void mde_slots_fill(const mde_slots *slots, int64_t since_ms, int64_t now_ms);
/* The latest settled call's; MDE_SLOT_NEVER_MS without one. */
int64_t mde_slots_newest_ms(const mde_slots *slots);
/* Takes over what `from` counts, each call earlier by so much, and none later than `latest_ms`. What
 * is in flight there becomes a call at the end of its lease. */
void mde_slots_copy(const mde_slots *slots, const mde_slots *from, int64_t earlier_ms,
                    int64_t latest_ms);

/* `first` is where the oldest ones are likely to be. */
bool mde_slots_fewer(const mde_slots *slots, uint32_t calls, int64_t since_ms, uint32_t first);
uint32_t mde_slots_count(const mde_slots *slots, int64_t since_ms);
/* As above, but what is in flight counts as settled at `now_ms` at the latest: an answer may come. */
uint32_t mde_slots_count_answered(const mde_slots *slots, int64_t since_ms, int64_t now_ms);

/* Takes a slot that has not counted since then. False: there was none, or somebody was faster. */
bool mde_slots_claim(const mde_slots *slots, const mde_claim *claim, mde_slot *slot);
/* Settles it at that moment, if it is still the one that was claimed. */
void mde_slots_move(const mde_slots *slots, const mde_slot *slot, int64_t stamp_ms);

/* Adds what each holder has in flight. */
void mde_slots_in_flight(const mde_slots *slots, int64_t now_ms, uint32_t counts[MDE_SLOT_HOLDERS]);

#endif

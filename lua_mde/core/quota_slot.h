/* A slot of a quota that processes share: one word, so that it changes as a whole.
 *
 *   uint64_t word = mde_slot_make(now_ms + lease_ms, holder, salt);
 *   word < mde_slot_since(now_ms - held_ms + 1)        it does not count any more
 *
 *   63           24 23      16 15       0
 *   | moment, ms   | holder  | check    |     in flight: the end of the lease, and who holds it
 *                                             settled: the moment of the answer, and nobody
 *
 * The moment is on top, so that words compare as their moments do. No word that is all zero, and
 * hardly any that is garbage, passes the check. The salt differs from slot to slot. */
#ifndef MDE_CORE_QUOTA_SLOT_H
#define MDE_CORE_QUOTA_SLOT_H

#include <stdbool.h>
#include <stdint.h>

/* The moment of a slot that was never used; real ones are at least a year later. */
#define MDE_SLOT_NEVER_MS (-(INT64_C(1) << 38))
#define MDE_SLOT_LATEST_MS (INT64_C(1) << 39)

/* `stamp_ms` within 8 years of the clock's zero. */
uint64_t mde_slot_make(int64_t stamp_ms, uint8_t holder, uint64_t salt);

/* Inline: asked of hundreds of words for each decision. */

/* The low bit is always set: no zero passes. */
static inline uint64_t mde_slot_check(uint64_t word, uint64_t salt)
{
  uint64_t mixed = ((word >> 16) ^ salt) * UINT64_C(0x9e3779b97f4a7c15);
  return ((mixed >> 40) & 0xffff) | 1;
}

static inline bool mde_slot_valid(uint64_t word, uint64_t salt)
{
  return (word & 0xffff) == mde_slot_check(word, salt);
}

static inline int64_t mde_slot_stamp_ms(uint64_t word)
{
  return (int64_t)(word >> 24) + MDE_SLOT_NEVER_MS;
}

static inline uint8_t mde_slot_holder(uint64_t word)
{
  return (uint8_t)(word >> 16);
}

/* The least word of that moment. */
static inline uint64_t mde_slot_since(int64_t stamp_ms)
{
  return (uint64_t)(stamp_ms - MDE_SLOT_NEVER_MS) << 24;
}

#endif

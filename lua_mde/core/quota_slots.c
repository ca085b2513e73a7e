#include "core/quota_slots.h"

#if ATOMIC_LLONG_LOCK_FREE != 2
#error "a quota between processes needs atomic words of 64 bits"
#endif

#define SALT_STEP UINT64_C(0xd1342543de82ef95)

static mde_word *word_at(const mde_slots *slots, uint32_t index)
{
  return slots->bounds + slots->capacity / MDE_SLOTS_BLOCK + index;
}

static inline uint64_t peek(const mde_word *word)
{
  return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t salt_of(const mde_slots *slots, uint32_t index)
{
  return slots->salt + index * SALT_STEP;
}

uint32_t mde_slots_capacity(uint32_t calls)
{
  return (calls + MDE_SLOTS_BLOCK - 1) / MDE_SLOTS_BLOCK * MDE_SLOTS_BLOCK;
}

size_t mde_slots_bytes(uint32_t capacity)
{
  return (capacity / MDE_SLOTS_BLOCK + capacity) * sizeof(mde_word);
}

/* --- changing one --- */

static uint64_t bound_salt(const mde_slots *slots, uint32_t block)
{
  return ~salt_of(slots, block);
}

/* A damaged bound hides nothing: its block is looked through from now on. */
static uint64_t raised(const mde_slots *slots, uint32_t block, uint64_t bound, uint64_t word)
{
  bool sound = mde_slot_valid(bound, bound_salt(slots, block));
  if (sound && mde_slot_stamp_ms(bound) >= mde_slot_stamp_ms(word))
    return bound;
  int64_t stamp_ms = sound ? mde_slot_stamp_ms(word) : MDE_SLOT_LATEST_MS;
  return mde_slot_make(stamp_ms, 0, bound_salt(slots, block));
}

static void raise_bound(const mde_slots *slots, uint32_t index, uint64_t word)
{
  uint32_t block = index / MDE_SLOTS_BLOCK;
  uint64_t seen = peek(slots->bounds + block);
  uint64_t wanted = raised(slots, block, seen, word);
  while (seen != wanted && !atomic_compare_exchange_weak(slots->bounds + block, &seen, wanted))
    wanted = raised(slots, block, seen, word);
}

/* The bound first: it must be true at every moment. */
static bool replace(const mde_slots *slots, uint32_t index, uint64_t old, uint64_t word)
{
  raise_bound(slots, index, word);
  return atomic_compare_exchange_strong(word_at(slots, index), &old, word);
}

static uint64_t settled(const mde_slots *slots, uint32_t index, int64_t stamp_ms)
{
  return mde_slot_make(stamp_ms, 0, salt_of(slots, index));
}

static bool is_damaged(const mde_slots *slots, uint32_t index, uint64_t word)
{
  return !mde_slot_valid(word, salt_of(slots, index));
}

/* --- all of them --- */

void mde_slots_clear(const mde_slots *slots)
{
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = settled(slots, i, MDE_SLOT_NEVER_MS);
    atomic_store_explicit(word_at(slots, i), word, memory_order_relaxed);
  }
  for (uint32_t block = 0; block < slots->capacity / MDE_SLOTS_BLOCK; block++) {
    uint64_t bound = mde_slot_make(MDE_SLOT_NEVER_MS, 0, bound_salt(slots, block));
    atomic_store_explicit(slots->bounds + block, bound, memory_order_relaxed);
  }
}

/* Bounds are mended as well, upwards only: they may be in use. */
void mde_slots_heal(const mde_slots *slots, int64_t now_ms, int64_t latest_ms)
{
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = peek(word_at(slots, i));
    if (is_damaged(slots, i, word) || mde_slot_stamp_ms(word) > latest_ms)
      replace(slots, i, word, settled(slots, i, now_ms));
    else
      raise_bound(slots, i, word);
  }
}

void mde_slots_fill(const mde_slots *slots, int64_t since_ms, int64_t now_ms)
{
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = peek(word_at(slots, i));
    if (word < mde_slot_since(since_ms))
      replace(slots, i, word, settled(slots, i, now_ms));
  }
}

int64_t mde_slots_newest_ms(const mde_slots *slots)
{
  int64_t newest_ms = MDE_SLOT_NEVER_MS;
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = peek(word_at(slots, i));
    int64_t stamp_ms = mde_slot_stamp_ms(word);
    if (!is_damaged(slots, i, word) && mde_slot_holder(word) == 0 && stamp_ms > newest_ms)
      newest_ms = stamp_ms;
  }
  return newest_ms;
}

static int64_t moved_ms(int64_t stamp_ms, int64_t earlier_ms, int64_t latest_ms)
{
  if (stamp_ms == MDE_SLOT_NEVER_MS)
    return stamp_ms;
  stamp_ms -= earlier_ms;
  if (stamp_ms < MDE_SLOT_NEVER_MS)
    return MDE_SLOT_NEVER_MS;
  return stamp_ms < latest_ms ? stamp_ms : latest_ms;
}

void mde_slots_copy(const mde_slots *slots, const mde_slots *from, int64_t earlier_ms,
                    int64_t latest_ms)
{
  for (uint32_t i = 0; i < from->capacity && i < slots->capacity; i++) {
    uint64_t word = peek(word_at(from, i));
    uint64_t copy = 0; /* a damaged one stays so */
    if (!is_damaged(from, i, word))
      copy = settled(slots, i, moved_ms(mde_slot_stamp_ms(word), earlier_ms, latest_ms));
    atomic_store_explicit(word_at(slots, i), copy, memory_order_relaxed);
  }
}

/* --- counting: what is damaged counts --- */

static bool is_passed(const mde_slots *slots, uint32_t block, uint64_t since)
{
  uint64_t bound = peek(slots->bounds + block);
  return bound < since && mde_slot_valid(bound, bound_salt(slots, block));
}

/* At most `most` of the block: more are not asked for. */
static uint32_t count_before(const mde_slots *slots, uint32_t block, uint64_t since, uint32_t most)
{
  const mde_word *words = word_at(slots, block * MDE_SLOTS_BLOCK);
  uint64_t salt = salt_of(slots, block * MDE_SLOTS_BLOCK);
  uint32_t count = 0;
  for (uint32_t i = 0; i < MDE_SLOTS_BLOCK && count < most; i++, salt += SALT_STEP) {
    uint64_t word = peek(words + i);
    if (word < since)
      count += mde_slot_valid(word, salt);
  }
  return count;
}

bool mde_slots_fewer(const mde_slots *slots, uint32_t calls, int64_t since_ms, uint32_t first)
{
  uint64_t since = mde_slot_since(since_ms);
  uint32_t blocks = slots->capacity / MDE_SLOTS_BLOCK;
  uint32_t block = first % slots->capacity / MDE_SLOTS_BLOCK;
  if (calls > slots->capacity)
    calls = slots->capacity;
  uint32_t wanted = slots->capacity - calls + 1, before = 0;
  for (uint32_t i = 0; i < blocks && before < wanted; i++) {
    before += is_passed(slots, block, since) ? MDE_SLOTS_BLOCK
                                             : count_before(slots, block, since, wanted - before);
    block = block + 1 < blocks ? block + 1 : 0;
  }
  return before >= wanted;
}

uint32_t mde_slots_count(const mde_slots *slots, int64_t since_ms)
{
  uint32_t before = 0;
  for (uint32_t block = 0; block < slots->capacity / MDE_SLOTS_BLOCK; block++)
    before += count_before(slots, block, mde_slot_since(since_ms), MDE_SLOTS_BLOCK);
  return slots->capacity - before;
}

static uint32_t count_settled(const mde_slots *slots, uint32_t block, uint64_t since)
{
  uint32_t count = 0;
  for (uint32_t i = 0; i < MDE_SLOTS_BLOCK; i++) {
    uint64_t word = peek(word_at(slots, block * MDE_SLOTS_BLOCK + i));
    bool damaged = is_damaged(slots, block * MDE_SLOTS_BLOCK + i, word);
    count += damaged || (word >= since && mde_slot_holder(word) == 0);
  }
  return count;
}

uint32_t mde_slots_count_answered(const mde_slots *slots, int64_t since_ms, int64_t now_ms)
{
  uint64_t since = mde_slot_since(since_ms);
  uint32_t count = 0;
  if (since_ms <= now_ms)
    return mde_slots_count(slots, since_ms);
  for (uint32_t block = 0; block < slots->capacity / MDE_SLOTS_BLOCK; block++) {
    if (!is_passed(slots, block, since))
      count += count_settled(slots, block, since);
  }
  return count;
}

void mde_slots_in_flight(const mde_slots *slots, int64_t now_ms, uint32_t counts[MDE_SLOT_HOLDERS])
{
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = peek(word_at(slots, i));
    counts[mde_slot_holder(word)] += word >= mde_slot_since(now_ms);
  }
}

/* --- taking and settling --- */

/* Damage is seen here, too: what is claimed must have been sound. */
static bool take(const mde_slots *slots, const mde_claim *claim, uint32_t index, uint64_t old,
                 mde_slot *slot)
{
  if (is_damaged(slots, index, old)) {
    replace(slots, index, old, settled(slots, index, claim->now_ms));
    return false;
  }
  *slot = (mde_slot){index, mde_slot_make(claim->stamp_ms, claim->holder, salt_of(slots, index))};
  return replace(slots, index, old, slot->word);
}

bool mde_slots_claim(const mde_slots *slots, const mde_claim *claim, mde_slot *slot)
{
  uint64_t since = mde_slot_since(claim->since_ms);
  uint32_t index = claim->first % slots->capacity;
  for (uint32_t i = 0; i < slots->capacity; i++) {
    uint64_t word = peek(word_at(slots, index));
    if (word < since)
      return take(slots, claim, index, word, slot);
    index = index + 1 < slots->capacity ? index + 1 : 0;
  }
  return false;
}

void mde_slots_move(const mde_slots *slots, const mde_slot *slot, int64_t stamp_ms)
{
  if (slot->index < slots->capacity)
    replace(slots, slot->index, slot->word, settled(slots, slot->index, stamp_ms));
}

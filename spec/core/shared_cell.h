/* The memory of one operation's quota, as processes share it, and what each of them sees of it.
 *
 *   static shared_cell shared;
 *   shared_cell_clear(&shared, 128);
 *   mde_cell cell = shared_cell_view(&shared, &WINDOWS, 1);      of holder 1
 *   mde_cell other = shared_cell_view(&shared, &WINDOWS, 2);
 */
#ifndef MDE_SPEC_CORE_SHARED_CELL_H
#define MDE_SPEC_CORE_SHARED_CELL_H

#include "core/quota_cell.h"

#include <string.h>

enum { SHARED_SLOTS = 1600, SHARED_WORDS = SHARED_SLOTS + SHARED_SLOTS / MDE_SLOTS_BLOCK };

#define SHARED_SALT UINT64_C(0x5a17c0ffee)
#define SHARED_HELD(length_ms)                                                                     \
  ((length_ms) + (length_ms) / MDE_WINDOW_MARGIN_DIVISOR + (int64_t)MDE_WINDOW_MARGIN_MS)

typedef struct shared_cell {
  mde_cell_memory memory;
  uint32_t capacity;
  mde_word words[SHARED_WORDS]; /* bounds, then slots */
} shared_cell;

static inline mde_slots shared_cell_slots(shared_cell *shared)
{
  return (mde_slots){shared->words, shared->capacity, SHARED_SALT};
}

static inline mde_word *shared_cell_word(shared_cell *shared, uint32_t index)
{
  return shared->words + shared->capacity / MDE_SLOTS_BLOCK + index;
}

static inline void shared_cell_clear(shared_cell *shared, uint32_t capacity)
{
  memset(shared, 0, sizeof *shared);
  shared->capacity = capacity;
  mde_cell cell = {.memory = &shared->memory, .slots = shared_cell_slots(shared)};
  mde_cell_clear(&cell);
}

static inline mde_cell shared_cell_view(shared_cell *shared, const mde_windows *windows,
                                        uint8_t holder)
{
  return (mde_cell){.memory = &shared->memory,
                    .slots = shared_cell_slots(shared),
                    .windows = *windows,
                    .holder = holder};
}

#endif

#include "core/quota_cell.h"

#include "core/response.h"

enum {
  TRIES = 32,
  AGAIN_MS = 1,
  LATEST_MS = 2 * MDE_LEASE_MAX_MS /* no slot is that far ahead, though clocks be read late */
};

static uint64_t get(const mde_word *word)
{
  return atomic_load_explicit(word, memory_order_acquire);
}

static void raise_to(mde_word *word, uint64_t value)
{
  uint64_t seen = get(word);
  while (seen < value && !atomic_compare_exchange_weak(word, &seen, value))
    ;
}

/* --- moments and lengths, checked as slots are: a word that is damaged is mended to `otherwise_ms` --- */

static uint64_t word_of(const mde_cell *cell, int64_t milliseconds)
{
  return mde_slot_make(milliseconds, 0, ~cell->slots.salt);
}

static int64_t read(const mde_cell *cell, mde_word *word, int64_t most_ms, int64_t otherwise_ms)
{
  uint64_t seen = get(word);
  if (mde_slot_valid(seen, ~cell->slots.salt) && mde_slot_stamp_ms(seen) <= most_ms)
    return mde_slot_stamp_ms(seen);
  atomic_compare_exchange_strong(word, &seen, word_of(cell, otherwise_ms));
  return otherwise_ms;
}

/* --- limits that the service named --- */

/* False: that place is for another length. */
static bool lower_at(mde_word *word, mde_window limit)
{
  uint64_t seen = get(word);
  for (;;) {
    mde_window known = mde_window_unpack(seen);
    if (known.calls > 0 && known.length_ms != limit.length_ms)
      return false;
    if (known.calls > 0 && known.calls <= limit.calls)
      return true;
    if (atomic_compare_exchange_weak(word, &seen, mde_window_pack(limit)))
      return true;
  }
}

static void lower(const mde_cell *cell, mde_window limit)
{
  for (int i = 0; mde_window_pack(limit) != 0 && i < MDE_CELL_LEARNED_MAX; i++) {
    if (lower_at(&cell->memory->learned[i], limit))
      return;
  }
}

void mde_cell_forget(const mde_cell *cell)
{
  for (int i = 0; i < MDE_CELL_LEARNED_MAX; i++)
    atomic_store(&cell->memory->learned[i], 0);
  atomic_store(&cell->memory->longest, word_of(cell, 0));
}

void mde_cell_learn(const mde_cell *cell, const mde_lesson *lesson, int64_t now_ms)
{
  mde_cell_closed_ms(cell, now_ms); /* mends the word */
  if (lesson->close_for_ms > 0)
    raise_to(&cell->memory->closed_until, word_of(cell, now_ms + lesson->close_for_ms));
  if (lesson->limit.calls > 0)
    lower(cell, lesson->limit);
}

mde_windows mde_cell_windows(const mde_cell *cell)
{
  mde_windows windows = cell->windows;
  for (int i = 0; i < MDE_CELL_LEARNED_MAX; i++) {
    mde_window limit = mde_window_unpack(get(&cell->memory->learned[i]));
    if (limit.calls > 0)
      mde_windows_lower(&windows, limit);
  }
  return windows;
}

/* No Retry-After is longer than an hour. */
int64_t mde_cell_closed_ms(const mde_cell *cell, int64_t now_ms)
{
  int64_t most_ms = now_ms + MDE_RETRY_AFTER_MAX_MS;
  int64_t until_ms = read(cell, &cell->memory->closed_until, most_ms, most_ms);
  return until_ms > now_ms ? until_ms - now_ms : 0;
}

/* --- counting --- */

static uint32_t first_of(const mde_cell *cell)
{
  return (uint32_t)atomic_load_explicit(&cell->memory->oldest, memory_order_relaxed);
}

/* From this moment on a call counts at `now_ms`. */
static int64_t since_ms(const mde_window *window, int64_t now_ms)
{
  return now_ms - mde_window_held_ms(window) + 1;
}

static bool is_open(const mde_cell *cell, const mde_window *window, int64_t now_ms)
{
  return mde_slots_fewer(&cell->slots, window->calls, since_ms(window, now_ms), first_of(cell));
}

/* The first moment at which fewer calls would count than the window allows, if nobody else asked.
 * What is in flight may be answered now, and is free a window later at the earliest. */
static int64_t window_wait_ms(const mde_cell *cell, const mde_window *window, int64_t now_ms)
{
  int64_t closed_ms = now_ms, open_ms = now_ms + mde_window_held_ms(window) + MDE_QUOTA_LINGER_MS;
  while (open_ms - closed_ms > 1) {
    int64_t middle_ms = closed_ms + (open_ms - closed_ms) / 2;
    int64_t since = since_ms(window, middle_ms);
    if (mde_slots_count_answered(&cell->slots, since, now_ms) < window->calls)
      open_ms = middle_ms;
    else
      closed_ms = middle_ms;
  }
  return open_ms - now_ms;
}

static int64_t longer(int64_t a_ms, int64_t b_ms)
{
  return a_ms > b_ms ? a_ms : b_ms;
}

/* Of anybody's windows, and of what was learned. */
static int64_t longest_ms(const mde_cell *cell)
{
  const mde_window *own = mde_windows_longest(&cell->windows);
  int64_t most_ms =
      read(cell, &cell->memory->longest, MDE_WINDOW_LENGTH_MAX_MS, MDE_RETRY_AFTER_MAX_MS);
  if (own != NULL)
    most_ms = longer(most_ms, own->length_ms);
  for (int i = 0; i < MDE_CELL_LEARNED_MAX; i++)
    most_ms = longer(most_ms, mde_window_unpack(get(&cell->memory->learned[i])).length_ms);
  return most_ms;
}

/* The slots themselves are a window, too. */
static mde_window room(const mde_cell *cell)
{
  return (mde_window){longest_ms(cell), cell->slots.capacity};
}

static int64_t windows_wait_ms(const mde_cell *cell, const mde_windows *windows, int64_t now_ms)
{
  int64_t wait_ms = 0;
  mde_window whole = room(cell);
  for (uint32_t i = 0; i <= windows->count; i++) {
    const mde_window *window = i < windows->count ? &windows->window[i] : &whole;
    if (!is_open(cell, window, now_ms))
      wait_ms = longer(wait_ms, window_wait_ms(cell, window, now_ms));
  }
  if (wait_ms > 0)
    mde_slots_heal(&cell->slots, now_ms, now_ms + LATEST_MS);
  return wait_ms;
}

/* One with which nothing can be reckoned is a damaged word. */
static int64_t next_us(const mde_cell *cell)
{
  uint64_t us = get(&cell->memory->next_us);
  return us < INT64_MAX / 2 ? (int64_t)us : 0;
}

/* A moment that is further ahead than a window is a damaged word. */
static int64_t pace_wait_ms(const mde_cell *cell, const mde_windows *windows, int64_t now_ms)
{
  const mde_window *longest = mde_windows_longest(windows);
  if (!cell->pace.smooth || longest == NULL)
    return 0;
  mde_window burst = mde_pace_burst_window(&cell->pace, longest);
  if (is_open(cell, &burst, now_ms))
    return 0;
  int64_t wait_ms = mde_pace_wait_ms(next_us(cell), now_ms);
  return wait_ms <= longest->length_ms ? wait_ms : 0;
}

uint32_t mde_cell_used(const mde_cell *cell, const mde_window *window, int64_t now_ms)
{
  return mde_slots_count(&cell->slots, since_ms(window, now_ms));
}

/* --- deciding --- */

static mde_quota_answer ask(const mde_cell *cell, const mde_windows *windows, int64_t now_ms)
{
  mde_quota_answer answer = {.status = MDE_OK, .wait_ms = windows_wait_ms(cell, windows, now_ms)};
  int64_t closed_ms = mde_cell_closed_ms(cell, now_ms);
  answer.wait_ms = longer(answer.wait_ms, pace_wait_ms(cell, windows, now_ms));
  answer.closed = closed_ms > 0 && closed_ms >= answer.wait_ms;
  answer.wait_ms = longer(answer.wait_ms, closed_ms);
  return answer;
}

mde_quota_answer mde_cell_ask(const mde_cell *cell, int64_t now_ms)
{
  mde_windows windows = mde_cell_windows(cell);
  return ask(cell, &windows, now_ms);
}

static bool claim(const mde_cell *cell, int64_t now_ms, int64_t lease_ms, mde_slot *slot)
{
  mde_window whole = room(cell);
  mde_claim wanted = {.since_ms = since_ms(&whole, now_ms),
                      .now_ms = now_ms,
                      .stamp_ms = now_ms + lease_ms,
                      .holder = cell->holder,
                      .first = first_of(cell)};
  if (!mde_slots_claim(&cell->slots, &wanted, slot))
    return false;
  atomic_store_explicit(&cell->memory->oldest, slot->index + 1, memory_order_relaxed);
  return true;
}

/* Before the grant: afterwards somebody else might ask in between. */
static void set_pace(const mde_cell *cell, const mde_windows *windows, int64_t now_ms)
{
  const mde_window *longest = mde_windows_longest(windows);
  if (!cell->pace.smooth || longest == NULL)
    return;
  int64_t after_us = mde_pace_next_us(next_us(cell), longest, now_ms);
  atomic_store(&cell->memory->next_us, (uint64_t)after_us);
}

/* True: granted. False, with an answer that says to ask again: somebody else was. */
static bool try_once(const mde_cell *cell, const mde_windows *windows, int64_t now_ms,
                     int64_t lease_ms, mde_slot *slot, mde_quota_answer *answer)
{
  uint64_t turn = get(&cell->memory->turn);
  *answer = ask(cell, windows, now_ms);
  if (answer->wait_ms > 0 || !claim(cell, now_ms, lease_ms, slot))
    return false;
  set_pace(cell, windows, now_ms);
  if (atomic_compare_exchange_strong(&cell->memory->turn, &turn, turn + 1))
    return true;
  mde_slots_move(&cell->slots, slot, MDE_SLOT_NEVER_MS);
  return false;
}

mde_quota_answer mde_cell_reserve(const mde_cell *cell, int64_t now_ms, int64_t lease_ms,
                                  mde_slot *slot)
{
  mde_quota_answer answer = {.wait_ms = 0};
  mde_windows windows = mde_cell_windows(cell);
  if (lease_ms > MDE_LEASE_MAX_MS)
    lease_ms = MDE_LEASE_MAX_MS;
  for (int i = 0; i < TRIES && answer.wait_ms == 0 && !answer.granted; i++)
    answer.granted = try_once(cell, &windows, now_ms, lease_ms, slot, &answer);
  if (!answer.granted && answer.wait_ms == 0)
    answer.wait_ms = AGAIN_MS;
  return answer;
}

void mde_cell_settle(const mde_cell *cell, const mde_slot *slot, mde_slot_end end, int64_t now_ms)
{
  int64_t stamp_ms = now_ms;
  if (end == MDE_SLOT_UNSENT)
    stamp_ms = MDE_SLOT_NEVER_MS;
  else if (end == MDE_SLOT_ABANDONED)
    stamp_ms = now_ms + MDE_QUOTA_LINGER_MS;
  mde_slots_move(&cell->slots, slot, stamp_ms);
}

/* --- coming and mending --- */

void mde_cell_attach(const mde_cell *cell, int64_t now_ms)
{
  const mde_window *longest = mde_windows_longest(&cell->windows);
  longest_ms(cell); /* mends the word */
  if (longest != NULL)
    raise_to(&cell->memory->longest, word_of(cell, longest->length_ms));
  mde_slots_heal(&cell->slots, now_ms, now_ms + LATEST_MS);
}

void mde_cell_fill(const mde_cell *cell, int64_t now_ms)
{
  mde_window whole = room(cell);
  if (now_ms == INT64_MIN)
    return;
  mde_slots_fill(&cell->slots, since_ms(&whole, now_ms), now_ms);
}

void mde_cell_clear(const mde_cell *cell)
{
  mde_slots_clear(&cell->slots);
  atomic_store(&cell->memory->closed_until, word_of(cell, MDE_SLOT_NEVER_MS));
  atomic_store(&cell->memory->longest, word_of(cell, 0));
}

void mde_cell_copy(const mde_cell *cell, const mde_cell *from, bool rebooted)
{
  int64_t newest_ms = mde_slots_newest_ms(&from->slots);
  int64_t earlier_ms = rebooted ? newest_ms : 0;
  mde_slots_copy(&cell->slots, &from->slots, earlier_ms, rebooted ? 0 : INT64_MAX);
  int64_t until_ms = read(from, &from->memory->closed_until, INT64_MAX, MDE_SLOT_NEVER_MS);
  if (!rebooted || (until_ms > newest_ms && newest_ms != MDE_SLOT_NEVER_MS))
    atomic_store(&cell->memory->closed_until, word_of(cell, until_ms - earlier_ms));
  int64_t length_ms = read(from, &from->memory->longest, MDE_WINDOW_LENGTH_MAX_MS, 0);
  atomic_store(&cell->memory->longest, word_of(cell, length_ms));
}

#include "core/quota.h"

#include <string.h>

enum { FIRST_RING_SIZE = 16 };

void mde_quota_init(mde_quota *quota, const mde_memory *memory, const mde_windows *windows)
{
  *quota = (mde_quota){.windows = *windows, .memory = memory, .closed_until_ms = INT64_MIN};
}

void mde_quota_free(mde_quota *quota)
{
  if (quota->stamps != NULL)
    mde_memory_resize(quota->memory, quota->stamps, quota->size * sizeof *quota->stamps, 0);
  quota->stamps = NULL;
  quota->size = quota->count = quota->next = 0;
}

/* Room for a stamp is made before the slot is granted: settling can then never fail. A ring that has
 * wrapped keeps its oldest stamps at the end, so they move there. */
static mde_status make_room(mde_quota *quota)
{
  uint32_t largest = mde_windows_most_calls(&quota->windows);
  if (quota->size >= largest || quota->count + quota->in_flight < quota->size)
    return MDE_OK;
  uint32_t size = quota->size > 0 ? quota->size * 2 : FIRST_RING_SIZE;
  if (size > largest)
    size = largest;
  int64_t *stamps = mde_memory_resize(quota->memory, quota->stamps, quota->size * sizeof *stamps,
                                      size * sizeof *stamps);
  if (stamps == NULL)
    return MDE_NO_MEMORY;
  uint32_t oldest = quota->size - quota->next;
  memmove(stamps + size - oldest, stamps + quota->next, oldest * sizeof *stamps);
  quota->stamps = stamps;
  quota->size = size;
  return MDE_OK;
}

/* The k-th latest settlement, k from 1 to count. */
static int64_t latest(const mde_quota *quota, uint32_t k)
{
  uint32_t at = quota->next >= k ? quota->next - k : quota->next + quota->size - k;
  return quota->stamps[at];
}

/* With f requests in flight a window of n calls is open when at most n-f-1 settlements are younger
 * than it: when the (n-f)-th latest is old enough. */
static int64_t window_wait_ms(const mde_quota *quota, const mde_window *window, int64_t now_ms)
{
  if (quota->in_flight >= window->calls)
    return MDE_WAIT_UNKNOWN;
  uint32_t k = window->calls - quota->in_flight;
  if (k > quota->count)
    return 0;
  int64_t free_ms = latest(quota, k) + mde_window_held_ms(window);
  return free_ms > now_ms ? free_ms - now_ms : 0;
}

static int64_t longest_wait_ms(const mde_quota *quota, int64_t now_ms)
{
  int64_t longest_ms = 0;
  for (uint32_t i = 0; i < quota->windows.count; i++) {
    int64_t wait_ms = window_wait_ms(quota, &quota->windows.window[i], now_ms);
    if (wait_ms > longest_ms)
      longest_ms = wait_ms;
  }
  return longest_ms;
}

/* Beyond its burst a smooth pace gives each call its moment. */
static int64_t pace_wait_ms(const mde_quota *quota, int64_t now_ms)
{
  const mde_window *longest = mde_windows_longest(&quota->windows);
  if (!quota->pace.smooth || longest == NULL)
    return 0;
  mde_window burst = mde_pace_burst_window(&quota->pace, longest);
  if (window_wait_ms(quota, &burst, now_ms) == 0)
    return 0;
  return mde_pace_wait_ms(quota->next_us, now_ms);
}

mde_quota_answer mde_quota_ask(const mde_quota *quota, int64_t now_ms)
{
  mde_quota_answer answer = {.status = MDE_OK, .wait_ms = longest_wait_ms(quota, now_ms)};
  int64_t paced_ms = pace_wait_ms(quota, now_ms);
  if (paced_ms > answer.wait_ms)
    answer.wait_ms = paced_ms;
  int64_t closed_ms = quota->closed_until_ms > now_ms ? quota->closed_until_ms - now_ms : 0;
  if (closed_ms > 0 && (closed_ms >= answer.wait_ms || answer.wait_ms == MDE_WAIT_UNKNOWN)) {
    answer.closed = true;
    answer.wait_ms = closed_ms;
  }
  return answer;
}

mde_quota_answer mde_quota_reserve(mde_quota *quota, int64_t now_ms)
{
  mde_quota_answer answer = mde_quota_ask(quota, now_ms);
  if (answer.wait_ms > 0)
    return answer;
  answer.status = make_room(quota);
  answer.granted = answer.status == MDE_OK;
  if (!answer.granted)
    return answer;
  quota->in_flight++;
  if (quota->pace.smooth && quota->windows.count > 0)
    quota->next_us = mde_pace_next_us(quota->next_us, mde_windows_longest(&quota->windows), now_ms);
  return answer;
}

/* Stamps never go back, so that "the k-th latest" is also the k-th to expire. */
static void push_stamp(mde_quota *quota, int64_t stamp_ms)
{
  if (quota->size == 0)
    return;
  if (quota->count > 0 && latest(quota, 1) > stamp_ms)
    stamp_ms = latest(quota, 1);
  if (quota->next == quota->size)
    quota->next = 0;
  quota->stamps[quota->next++] = stamp_ms;
  if (quota->count < quota->size)
    quota->count++;
}

void mde_quota_settle(mde_quota *quota, mde_slot_end end, int64_t now_ms)
{
  if (quota->in_flight == 0) /* settled twice, by a script of somebody's */
    return;
  quota->in_flight--;
  if (end == MDE_SLOT_ANSWERED)
    push_stamp(quota, now_ms);
  else if (end == MDE_SLOT_ABANDONED)
    push_stamp(quota, now_ms + MDE_QUOTA_LINGER_MS);
}

void mde_quota_learn(mde_quota *quota, const mde_lesson *lesson, int64_t now_ms)
{
  int64_t until_ms = now_ms + lesson->close_for_ms;
  if (lesson->close_for_ms > 0 && until_ms > quota->closed_until_ms)
    quota->closed_until_ms = until_ms;
  if (lesson->limit.calls > 0)
    mde_windows_lower(&quota->windows, lesson->limit);
}

uint32_t mde_quota_used(const mde_quota *quota, const mde_window *window, int64_t now_ms)
{
  uint32_t used = 0;
  while (used < quota->count && latest(quota, used + 1) + mde_window_held_ms(window) > now_ms)
    used++;
  return used + quota->in_flight;
}

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

static uint32_t largest_calls(const mde_quota *quota)
{
  uint32_t largest = 0;
  for (uint32_t i = 0; i < quota->windows.count; i++) {
    if (quota->windows.window[i].calls > largest)
      largest = quota->windows.window[i].calls;
  }
  return largest;
}

/* Room for a stamp is made before the slot is granted: settling can then never fail. A ring that has
 * wrapped keeps its oldest stamps at the end, so they move there. */
static mde_status make_room(mde_quota *quota)
{
  uint32_t largest = largest_calls(quota);
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

static int64_t held_ms(const mde_window *window)
{
  return window->length_ms + window->length_ms / MDE_QUOTA_MARGIN_DIVISOR + MDE_QUOTA_MARGIN_MS;
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
  int64_t free_ms = latest(quota, k) + held_ms(window);
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

mde_quota_answer mde_quota_reserve(mde_quota *quota, int64_t now_ms)
{
  mde_quota_answer answer = {.status = MDE_OK, .wait_ms = longest_wait_ms(quota, now_ms)};
  int64_t closed_ms = quota->closed_until_ms > now_ms ? quota->closed_until_ms - now_ms : 0;
  if (closed_ms > 0 && (closed_ms >= answer.wait_ms || answer.wait_ms == MDE_WAIT_UNKNOWN)) {
    answer.closed = true;
    answer.wait_ms = closed_ms;
  }
  if (answer.wait_ms > 0)
    return answer;
  answer.status = make_room(quota);
  answer.granted = answer.status == MDE_OK;
  if (answer.granted)
    quota->in_flight++;
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
  quota->in_flight--;
  if (end == MDE_SLOT_ANSWERED)
    push_stamp(quota, now_ms);
  else if (end == MDE_SLOT_ABANDONED)
    push_stamp(quota, now_ms + MDE_QUOTA_LINGER_MS);
}

void mde_quota_close_until(mde_quota *quota, int64_t until_ms)
{
  if (until_ms > quota->closed_until_ms)
    quota->closed_until_ms = until_ms;
}

void mde_quota_lower(mde_quota *quota, mde_window limit)
{
  mde_windows *windows = &quota->windows;
  for (uint32_t i = 0; i < windows->count; i++) {
    if (windows->window[i].length_ms != limit.length_ms)
      continue;
    if (limit.calls < windows->window[i].calls)
      windows->window[i].calls = limit.calls;
    return;
  }
  if (windows->count > 0 && windows->count < MDE_WINDOWS_MAX)
    windows->window[windows->count++] = limit;
}

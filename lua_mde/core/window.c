#include "core/window.h"

#include <stdbool.h>
#include <stddef.h>

int64_t mde_window_held_ms(const mde_window *window)
{
  return window->length_ms + window->length_ms / MDE_WINDOW_MARGIN_DIVISOR + MDE_WINDOW_MARGIN_MS;
}

const mde_window *mde_windows_longest(const mde_windows *windows)
{
  const mde_window *longest = NULL;
  for (uint32_t i = 0; i < windows->count; i++) {
    if (longest == NULL || windows->window[i].length_ms > longest->length_ms)
      longest = &windows->window[i];
  }
  return longest;
}

uint32_t mde_windows_most_calls(const mde_windows *windows)
{
  uint32_t most = 0;
  for (uint32_t i = 0; i < windows->count; i++) {
    if (windows->window[i].calls > most)
      most = windows->window[i].calls;
  }
  return most;
}

void mde_windows_lower(mde_windows *windows, mde_window limit)
{
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

enum { CALLS_SHIFT = 12, LENGTH_SHIFT = 32, CALLS_MASK = 0xfffff, CHECK_MASK = 0xfff };

static uint64_t with_check(uint64_t word)
{
  return word | (((word * UINT64_C(0x9e3779b97f4a7c15)) >> 52) & CHECK_MASK);
}

uint64_t mde_window_pack(mde_window window)
{
  if (window.length_ms <= 0 || window.length_ms > UINT32_MAX || window.calls > CALLS_MASK)
    return 0;
  return with_check((uint64_t)window.length_ms << LENGTH_SHIFT | (uint64_t)window.calls
                                                                     << CALLS_SHIFT);
}

mde_window mde_window_unpack(uint64_t word)
{
  mde_window window = {(int64_t)(word >> LENGTH_SHIFT), word >> CALLS_SHIFT & CALLS_MASK};
  bool sound = with_check(word & ~(uint64_t)CHECK_MASK) == word && window.length_ms > 0;
  return sound ? window : (mde_window){0, 0};
}

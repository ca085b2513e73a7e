/* The pace: whether calls may come in bursts, or are spread evenly.
 *
 *   mde_pace pace = {.smooth = true, .burst = 100};
 *   1500 calls an hour: 100 at once, then one every 2.4 s
 *
 * A smooth pace lets a call go at once while fewer than `burst` calls count in the longest window.
 * After them each has its moment: a window's length, divided by its calls, after the one before. The
 * windows are kept besides: pacing only ever delays.
 *
 * Moments are in microseconds here: 3600 s / 100000 is no whole number of milliseconds. */
#ifndef MDE_CORE_PACE_H
#define MDE_CORE_PACE_H

#include "core/window.h"

#include <stdbool.h>

typedef struct mde_pace {
  bool smooth;
  uint32_t burst;
} mde_pace;

/* The window in which the burst is counted: as long as the longest one. */
mde_window mde_pace_burst_window(const mde_pace *pace, const mde_window *longest);

/* How long until the moment `next_us`, in whole milliseconds. */
int64_t mde_pace_wait_ms(int64_t next_us, int64_t now_ms);

/* The moment after a call that goes now. A call that comes a little late does not delay the rest. */
int64_t mde_pace_next_us(int64_t next_us, const mde_window *longest, int64_t now_ms);

#endif

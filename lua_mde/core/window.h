/* A rate limit's window: at most `calls` requests in any interval of `length_ms`.
 *
 *   mde_windows windows = {2, {{60000, 100}, {3600000, 1500}}};
 *   mde_windows_longest(&windows)->calls           1500
 *   mde_windows_lower(&windows, (mde_window){60000, 45});
 *
 * It counts nothing: a quota does. */
#ifndef MDE_CORE_WINDOW_H
#define MDE_CORE_WINDOW_H

#include <stdint.h>

enum {
  MDE_WINDOWS_MAX = 8,            /* of one operation */
  MDE_WINDOW_CALLS_MAX = 1000000, /* a stamp of 8 bytes is kept for each */
  /* Two clocks may drift by 500 ppm each, and both are read in whole milliseconds. */
  MDE_WINDOW_MARGIN_MS = 3,
  MDE_WINDOW_MARGIN_DIVISOR = 1000
};

#define MDE_WINDOW_LENGTH_MAX_MS (INT64_C(31) * 86400 * 1000)

typedef struct mde_window {
  int64_t length_ms;
  uint32_t calls;
} mde_window;

typedef struct mde_windows {
  uint32_t count; /* 0: no limit */
  mde_window window[MDE_WINDOWS_MAX];
} mde_windows;

/* How long a call counts after it was answered: the length and a margin. */
int64_t mde_window_held_ms(const mde_window *window);

/* Borrows; NULL if there is none. */
const mde_window *mde_windows_longest(const mde_windows *windows);
uint32_t mde_windows_most_calls(const mde_windows *windows);

/* The window of that length gets the limit, if it is lower. A length that has no window gets one,
 * while there is room. Without any windows (no limit wanted) nothing happens. */
void mde_windows_lower(mde_windows *windows, mde_window limit);

/* A window in one word, with a check, for memory that processes share; 0 if it does not fit. */
uint64_t mde_window_pack(mde_window window);
/* calls 0: none, or a damaged word. */
mde_window mde_window_unpack(uint64_t word);

#endif

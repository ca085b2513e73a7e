/* A rate limit's window: at most `calls` requests in any interval of `length_ms`. */
#ifndef MDE_CORE_WINDOW_H
#define MDE_CORE_WINDOW_H

#include <stdint.h>

enum {
  MDE_WINDOWS_MAX = 8,           /* of one operation */
  MDE_WINDOW_CALLS_MAX = 1000000 /* a stamp of 8 bytes is kept for each */
};

typedef struct mde_window {
  int64_t length_ms;
  uint32_t calls;
} mde_window;

typedef struct mde_windows {
  uint32_t count; /* 0: no limit */
  mde_window window[MDE_WINDOWS_MAX];
} mde_windows;

#endif

#include "core/pace.h"

mde_window mde_pace_burst_window(const mde_pace *pace, const mde_window *longest)
{
  return (mde_window){longest->length_ms, pace->burst};
}

int64_t mde_pace_wait_ms(int64_t next_us, int64_t now_ms)
{
  int64_t wait_us = next_us - now_ms * 1000;
  return wait_us > 0 ? (wait_us + 999) / 1000 : 0;
}

int64_t mde_pace_next_us(int64_t next_us, const mde_window *longest, int64_t now_ms)
{
  int64_t now_us = now_ms * 1000;
  int64_t interval_us = mde_window_held_ms(longest) * 1000 / longest->calls;
  int64_t late_us = now_us - next_us; /* negative: it is one of the burst */
  return late_us >= 0 && late_us < interval_us ? next_us + interval_us : now_us + interval_us;
}

#include "io/clock.h"

#include <time.h>
#include <unistd.h>
#if defined(__linux__) || defined(__APPLE__)
#include <sys/random.h>
#endif

/* CLOCK_BOOTTIME goes on while the machine sleeps, as the service's windows do. */
#if defined(CLOCK_BOOTTIME)
#define STEADY_CLOCK CLOCK_BOOTTIME
#else
#define STEADY_CLOCK CLOCK_MONOTONIC
#endif

static int64_t steady_ns(void)
{
  struct timespec now = {0, 0};
  clock_gettime(STEADY_CLOCK, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t mde_clock_now_ms(const mde_clock *clock)
{
  return clock->by_hand ? clock->moved_ms : steady_ns() / 1000000;
}

int64_t mde_clock_unix_s(const mde_clock *clock)
{
  return clock->by_hand ? clock->moved_ms / 1000 : (int64_t)time(NULL);
}

uint64_t mde_random_seed(void)
{
  uint64_t seed = 0;
  /* Without an entropy source the time and the process will do: it is jitter, not a key. */
  if (getentropy(&seed, sizeof seed) != 0)
    seed = (uint64_t)steady_ns() ^ ((uint64_t)getpid() << 32);
  return seed != 0 ? seed : 1;
}

double mde_random_next(uint64_t *state)
{
  uint64_t x = *state; /* xorshift64* */
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return (double)((x * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

/* The clock, and the dice. A test's clock is moved by hand.
 *
 *   mde_clock clock = {0};               the machine's
 *   mde_clock_now_ms(&clock)
 *
 * Milliseconds since some moment in the past, sleep of the machine included, never going back. */
#ifndef MDE_IO_CLOCK_H
#define MDE_IO_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mde_clock {
  bool by_hand;
  int64_t moved_ms; /* what it shows, if by hand */
} mde_clock;

int64_t mde_clock_now_ms(const mde_clock *clock);

/* Wall time, seconds since 1970: only for what other machines have dated, tokens and assertions. A clock
 * moved by hand shows its own. */
int64_t mde_clock_unix_s(const mde_clock *clock);

/* A seed that two processes do not share. */
uint64_t mde_random_seed(void);

/* The next number in [0, 1) of a sequence; `state` is its seed at first, and not 0. */
double mde_random_next(uint64_t *state);

#endif

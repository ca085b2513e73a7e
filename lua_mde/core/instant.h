/* Moments and durations: int64_t milliseconds, from a clock that the caller reads and passes in. */
#ifndef MDE_CORE_INSTANT_H
#define MDE_CORE_INSTANT_H

#include <stdint.h>

#define MDE_TIME_NEVER INT64_MAX   /* a moment that does not come */
#define MDE_WAIT_UNKNOWN INT64_MAX /* a duration until something else has moved */

#endif

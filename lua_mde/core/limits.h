/* What bounds one call: of the client's options, or of the call's own. */
#ifndef MDE_CORE_LIMITS_H
#define MDE_CORE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct mde_call_limits {
  int64_t timeout_ms;         /* of one attempt */
  int64_t connect_timeout_ms; /* within it */
  int64_t budget_ms;          /* of the whole call; MDE_TIME_NEVER: none */
  uint32_t max_attempts;      /* of one page */
  size_t max_body_bytes;      /* of one response, decoded */
} mde_call_limits;

#endif

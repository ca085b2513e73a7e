/* What must happen next with a call, and why it waits: see core/call.h. */
#ifndef MDE_CORE_NEED_H
#define MDE_CORE_NEED_H

typedef enum mde_call_need {
  MDE_CALL_TOKEN,
  MDE_CALL_QUOTA,
  MDE_CALL_WAIT,
  MDE_CALL_SEND,
  MDE_CALL_IN_FLIGHT,
  MDE_CALL_BODY,
  MDE_CALL_DONE,
  MDE_CALL_FAILED
} mde_call_need;

typedef enum mde_wait_reason {
  MDE_WAIT_QUOTA,
  MDE_WAIT_RETRY_AFTER,
  MDE_WAIT_BACKOFF,
  MDE_WAIT_TOKEN /* told by the driver: only it knows how long a fetch took */
} mde_wait_reason;

#endif

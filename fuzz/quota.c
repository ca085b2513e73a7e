/* A client's quota, driven by bytes instead of dice: however requests come, travel and end, the
 * service never counts too many in a window. */
#include "fuzz.h"
#include "quota_schedules.h"

enum { REQUESTS = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static schedule_run run = {.kind = &PRIVATE};
  schedule_of_dice(&run, (test_random){.bytes = bytes, .left = size}, REQUESTS, 0);
  return 0;
}

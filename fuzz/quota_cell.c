/* Likewise a quota that processes share, some of which crash. */
#include "fuzz.h"
#include "quota_cell_schedules.h"

enum { REQUESTS = 50 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static schedule_run run = {.kind = &SHARED};
  schedule_of_dice(&run, (test_random){.bytes = bytes, .left = size}, REQUESTS, 0);
  return 0;
}

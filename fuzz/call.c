/* A call, driven by bytes instead of dice: what spec/core/call_walk.h asserts holds on every way.
 * */
#include "call_walk.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  call_walk_through((test_random){.bytes = bytes, .left = size}, 0);
  return 0;
}

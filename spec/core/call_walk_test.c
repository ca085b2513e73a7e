/* The call as a state machine, driven at random.
 *
 *   MDE_SEED=n        the first walk's seed (the others count on from it)
 *   MDE_SCHEDULES=n   how many; 10000 unless said */
#include "call_walk.h"

static void a_random_walk_always_ends_and_keeps_its_limits(void **state)
{
  (void)state;
  uint64_t seed = test_random_start().state;
  uint64_t walks = test_schedules(10000);
  long steps = 0;
  for (uint64_t i = 0; i < walks; i++)
    steps += call_walk_through((test_random){.state = seed + i}, seed + i);
  print_message("%llu walks of %ld steps\n", (unsigned long long)walks, steps);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_random_walk_always_ends_and_keeps_its_limits),
  };
  return cmocka_run_group_tests_name("call_walk", tests, NULL, NULL);
}

/* The promise of a quota that processes share: several views of the same memory, which crash. */
#include "quota_cell_schedules.h"
#include "schedule_tests.h"

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(the_promise_is_kept_in_every_schedule, (void *)&SHARED),
      cmocka_unit_test_prestate(saturated_clients_use_99_percent_of_what_an_omniscient_one_could,
                                (void *)&SHARED),
  };
  return cmocka_run_group_tests_name("quota_cell_schedules", tests, NULL, NULL);
}

/* The promise of a client's private quota. */
#include "quota_schedules.h"
#include "schedule_tests.h"

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(the_promise_is_kept_in_every_schedule, (void *)&PRIVATE),
      cmocka_unit_test_prestate(saturated_clients_use_99_percent_of_what_an_omniscient_one_could,
                                (void *)&PRIVATE),
  };
  return cmocka_run_group_tests_name("quota_schedules", tests, NULL, NULL);
}

/* Many at once on one shared quota: threads, then processes that are killed and stopped at any
 * moment. Whatever is granted is written down as the interval in which the service may count it, and
 * looked through afterwards.
 *
 *   MDE_SCHEDULES=n   how long: n * 10 calls of the threads, n / 5 kills; n is 10000 unless said */
#include "shared_cell.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

typedef struct grant {
  int64_t from_ms, to_ms; /* when its reservation was made, and when it was settled */
} grant;

/* --- the service that counts, at whatever moment is the worst --- */

static int by_size(const void *one, const void *other)
{
  int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
  return (a > b) - (a < b);
}

static int64_t *sorted(const grant *grants, size_t count, bool ends)
{
  int64_t *moments_ms = malloc((count + 1) * sizeof *moments_ms);
  assert_non_null(moments_ms);
  for (size_t i = 0; i < count; i++)
    moments_ms[i] = ends ? grants[i].to_ms : grants[i].from_ms;
  qsort(moments_ms, count, sizeof *moments_ms, by_size);
  return moments_ms;
}

/* In no closed interval of a window's length that begins with the end of a grant, which is the worst
 * that there can be, lie more than its calls, be it with one moment only. */
static void assert_promise_kept(const grant *grants, size_t count, const mde_window *window)
{
  int64_t *from_ms = sorted(grants, count, false), *to_ms = sorted(grants, count, true);
  size_t worst = 0;
  for (size_t ended = 0, begun = 0; ended < count; ended++) {
    while (begun < count && from_ms[begun] <= to_ms[ended] + window->length_ms)
      begun++;
    worst = begun - ended > worst ? begun - ended : worst;
  }
  free(from_ms);
  free(to_ms);
  if (worst > window->calls)
    fail_msg("%zu calls in %lld ms, where %u are allowed", worst, (long long)window->length_ms,
             window->calls);
}

static void assert_promises_kept(const grant *grants, size_t count, const mde_windows *windows)
{
  for (uint32_t i = 0; i < windows->count; i++)
    assert_promise_kept(grants, count, &windows->window[i]);
}

static void assert_nothing_is_in_flight(const mde_cell *cell)
{
  uint32_t counts[MDE_SLOT_HOLDERS] = {0};
  mde_slots_in_flight(&cell->slots, 0, counts);
  for (int i = 1; i < MDE_SLOT_HOLDERS; i++)
    assert_int_equal(counts[i], 0);
}

/* Nothing is lost: all that the shortest window allows is granted at once. */
static void assert_all_is_free(const mde_cell *cell, int64_t now_ms)
{
  uint32_t granted = 0;
  mde_slot slot;
  assert_int_equal(mde_cell_used(cell, mde_windows_longest(&cell->windows), now_ms), 0);
  while (mde_cell_reserve(cell, now_ms, 1, &slot).granted)
    granted++;
  assert_int_equal(granted, cell->windows.window[0].calls);
}

/* --- threads, on a clock that they move themselves --- */

enum {
  THREADS = 6,
  LEASE_MS = MDE_QUOTA_FRESH_MS + MDE_QUOTA_LINGER_MS + 300,
  THREADS_SECONDS = 30
};

typedef struct thread_crowd {
  shared_cell shared;
  mde_windows windows;
  mde_pace pace;
  _Atomic int64_t clock_ms;
  _Atomic size_t wanted; /* calls that are still to be made */
  time_t give_up;
} thread_crowd;

typedef struct crowd_thread {
  thread_crowd *crowd;
  pthread_t id;
  mde_cell cell;
  test_random dice;
  grant *grants;
  size_t count, size;
} crowd_thread;

static bool one_less(thread_crowd *crowd)
{
  size_t wanted = atomic_load(&crowd->wanted);
  while (wanted > 0 && !atomic_compare_exchange_weak(&crowd->wanted, &wanted, wanted - 1))
    ;
  return wanted > 0;
}

static void write_down(crowd_thread *me, grant granted)
{
  if (me->count < me->size && one_less(me->crowd))
    me->grants[me->count++] = granted;
}

/* What others are in the middle of takes no time, or longer than it may. */
static void pass_time(crowd_thread *me)
{
  if (test_chance(&me->dice, 20))
    atomic_fetch_add(&me->crowd->clock_ms, test_between(&me->dice, 0, 20));
  if (test_chance(&me->dice, 20))
    sched_yield();
}

/* Of a slot that is settled after the end of its lease, the request was over by then. */
static void settle_in_thread(crowd_thread *me, const mde_slot *slot, grant flight)
{
  bool abandoned = test_chance(&me->dice, 2);
  int64_t now_ms = atomic_load(&me->crowd->clock_ms);
  int64_t latest_ms = abandoned ? now_ms + MDE_QUOTA_LINGER_MS : now_ms;
  if (latest_ms < flight.to_ms)
    flight.to_ms = latest_ms;
  write_down(me, flight);
  mde_cell_settle(&me->cell, slot, abandoned ? MDE_SLOT_ABANDONED : MDE_SLOT_ANSWERED, now_ms);
}

/* `asked_ms` was before the reservation: the lease is from then on. */
static void use_slot(crowd_thread *me, const mde_slot *slot, int64_t asked_ms)
{
  grant flight = {atomic_load(&me->crowd->clock_ms), asked_ms + LEASE_MS};
  if (flight.from_ms - asked_ms <= MDE_QUOTA_FRESH_MS && test_chance(&me->dice, 90)) {
    pass_time(me);
    settle_in_thread(me, slot, flight);
  } else {
    mde_cell_settle(&me->cell, slot, MDE_SLOT_UNSENT, asked_ms);
  }
}

/* Often to the very moment when something is free again, so that all want it at once. */
static void wait_in_thread(crowd_thread *me, int64_t now_ms, int64_t wait_ms)
{
  if (test_chance(&me->dice, 50))
    atomic_compare_exchange_strong(&me->crowd->clock_ms, &now_ms, now_ms + wait_ms);
  else
    pass_time(me);
}

static void *thread_main(void *argument)
{
  crowd_thread *me = argument;
  while (atomic_load(&me->crowd->wanted) > 0 && time(NULL) < me->crowd->give_up) {
    mde_slot slot;
    int64_t now_ms = atomic_load(&me->crowd->clock_ms);
    mde_quota_answer answer = mde_cell_reserve(&me->cell, now_ms, LEASE_MS, &slot);
    if (answer.granted)
      use_slot(me, &slot, now_ms);
    else
      wait_in_thread(me, now_ms, answer.wait_ms);
  }
  return NULL;
}

static void start_threads(thread_crowd *crowd, crowd_thread threads[THREADS], test_random *dice,
                          void *(*run)(void *))
{
  size_t calls = atomic_load(&crowd->wanted);
  for (int i = 0; i < THREADS; i++) {
    mde_cell cell = shared_cell_view(&crowd->shared, &crowd->windows, (uint8_t)(i + 1));
    cell.pace = crowd->pace;
    threads[i] = (crowd_thread){.crowd = crowd,
                                .cell = cell,
                                .dice = {.state = test_next(dice)},
                                .grants = NULL,
                                .size = calls};
    threads[i].grants = malloc(calls * sizeof(grant));
    assert_non_null(threads[i].grants);
    mde_cell_attach(&cell, 0);
  }
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
}

/* All grants of all threads. */
static grant *collect(crowd_thread threads[THREADS], size_t *count)
{
  grant *all = malloc(THREADS * threads[0].size * sizeof *all);
  assert_non_null(all);
  *count = 0;
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i].id, NULL);
    memcpy(all + *count, threads[i].grants, threads[i].count * sizeof *all);
    *count += threads[i].count;
    free(threads[i].grants);
  }
  return all;
}

static void play_with_threads(const mde_windows *windows, mde_pace pace, size_t calls,
                              test_random *dice)
{
  static thread_crowd crowd;
  crowd_thread threads[THREADS];
  size_t count;
  shared_cell_clear(&crowd.shared, mde_slots_capacity(mde_windows_most_calls(windows)));
  crowd.windows = *windows;
  crowd.pace = pace;
  crowd.give_up = time(NULL) + THREADS_SECONDS;
  atomic_store(&crowd.clock_ms, 1000);
  atomic_store(&crowd.wanted, calls);
  start_threads(&crowd, threads, dice, thread_main);
  grant *grants = collect(threads, &count);
  assert_promises_kept(grants, count, windows);
  free(grants);
  assert_int_equal(count, calls);
  int64_t idle_ms = SHARED_HELD(mde_windows_longest(windows)->length_ms) + MDE_QUOTA_LINGER_MS;
  assert_nothing_is_in_flight(&threads[0].cell);
  threads[0].cell.pace.smooth = false;
  assert_all_is_free(&threads[0].cell, atomic_load(&crowd.clock_ms) + LEASE_MS + idle_ms);
}

static void threads_keep_the_promise_and_lose_nothing(void **state)
{
  (void)state;
  static const struct {
    mde_windows windows;
    mde_pace pace;
  } cases[] = {{{1, {{100, 1}}}, {false, 0}},
               {{1, {{100, 2}}}, {false, 0}},
               {{1, {{300, 7}}}, {false, 0}},
               {{2, {{200, 50}, {1000, 170}}}, {false, 0}},
               {{2, {{1000, 30}, {3000, 64}}}, {false, 0}},
               {{2, {{100, 5}, {1000, 40}}}, {true, 10}}};
  test_random dice = test_random_start();
  size_t calls = (size_t)test_schedules(10000) * 10 / TEST_COUNT(cases) + 1;
  for (size_t i = 0; i < TEST_COUNT(cases); i++)
    play_with_threads(&cases[i].windows, cases[i].pace, calls, &dice);
}

/* --- threads that leave no time to each other --- */

static void *race_main(void *argument)
{
  crowd_thread *me = argument;
  while (atomic_load(&me->crowd->wanted) > 0 && time(NULL) < me->crowd->give_up) {
    mde_slot slot;
    if (!mde_cell_reserve(&me->cell, 1000, LEASE_MS, &slot).granted)
      continue;
    bool unsent = test_chance(&me->dice, 20);
    mde_cell_settle(&me->cell, &slot, unsent ? MDE_SLOT_UNSENT : MDE_SLOT_ANSWERED, 1000);
    if (!unsent)
      write_down(me, (grant){1000, 1000});
  }
  return NULL;
}

/* The clock stands still: no slot is used twice, and so many are to be used. */
static void race(uint32_t calls, test_random *dice)
{
  static thread_crowd crowd;
  crowd_thread threads[THREADS];
  size_t count;
  shared_cell_clear(&crowd.shared, mde_slots_capacity(calls));
  crowd.windows = (mde_windows){1, {{60000, calls}}};
  crowd.give_up = time(NULL) + THREADS_SECONDS;
  atomic_store(&crowd.wanted, calls);
  start_threads(&crowd, threads, dice, race_main);
  free(collect(threads, &count));
  assert_int_equal(count, calls);
  assert_nothing_is_in_flight(&threads[0].cell);
  assert_int_equal(mde_slots_count(&threads[0].cell.slots, MDE_SLOT_NEVER_MS + 1), calls);
}

static void threads_that_race_use_exactly_what_there_is(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  for (uint64_t i = 0; i < test_schedules(10000) / 20 + 1; i++)
    race((uint32_t)test_between(&dice, 1, 200), &dice);
}

/* --- processes, in real time --- */

enum {
  CHILDREN = 5,
  FLIGHT_MS = 8,
  FRESH_MS = 3, /* as MDE_QUOTA_FRESH_MS, for the quick */
  LOG_SIZE = 1 << 17,
  SLOWEST_MS = 200,
  ROUNDS = 8,
  STUCK_SECONDS = 60, /* then all ends at once */
  KILLING_SECONDS = 6
};

static const mde_windows QUICK = {2, {{20, 20}, {100, 80}}};

typedef struct entry {
  _Atomic int64_t from_ms, to_ms; /* from_ms 0: never written */
} entry;

typedef struct process_crowd {
  shared_cell shared;
  _Atomic size_t logged;
  _Atomic int64_t slowest_ns; /* of all reservations, in time of the processor */
  entry log[LOG_SIZE];
} process_crowd;

static process_crowd *crowd;
static pid_t children[CHILDREN];
static uint8_t next_holder;

static int64_t read_ns(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_ms(void)
{
  return read_ns(CLOCK_MONOTONIC) / 1000000;
}

static void sleep_us(int64_t us)
{
  nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

/* --- ... as a child --- */

static entry *log_grant(int64_t from_ms, int64_t to_ms)
{
  size_t index = atomic_fetch_add(&crowd->logged, 1);
  if (index >= LOG_SIZE)
    _exit(3);
  atomic_store(&crowd->log[index].to_ms, to_ms);
  atomic_store(&crowd->log[index].from_ms, from_ms);
  return &crowd->log[index];
}

/* The answer comes before the end of the lease, though it be heard of later. */
static void fly(const mde_cell *cell, const mde_slot *slot, entry *logged, test_random *dice)
{
  if (test_chance(dice, 50))
    sleep_us(test_between(dice, 0, FLIGHT_MS * 1000));
  int64_t now_ms = real_ms();
  if (now_ms < atomic_load(&logged->to_ms))
    atomic_store(&logged->to_ms, now_ms);
  mde_cell_settle(cell, slot, MDE_SLOT_ANSWERED, now_ms);
}

static void use_slot_or_give_back(const mde_cell *cell, const mde_slot *slot, int64_t asked_ms,
                                  test_random *dice)
{
  int64_t now_ms = real_ms();
  if (now_ms - asked_ms <= FRESH_MS)
    fly(cell, slot, log_grant(now_ms, asked_ms + FLIGHT_MS + FRESH_MS), dice);
  else
    mde_cell_settle(cell, slot, MDE_SLOT_UNSENT, now_ms);
}

static void note_time(int64_t ns)
{
  int64_t slowest_ns = atomic_load(&crowd->slowest_ns);
  while (slowest_ns < ns && !atomic_compare_exchange_weak(&crowd->slowest_ns, &slowest_ns, ns))
    ;
}

static mde_quota_answer reserve_timed(const mde_cell *cell, int64_t now_ms, mde_slot *slot)
{
  int64_t start_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
  mde_quota_answer answer = mde_cell_reserve(cell, now_ms, FLIGHT_MS + FRESH_MS, slot);
  note_time(read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns);
  return answer;
}

static void ask_for_ever(const mde_cell *cell, pid_t parent, test_random *dice)
{
  while (getppid() == parent) {
    mde_slot slot;
    int64_t now_ms = real_ms();
    mde_quota_answer answer = reserve_timed(cell, now_ms, &slot);
    if (answer.granted)
      use_slot_or_give_back(cell, &slot, now_ms, dice);
    else if (test_chance(dice, 20))
      sleep_us(1000);
  }
}

/* Whatever happens to the parent or goes wrong here: it ends, and never as a second run of the tests. */
static void child_main(pid_t parent, uint8_t holder, test_random dice)
{
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
  for (size_t i = 0; i < TEST_COUNT(signals); i++)
    signal(signals[i], SIG_DFL);
  alarm(2 * STUCK_SECONDS);
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  mde_cell cell = shared_cell_view(&crowd->shared, &QUICK, holder);
  mde_cell_attach(&cell, real_ms());
  ask_for_ever(&cell, parent, &dice);
  _exit(0);
}

/* --- ... as their parent --- */

static void start_child(int index, test_random *dice)
{
  pid_t parent = getpid();
  next_holder = next_holder == 255 ? 1 : next_holder + 1;
  test_random its_dice = {.state = test_next(dice)};
  pid_t child = fork();
  if (child == 0)
    child_main(parent, next_holder, its_dice);
  assert_true(child > 0);
  children[index] = child;
}

/* It must have lived until now. */
static void kill_child(int index)
{
  int status = 0;
  pid_t child = children[index];
  children[index] = 0;
  kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void start_all(test_random *dice)
{
  for (int i = 0; i < CHILDREN; i++)
    start_child(i, dice);
}

static void kill_all(void)
{
  for (int i = 0; i < CHILDREN; i++)
    kill_child(i);
}

static int end_processes(void **state)
{
  (void)state;
  for (int i = 0; i < CHILDREN; i++) {
    if (children[i] > 0) {
      kill(children[i], SIGKILL);
      waitpid(children[i], NULL, 0);
    }
    children[i] = 0;
  }
  alarm(0);
  if (crowd != NULL)
    munmap(crowd, sizeof *crowd);
  crowd = NULL;
  return 0;
}

static int begin_processes(void **state)
{
  (void)state;
  alarm(STUCK_SECONDS);
  void *memory =
      mmap(NULL, sizeof *crowd, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return -1;
  crowd = memory;
  shared_cell_clear(&crowd->shared, mde_slots_capacity(mde_windows_most_calls(&QUICK)));
  return 0;
}

static void do_something_bad(test_random *dice, uint64_t *kills)
{
  int index = (int)test_between(dice, 0, CHILDREN - 1);
  int64_t what = test_between(dice, 0, 99);
  if (what < 60) {
    kill_child(index);
    start_child(index, dice);
    ++*kills;
  } else {
    kill(children[index], what < 75 ? SIGSTOP : SIGCONT);
  }
}

/* While all others are stopped, wherever they were: the quota is nobody's who cannot move. */
static void assert_not_blocked(const mde_cell *cell)
{
  int64_t until_ms = real_ms() + SHARED_HELD(100) + FLIGHT_MS + FRESH_MS + 5000;
  mde_quota_answer answer = {.granted = false};
  while (!answer.granted) {
    mde_slot slot;
    int64_t now_ms = real_ms();
    assert_true(now_ms < until_ms);
    answer = reserve_timed(cell, now_ms, &slot);
    if (answer.granted)
      mde_cell_settle(cell, &slot, MDE_SLOT_UNSENT, now_ms);
    else
      sleep_us(answer.wait_ms * 1000);
  }
}

static void signal_all(int number)
{
  for (int i = 0; i < CHILDREN; i++)
    kill(children[i], number);
}

/* Each has one request at a time: no more than that may be lost with it. Nobody may be alive. */
static void assert_no_holder_has_more_than_one_slot(const mde_cell *cell)
{
  uint32_t counts[MDE_SLOT_HOLDERS] = {0};
  mde_slots_in_flight(&cell->slots, real_ms(), counts);
  for (int i = 1; i < MDE_SLOT_HOLDERS; i++)
    assert_true(counts[i] <= 1);
}

static size_t assert_log_keeps_the_promise(void)
{
  size_t logged = atomic_load(&crowd->logged), count = 0;
  grant *grants = malloc((logged + 1) * sizeof *grants);
  assert_non_null(grants);
  for (size_t i = 0; i < logged; i++) {
    grants[count] = (grant){atomic_load(&crowd->log[i].from_ms), atomic_load(&crowd->log[i].to_ms)};
    count += grants[count].from_ms != 0;
  }
  assert_promises_kept(grants, count, &QUICK);
  free(grants);
  return count;
}

static void processes_keep_the_promise_though_they_are_killed_and_stopped(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  uint64_t kills = 0, wanted = test_schedules(10000) / 5 + 1;
  time_t give_up = time(NULL) + KILLING_SECONDS;
  mde_cell cell = shared_cell_view(&crowd->shared, &QUICK, 0);
  start_all(&dice);
  while (kills < wanted && time(NULL) < give_up) {
    do_something_bad(&dice, &kills);
    sleep_us(test_between(&dice, 0, 2000));
    if (!test_chance(&dice, 2))
      continue;
    kill_all();
    assert_no_holder_has_more_than_one_slot(&cell);
    start_all(&dice);
  }
  kill_all();
  sleep_us((SHARED_HELD(100) + FLIGHT_MS + FRESH_MS + 1) * 1000);
  assert_all_is_free(&cell, real_ms());
  size_t calls = assert_log_keeps_the_promise();
  assert_true(calls > 100);
  assert_true(atomic_load(&crowd->slowest_ns) < SLOWEST_MS * INT64_C(1000000));
  print_message("%zu calls, %llu kills\n", calls, (unsigned long long)kills);
}

static void nobody_waits_for_those_who_are_stopped(void **state)
{
  (void)state;
  test_random dice = test_random_start();
  mde_cell cell = shared_cell_view(&crowd->shared, &QUICK, 0);
  start_all(&dice);
  for (int round = 0; round < ROUNDS; round++) {
    sleep_us(test_between(&dice, 0, 30000));
    signal_all(SIGSTOP);
    assert_not_blocked(&cell);
    signal_all(SIGCONT);
  }
  kill_all();
  assert_log_keeps_the_promise();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_keep_the_promise_and_lose_nothing),
      cmocka_unit_test(threads_that_race_use_exactly_what_there_is),
      cmocka_unit_test_setup_teardown(processes_keep_the_promise_though_they_are_killed_and_stopped,
                                      begin_processes, end_processes),
      cmocka_unit_test_setup_teardown(nobody_waits_for_those_who_are_stopped, begin_processes,
                                      end_processes),
  };
  return cmocka_run_group_tests_name("quota_cell_crowd", tests, NULL, NULL);
}

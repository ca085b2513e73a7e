/* A quota's file of any content: it is refused in words, or used, and then grants no more than its
 * windows allow, and sooner or later one more. It is scribbled over in the middle, too, but while
 * nothing is under way: a damaged slot becomes a call of that moment, whatever it was. */
#include "io/quota_file.h"

#include "words.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TRIPS_MAX = 64, ASKS_MAX = 100, LANES = 3, NOW_MS = 5000000, DAMAGE_MAX = 8, KINDS = 8 };

#define FOREVER_MS (INT64_C(40) * 86400 * 1000)

static const mde_windows WINDOWS = {2, {{60000, 5}, {3600000, 12}}};

typedef struct file_trip {
  mde_file_slot slot;
  int64_t counted_until_ms; /* the latest moment at which the service may have counted it */
  bool in_flight, unsent;
} file_trip;

typedef struct file_run {
  test_random dice;
  char path[256];
  mde_quota_file *file;
  int64_t now_ms, ask_ms;
  file_trip trips[TRIPS_MAX];
  int count;
} file_run;

static const mde_operation *operation_of_all(void)
{
  return mde_operation_find("alert_ips", 9);
}

/* --- the file --- */

static void write_file(const char *path, const void *bytes, size_t size)
{
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_true(write(fd, bytes, size) == (ssize_t)size);
  close(fd);
}

/* Of this machine's start or of another's, for as many calls as are documented, for fewer or for
 * more: made once. */
static const mde_quota_map *whole_file(size_t which)
{
  static const uint32_t capacities[KINDS / 2] = {1536, 64, 1600, 128};
  static mde_quota_map maps[KINDS];
  mde_quota_map *map = &maps[which];
  if (map->bytes != NULL)
    return map;
  char boot_id[MDE_BOOT_ID_SIZE] = "moved by hand";
  boot_id[0] = which % 2 == 0 ? 'm' : 'x';
  map->capacity = capacities[which / 2];
  map->salt = 42;
  map->bytes = calloc(1, mde_quota_file_bytes(map->capacity));
  mde_quota_format(map, boot_id);
  return map;
}

static bool is_whole(const mde_quota_header *header, size_t size)
{
  return header->capacity <= 1600 && size == mde_quota_file_bytes(header->capacity);
}

/* Where it matters: in the header, in the name or the words of the cell that is used, or in one of
 * its first slots. */
static unsigned char *place_to_damage(file_run *run, void *bytes, size_t size)
{
  const mde_quota_header *header = bytes;
  int64_t where = test_between(&run->dice, 0, 4);
  if (where < 2 || !is_whole(header, size))
    return (unsigned char *)bytes +
           test_between(&run->dice, 0, where == 0 ? 127 : (int64_t)size - DAMAGE_MAX);
  mde_quota_map map = {bytes, header->capacity, header->salt};
  mde_cell cell = {0};
  uint32_t index = (uint32_t)(mde_quota_id("", operation_of_all()->name) % MDE_QUOTA_CELLS);
  mde_quota_entry_cell(&map, index, &cell);
  if (where == 2)
    return (unsigned char *)mde_quota_entry_at(&map, index) + test_between(&run->dice, 0, 15);
  if (where == 3)
    return (unsigned char *)cell.memory + test_between(&run->dice, 0, sizeof(mde_cell_memory) - 1);
  uint32_t words = cell.slots.capacity / MDE_SLOTS_BLOCK;
  return (unsigned char *)(cell.slots.bounds + test_between(&run->dice, 0, words + 11));
}

static void damage_map(file_run *run, void *bytes, size_t size)
{
  unsigned char *at = place_to_damage(run, bytes, size);
  for (int64_t i = test_between(&run->dice, 1, DAMAGE_MAX); i > 0; i--)
    *at++ = (unsigned char)test_between(&run->dice, 0, 255);
}

static void damage(file_run *run)
{
  int fd = open(run->path, O_RDWR);
  off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
  if (size >= (off_t)sizeof(mde_quota_header)) {
    void *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    damage_map(run, bytes, (size_t)size);
    munmap(bytes, (size_t)size);
  }
  if (fd >= 0)
    close(fd);
}

static void make_file(file_run *run)
{
  if (test_chance(&run->dice, 10)) {
    write_file(run->path, run->dice.bytes, run->dice.left);
    return;
  }
  /* Mostly one that need not be made anew, which takes its time. */
  size_t which = test_chance(&run->dice, 80) ? 0 : (size_t)test_between(&run->dice, 0, KINDS - 1);
  const mde_quota_map *whole = whole_file(which);
  write_file(run->path, whole->bytes, mde_quota_file_bytes(whole->capacity));
  for (int64_t i = test_between(&run->dice, 0, 4); i > 0; i--)
    damage(run);
  if (test_chance(&run->dice, 5))
    assert_int_equal(truncate(run->path, test_between(&run->dice, 0, 2000000)), 0);
}

/* --- its use --- */

/* A model that counts: of the requests before, how many may yet be counted together with one sent
 * now? */
static void assert_allowed(const file_run *run)
{
  for (uint32_t w = 0; w < WINDOWS.count; w++) {
    uint32_t counted = 0;
    for (int i = 0; i < run->count; i++) {
      const file_trip *trip = &run->trips[i];
      bool counts =
          trip->in_flight || trip->counted_until_ms + WINDOWS.window[w].length_ms >= run->now_ms;
      counted += counts && !trip->unsent;
    }
    if (counted >= WINDOWS.window[w].calls)
      fail_msg("%u calls and one more", counted);
  }
}

static mde_quota_answer reserve(file_run *run)
{
  file_trip *trip = &run->trips[run->count];
  mde_quota_answer answer =
      mde_quota_file_reserve(run->file, operation_of_all(), run->now_ms, 30000, &trip->slot);
  assert_true(answer.granted || (answer.wait_ms > 0 && answer.wait_ms <= FOREVER_MS));
  assert_true(answer.trouble == NULL || answer.trouble[0] != '\0');
  if (!answer.granted)
    return answer;
  assert_allowed(run);
  trip->in_flight = true;
  run->count++;
  return answer;
}

static void settle(file_run *run, file_trip *trip)
{
  mde_slot_end end = (mde_slot_end)test_between(&run->dice, MDE_SLOT_UNSENT, MDE_SLOT_ABANDONED);
  mde_quota_file_settle(run->file, operation_of_all(), &trip->slot, end, run->now_ms);
  trip->in_flight = false;
  trip->unsent = end == MDE_SLOT_UNSENT;
  trip->counted_until_ms = run->now_ms + (end == MDE_SLOT_ABANDONED ? MDE_QUOTA_LINGER_MS : 0);
}

static void settle_all(file_run *run)
{
  for (int i = 0; i < run->count; i++) {
    if (run->trips[i].in_flight)
      settle(run, &run->trips[i]);
  }
}

/* As a client does: not again before it is time, but now and then. */
static void ask(file_run *run)
{
  if (run->now_ms < run->ask_ms && test_chance(&run->dice, 50)) {
    settle_all(run);
    run->now_ms = run->ask_ms;
  }
  mde_quota_answer answer = reserve(run);
  run->ask_ms = run->now_ms + answer.wait_ms;
}

static void step(file_run *run)
{
  mde_lesson lesson = {.close_for_ms = test_between(&run->dice, 0, 100) * 1000};
  switch (test_between(&run->dice, 0, 9)) {
  case 0:
    settle_all(run);
    run->now_ms += MDE_QUOTA_LINGER_MS;
    damage(run);
    break;
  case 1:
    mde_quota_file_learn(run->file, operation_of_all(), &lesson, run->now_ms);
    break;
  case 2:
    settle_all(run);
    run->now_ms += test_between(&run->dice, 0, 100000);
    break;
  case 3:
    settle_all(run);
    break;
  default:
    ask(run);
    break;
  }
}

/* Whoever waits as long as is asked for gets his turn, unless the file can no longer be used. */
static void assert_granted_at_last(file_run *run)
{
  int64_t start_ms = run->now_ms;
  settle_all(run);
  for (int asks = 0;; asks++) {
    mde_quota_answer answer = reserve(run);
    if (answer.granted || answer.trouble != NULL)
      break;
    assert_true(asks < ASKS_MAX && run->now_ms - start_ms < FOREVER_MS);
    run->now_ms += answer.wait_ms;
  }
  settle_all(run);
}

static void use(file_run *run)
{
  mde_quota_listing listing;
  int64_t now_ms = run->now_ms;
  for (int64_t steps = test_between(&run->dice, 0, 40); steps > 0; steps--) {
    if (run->count + 2 < TRIPS_MAX)
      step(run);
  }
  assert_granted_at_last(run);
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++)
    mde_quota_file_listing(run->file, i, &now_ms, &listing);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  file_run run = {.dice = {.bytes = bytes, .left = size}, .now_ms = NOW_MS};
  char why[MDE_QUOTA_WHY_SIZE];
  test_heap heap = {0};
  mde_memory memory = test_memory(&heap);
  const char *folder = getenv("TMPDIR");
  snprintf(run.path, sizeof run.path, "%s/fuzz-quota", folder != NULL ? folder : P_tmpdir);
  mde_quota_settings settings = {
      .path = run.path, .key = "", .has_windows = true, .windows = WINDOWS, .by_hand = true};
  make_file(&run);
  run.file = mde_quota_file_open(&settings, &memory, run.now_ms, why);
  if (run.file != NULL)
    use(&run);
  else
    assert_memory_equal(why, "quota file '", 12);
  mde_quota_file_close(run.file);
  unlink(run.path);
  assert_int_equal(heap.blocks, 0);
  return 0;
}

#include "io/secret_file.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 200, MAX_BYTES = 10000 };

/* A folder of its own for each test. */
typedef struct world {
  char folder[40];
  char path[PATH_SIZE];
  char text[MDE_TROUBLE_SIZE];
  mde_file_mark mark;
  test_heap heap;
  mde_memory memory;
  mde_buffer content;
} world;

static void write_file(const char *path, const char *bytes, size_t size)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), size);
  close(fd);
}

static int set_up(void **state)
{
  world *w = calloc(1, sizeof *w);
  snprintf(w->folder, sizeof w->folder, "/tmp/mde-secret-XXXXXX");
  assert_non_null(mkdtemp(w->folder));
  snprintf(w->path, sizeof w->path, "%s/token", w->folder);
  write_file(w->path, "s3cret\n", 7);
  w->heap.secret = true;
  w->memory = test_memory(&w->heap);
  mde_buffer_init_secret(&w->content, &w->memory, MAX_BYTES);
  *state = w;
  return 0;
}

static int tear_down(void **state)
{
  world *w = *state;
  char command[PATH_SIZE];
  mde_buffer_free(&w->content);
  assert_int_equal(w->heap.blocks, 0);
  assert_int_equal(w->heap.unwiped, 0);
  snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
  assert_int_equal(system(command), 0);
  free(w);
  return 0;
}

static bool read_it(world *w, bool *no_memory)
{
  mde_trouble trouble = {.text = w->text, .size = sizeof w->text};
  mde_secret_file file = {.what = "token file", .path = w->path, .mark = &w->mark};
  w->text[0] = '\0';
  bool done = mde_secret_file_read(&file, &w->content, &trouble);
  if (no_memory != NULL)
    *no_memory = trouble.no_memory;
  return done;
}

static void assert_refused(world *w, const char *reason)
{
  char named[PATH_SIZE + 20];
  bool no_memory = true;
  assert_false(read_it(w, &no_memory));
  assert_false(no_memory);
  snprintf(named, sizeof named, "token file '%s': ", w->path);
  assert_ptr_equal(strstr(w->text, named), w->text);
  if (strstr(w->text + strlen(named), reason) == NULL)
    fail_msg("'%s' says nothing of '%s'", w->text, reason);
  assert_int_equal(w->content.length, 0);
  assert_int_equal(w->content.status, MDE_OK);
  assert_true(mde_file_mark_equal(&w->mark, &(mde_file_mark){0}));
}

static void reads_all_of_a_file(void **state)
{
  world *w = *state;
  assert_true(read_it(w, NULL));
  assert_string_equal(mde_buffer_text(&w->content), "s3cret\n");
  char bytes[MAX_BYTES];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)(i * 7);
  write_file(w->path, bytes, sizeof bytes);
  assert_true(read_it(w, NULL));
  assert_int_equal(w->content.length, sizeof bytes);
  assert_memory_equal(w->content.data, bytes, sizeof bytes);
}

static void follows_symbolic_links(void **state)
{
  world *w = *state;
  char link[PATH_SIZE];
  snprintf(link, sizeof link, "%s/link", w->folder);
  assert_int_equal(symlink("token", link), 0);
  memcpy(w->path, link, sizeof link);
  assert_true(read_it(w, NULL));
  assert_string_equal(mde_buffer_text(&w->content), "s3cret\n");
}

static void lets_others_read_it(void **state)
{
  world *w = *state;
  assert_int_equal(chmod(w->path, 0444), 0);
  assert_true(read_it(w, NULL));
}

static void refuses_what_others_may_write(void **state)
{
  world *w = *state;
  static const mode_t modes[] = {0620, 0602, 0666, 0660};
  for (size_t i = 0; i < TEST_COUNT(modes); i++) {
    char advice[PATH_SIZE + 20];
    snprintf(advice, sizeof advice, "chmod go-w '%s'", w->path);
    assert_int_equal(chmod(w->path, modes[i]), 0);
    assert_refused(w, advice);
  }
}

static void refuses_what_belongs_to_another_user(void **state)
{
  world *w = *state;
  if (geteuid() != 0)
    skip();
  assert_int_equal(chown(w->path, 12345, (gid_t)-1), 0);
  assert_refused(w, "belongs to another user");
}

static void refuses_a_folder(void **state)
{
  world *w = *state;
  memcpy(w->path, w->folder, sizeof w->folder);
  assert_refused(w, "it is a folder");
}

static void refuses_a_fifo_and_a_device_without_waiting(void **state)
{
  world *w = *state;
  unlink(w->path);
  assert_int_equal(mkfifo(w->path, 0600), 0);
  assert_refused(w, "no ordinary file");
  snprintf(w->path, sizeof w->path, "/dev/zero");
  assert_refused(w, "no ordinary file");
}

static void refuses_more_than_the_buffers_maximum(void **state)
{
  world *w = *state;
  char bytes[MAX_BYTES + 1] = {0};
  write_file(w->path, bytes, sizeof bytes);
  assert_refused(w, "more than 10000 bytes");
}

/* Such as those of /proc, whose size is said to be 0. */
static void refuses_what_turns_out_to_be_larger_than_it_says(void **state)
{
  world *w = *state;
  snprintf(w->path, sizeof w->path, "/proc/cpuinfo");
  if (access(w->path, R_OK) != 0)
    skip();
  w->content.max_bytes = 10;
  assert_refused(w, "more than 10 bytes");
}

static void refuses_an_empty_file(void **state)
{
  world *w = *state;
  write_file(w->path, "", 0);
  assert_refused(w, "it is empty");
}

static void says_what_the_system_says(void **state)
{
  world *w = *state;
  if (geteuid() != 0) {
    assert_int_equal(chmod(w->path, 0), 0);
    assert_refused(w, strerror(EACCES));
  }
  unlink(w->path);
  assert_refused(w, strerror(ENOENT));
  assert_int_equal(symlink("token", w->path), 0);
  assert_refused(w, strerror(ELOOP));
}

static void forgets_what_was_read_before_when_it_fails(void **state)
{
  world *w = *state;
  assert_true(read_it(w, NULL));
  unlink(w->path);
  assert_refused(w, strerror(ENOENT));
}

static void keeps_the_sentence_whole_when_the_path_is_long(void **state)
{
  (void)state;
  char path[5000], text[MDE_TROUBLE_SIZE];
  memset(path, 'x', sizeof path);
  path[sizeof path - 1] = '\0';
  mde_buffer content;
  mde_buffer_init(&content, &mde_memory_system, 10);
  mde_trouble trouble = {.text = text, .size = sizeof text};
  assert_false(mde_secret_file_read(&(mde_secret_file){"key", path, NULL}, &content, &trouble));
  assert_non_null(strstr(text, strerror(ENAMETOOLONG)));
  trouble.size = 20;
  assert_false(mde_secret_file_read(&(mde_secret_file){"key", path, NULL}, &content, &trouble));
  assert_int_equal(strlen(text), 19);
  mde_buffer_free(&content);
}

static void leaves_no_descriptor_behind(void **state)
{
  world *w = *state;
  int before = dup(0);
  close(before);
  assert_true(read_it(w, NULL));
  assert_int_equal(chmod(w->path, 0666), 0);
  assert_refused(w, "chmod");
  int after = dup(0);
  close(after);
  assert_int_equal(before, after);
}

static mde_file_mark mark_now(const world *w)
{
  mde_file_mark mark;
  assert_true(mde_secret_file_mark(w->path, &mark));
  return mark;
}

static void the_mark_tells_whether_to_read_again(void **state)
{
  world *w = *state;
  assert_true(read_it(w, NULL));
  mde_file_mark mark = mark_now(w);
  assert_true(mde_file_mark_equal(&mark, &w->mark));
  write_file(w->path, "longer than before", 18);
  mark = mark_now(w);
  assert_false(mde_file_mark_equal(&mark, &w->mark));
}

/* As a projected token changes: another file under the same name. */
static void the_mark_tells_another_file_of_the_same_name_and_size(void **state)
{
  world *w = *state;
  char other[PATH_SIZE];
  snprintf(other, sizeof other, "%s/other", w->folder);
  write_file(other, "s4cret\n", 7);
  assert_true(read_it(w, NULL));
  assert_int_equal(rename(other, w->path), 0);
  mde_file_mark mark = mark_now(w);
  assert_false(mde_file_mark_equal(&mark, &w->mark));
}

static void a_missing_file_has_no_mark(void **state)
{
  world *w = *state;
  mde_file_mark mark = mark_now(w);
  unlink(w->path);
  assert_false(mde_secret_file_mark(w->path, &mark));
  assert_true(mde_file_mark_equal(&mark, &(mde_file_mark){0}));
}

static void each_field_of_a_mark_counts(void **state)
{
  (void)state;
  mde_file_mark none = {0};
  const mde_file_mark others[] = {
      {.dev = 1}, {.ino = 1}, {.size = 1}, {.mtime_ns = 1}, {.ctime_ns = 1}};
  for (size_t i = 0; i < TEST_COUNT(others); i++)
    assert_false(mde_file_mark_equal(&none, &others[i]));
}

static void every_allocation_may_fail(void **state)
{
  world *w = *state;
  char bytes[1000] = {1};
  write_file(w->path, bytes, sizeof bytes);
  w->heap.fail_for_good = true;
  for (size_t k = 1;; k++) {
    bool no_memory;
    mde_buffer_free(&w->content);
    w->heap.allocations = 0;
    w->heap.fail_at = k;
    bool done = read_it(w, &no_memory);
    assert_int_equal(no_memory, !done);
    if (done) {
      assert_true(k > 1);
      return;
    }
    assert_string_equal(w->text, "not enough memory");
    assert_int_equal(w->content.length, 0);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(reads_all_of_a_file),
      TEST(follows_symbolic_links),
      TEST(lets_others_read_it),
      TEST(refuses_what_others_may_write),
      TEST(refuses_what_belongs_to_another_user),
      TEST(refuses_a_folder),
      TEST(refuses_a_fifo_and_a_device_without_waiting),
      TEST(refuses_more_than_the_buffers_maximum),
      TEST(refuses_what_turns_out_to_be_larger_than_it_says),
      TEST(refuses_an_empty_file),
      TEST(says_what_the_system_says),
      TEST(forgets_what_was_read_before_when_it_fails),
      TEST(keeps_the_sentence_whole_when_the_path_is_long),
      TEST(leaves_no_descriptor_behind),
      TEST(the_mark_tells_whether_to_read_again),
      TEST(the_mark_tells_another_file_of_the_same_name_and_size),
      TEST(a_missing_file_has_no_mark),
      TEST(each_field_of_a_mark_counts),
      TEST(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("secret_file", tests, NULL, NULL);
}

#include "io/quota_file.h"

#include "io/fork_mark.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TROUBLE_PAUSE_MS = 1000, PATH_BYTES = 4096, PATH_MAX_BYTES = 1 << 20 };

typedef struct attachment {
  mde_cell cell;
  uint32_t index; /* of its entry in the file, and the entry's name */
  uint64_t id;
} attachment;

struct mde_quota_file {
  const mde_memory *memory;
  mde_buffer path;
  char key[MDE_QUOTA_KEY_MAX + 1];
  bool has_windows;
  mde_windows windows;
  mde_pace pace;
  char boot_id[MDE_BOOT_ID_SIZE];
  int64_t clock_ahead_ms; /* of the machine's */
  mde_quota_map map;
  int fd;
  mde_fork_mark mark;
  uint8_t holder;
  uint64_t opening; /* counts them */
  int64_t lost_ms;  /* when the file was lost in use; what it had counted is unknown */
  char trouble[MDE_QUOTA_WHY_SIZE];
  uint32_t under_way;   /* slots of this object, */
  int64_t lease_end_ms; /* and the latest end of their leases */
  attachment *cells;    /* one for each operation; attached if its cell has memory */
};

static size_t cells_bytes(void)
{
  return mde_operation_count * sizeof(attachment);
}

static const mde_windows *windows_of(const mde_quota_file *file, const mde_operation *operation)
{
  return file->has_windows ? &file->windows : &operation->windows;
}

/* --- opening --- */

/* Room for what is documented at least: rate_limit may be raised later. */
static uint32_t wanted_capacity(const mde_quota_file *file)
{
  uint32_t most = mde_windows_most_calls(&file->windows);
  for (size_t i = 0; i < mde_operation_count; i++) {
    uint32_t calls = mde_windows_most_calls(&mde_operations[i].windows);
    most = calls > most ? calls : most;
  }
  return mde_slots_capacity(most);
}

static void let_go(mde_quota_file *file)
{
  mde_quota_unmap(&file->map, &file->fd);
  for (size_t i = 0; i < mde_operation_count; i++)
    file->cells[i].cell.memory = NULL;
}

static bool open_file(mde_quota_file *file, int64_t now_ms)
{
  mde_quota_opening opening = {.path = mde_buffer_text(&file->path),
                               .capacity = wanted_capacity(file),
                               .boot_id = file->boot_id,
                               .fd = -1};
  if (!mde_quota_open(&opening)) {
    memcpy(file->trouble, opening.why, sizeof file->trouble);
    return false;
  }
  file->map = opening.map;
  file->fd = opening.fd;
  file->opening++;
  file->under_way = 0;
  file->trouble[0] = '\0';
  mde_fork_mark_set(&file->mark);
  file->holder = mde_holders_enter(file->map.bytes, now_ms - file->clock_ahead_ms);
  return true;
}

/* A whole one: it is opened again, perhaps from another folder. */
static bool set_path(mde_quota_file *file, const char *path)
{
  char folder[PATH_BYTES];
  mde_buffer_init(&file->path, file->memory, PATH_MAX_BYTES);
  if (path[0] != '/' && getcwd(folder, sizeof folder) != NULL) {
    mde_buffer_append_text(&file->path, folder);
    mde_buffer_append_char(&file->path, '/');
  }
  return mde_buffer_append_text(&file->path, path) == MDE_OK;
}

static bool init(mde_quota_file *file, const mde_quota_settings *settings)
{
  file->fd = -1;
  file->lost_ms = INT64_MIN;
  file->has_windows = settings->has_windows;
  if (settings->has_windows)
    file->windows = settings->windows;
  file->pace = settings->pace;
  snprintf(file->key, sizeof file->key, "%s", settings->key);
  if (settings->by_hand)
    snprintf(file->boot_id, sizeof file->boot_id, "moved by hand");
  else
    mde_machine_boot_id(file->boot_id);
  file->clock_ahead_ms = settings->by_hand ? 0 : mde_machine_clock_ahead_ms();
  file->cells = mde_memory_resize(file->memory, NULL, 0, cells_bytes());
  if (file->cells == NULL)
    return false;
  memset(file->cells, 0, cells_bytes());
  return set_path(file, settings->path);
}

mde_quota_file *mde_quota_file_open(const mde_quota_settings *settings, const mde_memory *memory,
                                    int64_t now_ms, char why[MDE_QUOTA_WHY_SIZE])
{
  mde_quota_file *file = mde_memory_resize(memory, NULL, 0, sizeof *file);
  snprintf(why, MDE_QUOTA_WHY_SIZE, "not enough memory");
  if (file == NULL)
    return NULL;
  memset(file, 0, sizeof *file);
  file->memory = memory;
  bool ready = init(file, settings);
  if (ready && open_file(file, now_ms))
    return file;
  if (ready)
    memcpy(why, file->trouble, sizeof file->trouble);
  mde_quota_file_close(file);
  return NULL;
}

void mde_quota_file_close(mde_quota_file *file)
{
  if (file == NULL)
    return;
  if (file->map.bytes != NULL && mde_fork_mark_is_own(&file->mark) &&
      mde_quota_look(&file->map, file->fd) != MDE_QUOTA_CUT)
    mde_holders_leave(file->map.bytes, file->holder);
  mde_quota_unmap(&file->map, &file->fd);
  mde_fork_mark_clear(&file->mark);
  mde_buffer_free(&file->path);
  if (file->cells != NULL)
    mde_memory_resize(file->memory, file->cells, cells_bytes(), 0);
  mde_memory_resize(file->memory, file, sizeof *file, 0);
}

/* --- each use --- */

/* What it had counted may be as young as this moment, or as the end of a lease. */
static void note_loss(mde_quota_file *file, int64_t now_ms)
{
  bool leased = file->under_way > 0 && file->lease_end_ms > now_ms;
  file->lost_ms = leased ? file->lease_end_ms : now_ms;
}

static bool is_ready(mde_quota_file *file, int64_t now_ms)
{
  if (file->map.bytes == NULL)
    return false;
  if (!mde_fork_mark_is_own(&file->mark)) {
    let_go(file);
    return false;
  }
  if (mde_quota_look(&file->map, file->fd) == MDE_QUOTA_WHOLE)
    return true;
  note_loss(file, now_ms - file->clock_ahead_ms);
  let_go(file);
  return false;
}

static void publish_windows(mde_quota_entry *entry, const mde_windows *windows)
{
  for (uint32_t i = 0; i < MDE_WINDOWS_MAX; i++)
    atomic_store(&entry->windows[i], i < windows->count ? mde_window_pack(windows->window[i]) : 0);
}

static bool refuse_full(mde_quota_file *file)
{
  snprintf(file->trouble, sizeof file->trouble,
           "quota file '%.200s': it has no room for another key or operation. Give another path",
           mde_buffer_text(&file->path));
  return false;
}

static bool attach(mde_quota_file *file, const mde_operation *operation, attachment *attached,
                   int64_t now_ms)
{
  mde_cell *cell = &attached->cell;
  mde_quota_found found = mde_quota_find(&file->map, file->key, operation->name, &attached->index);
  if (found == MDE_QUOTA_FULL)
    return refuse_full(file);
  attached->id = mde_quota_id(file->key, operation->name);
  mde_quota_entry_cell(&file->map, attached->index, cell);
  cell->windows = *windows_of(file, operation);
  cell->pace = file->pace;
  cell->holder = file->holder;
  publish_windows(mde_quota_entry_at(&file->map, attached->index), &cell->windows);
  mde_cell_attach(cell, now_ms);
  mde_cell_fill(cell, file->lost_ms);
  if (found == MDE_QUOTA_SUSPECT)
    mde_cell_fill(cell, now_ms);
  return true;
}

static bool is_attached(const mde_quota_file *file, const attachment *attached)
{
  return attached->cell.memory != NULL &&
         mde_quota_is_named(&file->map, attached->index, attached->id);
}

bool mde_quota_file_ready(mde_quota_file *file, int64_t now_ms)
{
  return is_ready(file, now_ms) || open_file(file, now_ms);
}

const mde_cell *mde_quota_file_cell(mde_quota_file *file, const mde_operation *operation,
                                    int64_t *now_ms)
{
  attachment *attached = &file->cells[operation - mde_operations];
  if (!mde_quota_file_ready(file, *now_ms))
    return NULL;
  *now_ms -= file->clock_ahead_ms;
  if (!is_attached(file, attached) && !attach(file, operation, attached, *now_ms))
    return NULL;
  return &attached->cell;
}

const char *mde_quota_file_trouble(const mde_quota_file *file)
{
  return file->trouble;
}

static void note_lease(mde_quota_file *file, int64_t end_ms)
{
  if (file->under_way++ == 0 || end_ms > file->lease_end_ms)
    file->lease_end_ms = end_ms;
}

mde_quota_answer mde_quota_file_reserve(mde_quota_file *file, const mde_operation *operation,
                                        int64_t now_ms, int64_t lease_ms, mde_file_slot *slot)
{
  const mde_cell *cell = mde_quota_file_cell(file, operation, &now_ms);
  if (cell == NULL)
    return (mde_quota_answer){.wait_ms = TROUBLE_PAUSE_MS, .trouble = file->trouble};
  slot->opening = file->opening;
  mde_quota_answer answer = mde_cell_reserve(cell, now_ms, lease_ms, &slot->slot);
  if (answer.granted)
    note_lease(file, now_ms + lease_ms);
  return answer;
}

/* A slot of an earlier opening is the parent's, or in a file that is gone. */
void mde_quota_file_settle(mde_quota_file *file, const mde_operation *operation,
                           const mde_file_slot *slot, mde_slot_end end, int64_t now_ms)
{
  const mde_cell *cell = &file->cells[operation - mde_operations].cell;
  if (slot->opening != file->opening)
    return;
  file->under_way -= file->under_way > 0; /* also if the file turns out to be lost */
  if (is_ready(file, now_ms) && cell->memory != NULL)
    mde_cell_settle(cell, &slot->slot, end, now_ms - file->clock_ahead_ms);
}

void mde_quota_file_learn(mde_quota_file *file, const mde_operation *operation,
                          const mde_lesson *lesson, int64_t now_ms)
{
  const mde_cell *cell = mde_quota_file_cell(file, operation, &now_ms);
  if (cell != NULL)
    mde_cell_learn(cell, lesson, now_ms);
}

/* --- for people --- */

static void copy_name(char *to, const char *from, size_t size)
{
  memcpy(to, from, size);
  to[size - 1] = '\0';
}

bool mde_quota_file_listing(mde_quota_file *file, uint32_t index, int64_t *now_ms,
                            mde_quota_listing *listing)
{
  *listing = (mde_quota_listing){.cell = {.memory = NULL}};
  if (!mde_quota_file_ready(file, *now_ms))
    return false;
  mde_quota_entry *entry = mde_quota_entry_at(&file->map, index);
  if (atomic_load(&entry->id) == 0)
    return false;
  copy_name(listing->key, entry->key, sizeof listing->key);
  copy_name(listing->operation, entry->operation, sizeof listing->operation);
  mde_quota_entry_cell(&file->map, index, &listing->cell);
  mde_windows *windows = &listing->cell.windows;
  for (uint32_t i = 0; i < MDE_WINDOWS_MAX; i++) {
    mde_window window = mde_window_unpack(atomic_load(&entry->windows[i]));
    if (window.calls > 0)
      windows->window[windows->count++] = window;
  }
  *now_ms -= file->clock_ahead_ms;
  return true;
}

bool mde_quota_file_holder(mde_quota_file *file, uint32_t number, int64_t now_ms,
                           mde_quota_holder *holder)
{
  if (!mde_quota_file_ready(file, now_ms) ||
      !mde_holders_look(file->map.bytes, number, now_ms - file->clock_ahead_ms, holder))
    return false;
  holder->own = number == file->holder;
  return true;
}

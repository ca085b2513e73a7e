/* A quota that the processes of one machine share, in a file: mde_cell's, found by key and operation.
 *
 *   mde_quota_file *file = mde_quota_file_open(&settings, memory, why);      NULL: `why` says so
 *   mde_quota_file_reserve(file, operation, now_ms, lease_ms, &slot)
 *   mde_quota_file_settle(file, operation, &slot, MDE_SLOT_ANSWERED, now_ms)
 *   mde_quota_file_close(file)
 *
 * Each use looks first whether this is still the process that opened the file, and the file still the
 * one of that name and size; if not it is opened anew. While that fails there is `trouble`, and
 * nothing is granted. A file that was lost in use is full at first: what it had counted is unknown. */
#ifndef MDE_IO_QUOTA_FILE_H
#define MDE_IO_QUOTA_FILE_H

#include "core/operation.h"
#include "io/quota_holders.h"
#include "io/quota_open.h"

typedef struct mde_quota_settings {
  const char *path; /* copied, as the key is */
  const char *key;  /* at most MDE_QUOTA_KEY_MAX characters */
  bool has_windows; /* for all operations; otherwise each has its own */
  mde_windows windows;
  mde_pace pace;
  bool by_hand; /* a test moves the clock: such a file is none of this machine's clock */
} mde_quota_settings;

typedef struct mde_quota_file mde_quota_file;

typedef struct mde_file_slot {
  uint64_t opening; /* of which opening of the file; slots of earlier ones are gone */
  mde_slot slot;
} mde_file_slot;

/* Returns owned. */
mde_quota_file *mde_quota_file_open(const mde_quota_settings *settings, const mde_memory *memory,
                                    int64_t now_ms, char why[MDE_QUOTA_WHY_SIZE]);
void mde_quota_file_close(mde_quota_file *file);

mde_quota_answer mde_quota_file_reserve(mde_quota_file *file, const mde_operation *operation,
                                        int64_t now_ms, int64_t lease_ms, mde_file_slot *slot);
void mde_quota_file_settle(mde_quota_file *file, const mde_operation *operation,
                           const mde_file_slot *slot, mde_slot_end end, int64_t now_ms);
void mde_quota_file_learn(mde_quota_file *file, const mde_operation *operation,
                          const mde_lesson *lesson, int64_t now_ms);

/* The operation's cell, to ask what is left; NULL: `trouble` says why not. Borrows until the next
 * use. `now_ms` becomes a moment of the file's clock. */
const mde_cell *mde_quota_file_cell(mde_quota_file *file, const mde_operation *operation,
                                    int64_t *now_ms);
/* Whether it can be used now; opens it anew if need be. */
bool mde_quota_file_ready(mde_quota_file *file, int64_t now_ms);
const char *mde_quota_file_trouble(const mde_quota_file *file);

/* For people: whatever is in the file. */
typedef struct mde_quota_listing {
  char key[MDE_QUOTA_KEY_MAX + 1];
  char operation[MDE_QUOTA_NAME_MAX + 1];
  mde_cell cell; /* with the windows of who came last */
} mde_quota_listing;

/* `index` below MDE_QUOTA_CELLS; false: nothing there. */
bool mde_quota_file_listing(mde_quota_file *file, uint32_t index, int64_t *now_ms,
                            mde_quota_listing *listing);
/* `number` from 1 to MDE_QUOTA_HOLDERS; false: nobody. */
bool mde_quota_file_holder(mde_quota_file *file, uint32_t number, int64_t now_ms,
                           mde_quota_holder *holder);

#endif

/* What stands where in a quota's file: a header, then a cell for each key and operation.
 *
 *   mde_quota_header header;                            the first bytes of a file
 *   why = mde_quota_header_fault(&header, file_size)    NULL: it can be used
 *   mde_quota_find(map, "contoso", operation, &cell)    its cell, found or made
 *
 * It opens no file and waits for nothing. The format is of this machine: the file is for its
 * processes. */
#ifndef MDE_IO_QUOTA_FORMAT_H
#define MDE_IO_QUOTA_FORMAT_H

#include "core/operation.h"
#include "core/quota_cell.h"
#include "io/machine.h"

enum {
  MDE_QUOTA_FORMAT = 1,
  MDE_QUOTA_CELLS = 128,
  MDE_QUOTA_HOLDERS = 254, /* with a number; MDE_HOLDER_UNNUMBERED is for all others */
  MDE_HOLDER_UNNUMBERED = 255,
  MDE_QUOTA_KEY_MAX = 71,
  MDE_QUOTA_NAME_MAX = 47
};

typedef struct mde_quota_header {
  char magic[8];
  uint32_t format;
  uint32_t byte_order;
  uint32_t cells;
  uint32_t capacity; /* slots of a cell */
  uint64_t salt;
  char boot_id[MDE_BOOT_ID_SIZE];          /* whose clock the moments are of */
  uint64_t check;                          /* of all this; what follows changes */
  mde_word holders[MDE_QUOTA_HOLDERS + 1]; /* from 1 on: process id, and second of opening */
} mde_quota_header;

/* A file in memory. What is needed to find a place is kept outside, where no damage reaches it. */
typedef struct mde_quota_map {
  void *bytes;
  uint32_t capacity;
  uint64_t salt;
} mde_quota_map;

typedef struct mde_quota_entry {
  mde_word id;    /* of key and operation; 0: free */
  mde_word guard; /* against damage of the id */
  char key[MDE_QUOTA_KEY_MAX + 1];
  char operation[MDE_QUOTA_NAME_MAX + 1];
  mde_word windows[MDE_WINDOWS_MAX]; /* of who came last, for people to read */
  mde_cell_memory memory;            /* the slots are behind it */
} mde_quota_entry;

size_t mde_quota_file_bytes(uint32_t capacity);

/* Makes an empty file's contents in zeroed memory of so many bytes. */
void mde_quota_format(const mde_quota_map *map, const char boot_id[MDE_BOOT_ID_SIZE]);
/* Why that is no file to use, or NULL. */
const char *mde_quota_header_fault(const mde_quota_header *header, uint64_t file_bytes);

mde_quota_entry *mde_quota_entry_at(const mde_quota_map *map, uint32_t index);
/* Sets the memory and the slots of the cell. */
void mde_quota_entry_cell(const mde_quota_map *map, uint32_t index, mde_cell *cell);

typedef enum mde_quota_found {
  MDE_QUOTA_FOUND,
  MDE_QUOTA_SUSPECT, /* made anew, but it may be that the old one's name is damaged */
  MDE_QUOTA_FULL
} mde_quota_found;

/* Sets `index`. */
mde_quota_found mde_quota_find(const mde_quota_map *map, const char *key, const char *operation,
                               uint32_t *index);

/* Whether the cell is still the one of that name: it is not where the name is damaged. */
bool mde_quota_is_named(const mde_quota_map *map, uint32_t index, uint64_t id);
uint64_t mde_quota_id(const char *key, const char *operation);

/* Takes over all cells of another file. */
void mde_quota_inherit(const mde_quota_map *map, const mde_quota_map *from, bool rebooted);

#endif

/* Opens a quota's file, or makes it: all that is said about whom and what to trust.
 *
 *   mde_quota_opening opening = {.path = path, .capacity = 1536, .boot_id = boot_id};
 *   if (!mde_quota_open(&opening)) ... opening.why
 *   ... opening.map, opening.fd: yours now; mde_quota_unmap() ends both
 *
 * A file is made whole under another name and then linked to its own, so nobody sees half of one.
 * Whoever has it open holds a shared lock on it for as long, which the kernel ends with the process.
 * It tells a newcomer whether it is alone; only then the file is made anew: larger, or for the clock
 * of this boot. No decision of the quota takes a lock. */
#ifndef MDE_IO_QUOTA_OPEN_H
#define MDE_IO_QUOTA_OPEN_H

#include "io/quota_format.h"

#include <stddef.h>

enum { MDE_QUOTA_WHY_SIZE = 1024 };

typedef struct mde_quota_opening {
  const char *path;    /* borrows */
  uint32_t capacity;   /* slots that are needed */
  const char *boot_id; /* MDE_BOOT_ID_SIZE bytes; borrows */
  mde_quota_map map;
  int fd;
  char why[MDE_QUOTA_WHY_SIZE]; /* for people, when it failed */
} mde_quota_opening;

/* Waits at most about half a second, for another process that is making the file anew. */
bool mde_quota_open(mde_quota_opening *opening);

/* Gives up map and descriptor; accepts zeroed maps and -1. */
void mde_quota_unmap(mde_quota_map *map, int *fd);

/* Whether the file is still as large as the map, and still somewhere in a folder. */
typedef enum mde_quota_state { MDE_QUOTA_WHOLE, MDE_QUOTA_CUT, MDE_QUOTA_GONE } mde_quota_state;
mde_quota_state mde_quota_look(const mde_quota_map *map, int fd);

#endif

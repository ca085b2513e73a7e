#include "io/quota_open.h"

#include "io/clock.h"
#include "io/network_drive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 500, PAUSE_NS = 1000000, PATH_SHOWN = 600, PATH_BYTES = 8192 };

static const char ONE_USER[] = "All who share it must run as one user";

typedef enum step { OPENED, AGAIN, REFUSED } step;

/* --- what is wrong, for people --- */

static step refuse(mde_quota_opening *opening, const char *reason, const char *advice)
{
  bool cut = strlen(opening->path) > PATH_SHOWN;
  snprintf(opening->why, sizeof opening->why, "quota file '%.*s%s': %s%s%s", PATH_SHOWN,
           opening->path, cut ? "..." : "", reason, advice[0] != '\0' ? ". " : "", advice);
  return REFUSED;
}

static step refuse_errno(mde_quota_opening *opening, int code, const char *advice)
{
  if (code == EINTR || code == EAGAIN || code == EWOULDBLOCK)
    return AGAIN;
  return refuse(opening, strerror(code), advice);
}

/* --- the map --- */

void mde_quota_unmap(mde_quota_map *map, int *fd)
{
  if (map->bytes != NULL)
    munmap(map->bytes, mde_quota_file_bytes(map->capacity));
  map->bytes = NULL;
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static bool map_bytes(int fd, uint32_t capacity, uint64_t salt, mde_quota_map *map)
{
  size_t bytes = mde_quota_file_bytes(capacity);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  *map = (mde_quota_map){memory != MAP_FAILED ? memory : NULL, capacity, salt};
  return map->bytes != NULL;
}

mde_quota_state mde_quota_look(const mde_quota_map *map, int fd)
{
  struct stat facts;
  if (fstat(fd, &facts) != 0 || facts.st_nlink == 0)
    return MDE_QUOTA_GONE;
  bool whole = (uint64_t)facts.st_size >= mde_quota_file_bytes(map->capacity);
  return whole ? MDE_QUOTA_WHOLE : MDE_QUOTA_CUT;
}

/* --- making a file --- */

/* Room on the drive first: a map has no way to say that there is none. */
static int fill(int fd, const mde_quota_opening *opening, const mde_quota_map *from, bool rebooted)
{
  mde_quota_map map;
  int code = posix_fallocate(fd, 0, (off_t)mde_quota_file_bytes(opening->capacity));
  if (code != 0)
    return code;
  if (!map_bytes(fd, opening->capacity, mde_random_seed(), &map))
    return errno;
  mde_quota_format(&map, opening->boot_id);
  if (from != NULL)
    mde_quota_inherit(&map, from, rebooted);
  munmap(map.bytes, mde_quota_file_bytes(map.capacity));
  return 0;
}

/* A file of a first one's name is never touched; one that is made anew takes the other's place. */
static int publish(const char *temporary, const char *path, bool anew)
{
  if (anew ? rename(temporary, path) == 0 : link(temporary, path) == 0 || errno == EEXIST)
    return 0;
  return errno;
}

static int make_as(const char *temporary, const mde_quota_opening *opening,
                   const mde_quota_map *from, bool rebooted)
{
  int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return errno;
  int code = fchmod(fd, 0600) == 0 ? fill(fd, opening, from, rebooted) : errno;
  close(fd);
  if (code == 0)
    code = publish(temporary, opening->path, from != NULL);
  unlink(temporary);
  return code;
}

static step make(mde_quota_opening *opening, const mde_quota_map *from, bool rebooted)
{
  char temporary[PATH_BYTES + 32];
  unsigned long long random = mde_random_seed();
  int length = snprintf(temporary, sizeof temporary, "%s.%llx", opening->path, random);
  if (length < 0 || (size_t)length >= sizeof temporary)
    return refuse(opening, "its name is too long", "");
  int code = make_as(temporary, opening, from, rebooted);
  if (code == 0)
    return AGAIN;
  return refuse_errno(opening, code,
                      code == ENOENT ? "Make the folder first; it must be this user's" : "");
}

/* --- trusting a file --- */

static step check_owner(mde_quota_opening *opening)
{
  struct stat facts;
  char reason[128];
  if (fstat(opening->fd, &facts) != 0)
    return refuse_errno(opening, errno, "");
  if (!S_ISREG(facts.st_mode))
    return refuse(opening, "it is no file", "");
  if (facts.st_uid != geteuid()) {
    snprintf(reason, sizeof reason, "it belongs to user %lu, and this process is user %lu",
             (unsigned long)facts.st_uid, (unsigned long)geteuid());
    return refuse(opening, reason, ONE_USER);
  }
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return refuse(opening, "others may write to it", "Look who did, then chmod 600 it");
  return OPENED;
}

static step check_drive(mde_quota_opening *opening)
{
  const char *drive = mde_network_drive(opening->fd);
  char reason[64];
  if (drive == NULL)
    return OPENED;
  snprintf(reason, sizeof reason, "it is on a network drive (%s)", drive);
  return refuse(opening, reason,
                "Use a local drive for processes of one machine, mde.redis for several machines");
}

/* Alone, or among others; never waiting for either. */
static step lock(mde_quota_opening *opening, bool *alone)
{
  *alone = flock(opening->fd, LOCK_EX | LOCK_NB) == 0;
  if (*alone || flock(opening->fd, LOCK_SH | LOCK_NB) == 0)
    return OPENED;
  return refuse_errno(opening, errno, "");
}

static step read_header(mde_quota_opening *opening, mde_quota_header *header)
{
  struct stat facts;
  if (fstat(opening->fd, &facts) != 0)
    return refuse_errno(opening, errno, "");
  if (facts.st_nlink == 0)
    return AGAIN; /* another has taken its place */
  memset(header, 0, sizeof *header);
  if (pread(opening->fd, header, sizeof *header, 0) < 0)
    return refuse_errno(opening, errno, "");
  const char *fault = mde_quota_header_fault(header, (uint64_t)facts.st_size);
  if (fault == NULL)
    return OPENED;
  return refuse(opening, fault,
                "Give another path, or stop what uses the file and remove it;"
                " what it has counted is then forgotten");
}

static step make_anew(mde_quota_opening *opening, bool alone, bool rebooted)
{
  if (!alone && rebooted)
    return refuse(opening, "it is in use by a machine that was started at another time",
                  "A file is for the processes of one machine; see mde.redis for several");
  if (!alone)
    return refuse(opening, "it was made for fewer calls in a window than rate_limit says here",
                  "Give all the same rate_limit, and start them again");
  if (opening->capacity < opening->map.capacity)
    opening->capacity = opening->map.capacity;
  return make(opening, &opening->map, rebooted);
}

static void forget(const mde_quota_map *map)
{
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++) {
    mde_cell cell = {0};
    mde_quota_entry_cell(map, i, &cell);
    mde_cell_forget(&cell);
  }
}

/* What the service once said of its limits holds until nobody uses the file any more. */
static step settle_in(mde_quota_opening *opening, bool alone)
{
  if (alone)
    forget(&opening->map);
  if (alone && flock(opening->fd, LOCK_SH | LOCK_NB) != 0)
    return refuse_errno(opening, errno, "");
  return OPENED;
}

static step use(mde_quota_opening *opening, bool alone)
{
  mde_quota_header header;
  step next = read_header(opening, &header);
  if (next != OPENED)
    return next;
  if (!map_bytes(opening->fd, header.capacity, header.salt, &opening->map))
    return refuse_errno(opening, errno, "");
  bool rebooted = memcmp(header.boot_id, opening->boot_id, MDE_BOOT_ID_SIZE) != 0;
  if (rebooted || header.capacity < opening->capacity)
    return make_anew(opening, alone, rebooted);
  return settle_in(opening, alone);
}

/* --- opening --- */

static step open_once(mde_quota_opening *opening)
{
  bool alone = false;
  opening->fd = open(opening->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (opening->fd < 0 && errno == ENOENT)
    return make(opening, NULL, false);
  if (opening->fd < 0 && errno == ELOOP)
    return refuse(opening, "it is a symbolic link", "Name the file itself");
  if (opening->fd < 0)
    return refuse_errno(opening, errno, errno == EACCES ? ONE_USER : "");
  step next = check_owner(opening);
  if (next == OPENED)
    next = check_drive(opening);
  if (next == OPENED)
    next = lock(opening, &alone);
  return next == OPENED ? use(opening, alone) : next;
}

bool mde_quota_open(mde_quota_opening *opening)
{
  static const struct timespec pause = {0, PAUSE_NS};
  if (strlen(opening->path) > PATH_BYTES)
    return refuse(opening, strerror(ENAMETOOLONG), "") == OPENED;
  refuse(opening, "another process has been making it anew for too long",
         "Is one stopped in the middle of it?");
  for (int i = 0; i < TRIES; i++) {
    opening->map = (mde_quota_map){0};
    step next = open_once(opening);
    if (next == OPENED)
      return true;
    mde_quota_unmap(&opening->map, &opening->fd);
    if (next == REFUSED)
      return false;
    if (i > 0)
      nanosleep(&pause, NULL);
  }
  return false;
}

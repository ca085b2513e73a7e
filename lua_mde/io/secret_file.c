#include "io/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 4096 };

/* --- marks --- */

static int64_t ns_of(struct timespec moment)
{
  return (int64_t)moment.tv_sec * 1000000000 + moment.tv_nsec;
}

static mde_file_mark mark_of(const struct stat *facts)
{
#ifdef __APPLE__
  struct timespec modified = facts->st_mtimespec, changed = facts->st_ctimespec;
#else
  struct timespec modified = facts->st_mtim, changed = facts->st_ctim;
#endif
  return (mde_file_mark){.dev = (uint64_t)facts->st_dev,
                         .ino = (uint64_t)facts->st_ino,
                         .size = (int64_t)facts->st_size,
                         .mtime_ns = ns_of(modified),
                         .ctime_ns = ns_of(changed)};
}

bool mde_secret_file_mark(const char *path, mde_file_mark *mark)
{
  struct stat facts;
  bool seen = stat(path, &facts) == 0;
  *mark = seen ? mark_of(&facts) : (mde_file_mark){0};
  return seen;
}

bool mde_file_mark_equal(const mde_file_mark *a, const mde_file_mark *b)
{
  return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
         a->ctime_ns == b->ctime_ns;
}

/* --- what is wrong, for people --- */

static bool refuse(const mde_secret_file *file, mde_trouble *trouble, const char *reason)
{
  return mde_trouble_say_of(trouble, file->what, file->path, "%s", reason);
}

static bool refuse_large(const mde_secret_file *file, size_t most, mde_trouble *trouble)
{
  return mde_trouble_say_of(trouble, file->what, file->path,
                            "it has more than %zu bytes. Is it the right file?", most);
}

static bool is_trusted(const mde_secret_file *file, const struct stat *facts, mde_trouble *trouble)
{
  if (!S_ISREG(facts->st_mode))
    return refuse(file, trouble,
                  S_ISDIR(facts->st_mode) ? "it is a folder" : "it is no ordinary file");
  if (facts->st_uid != 0 && facts->st_uid != geteuid())
    return mde_trouble_say_of(trouble, file->what, file->path,
                              "it belongs to another user, who may change it. Give it to this one: "
                              "chown %lu '%s'",
                              (unsigned long)geteuid(), file->path);
  if ((facts->st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return mde_trouble_say_of(trouble, file->what, file->path,
                              "others than its owner may change it. Forbid it: chmod go-w '%s'",
                              file->path);
  return true;
}

/* --- reading --- */

static ssize_t read_some(int fd, char *chunk)
{
  ssize_t size;
  do
    size = read(fd, chunk, CHUNK_BYTES);
  while (size < 0 && errno == EINTR);
  return size;
}

/* 0 or errno; the buffer knows of its own failures. */
static int read_all(int fd, mde_buffer *content)
{
  char chunk[CHUNK_BYTES];
  ssize_t size;
  do {
    size = read_some(fd, chunk);
    if (size > 0)
      mde_buffer_append(content, chunk, (size_t)size);
  } while (size > 0 && content->status == MDE_OK);
  int code = size < 0 ? errno : 0;
  mde_wipe(chunk, sizeof chunk);
  return code;
}

static bool read_open(int fd, const mde_secret_file *file, mde_buffer *content, mde_file_mark *mark,
                      mde_trouble *trouble)
{
  struct stat facts;
  if (fstat(fd, &facts) != 0)
    return refuse(file, trouble, strerror(errno));
  if (!is_trusted(file, &facts, trouble))
    return false;
  if (facts.st_size > 0 && (uint64_t)facts.st_size > content->max_bytes)
    return refuse_large(file, content->max_bytes, trouble);
  int code = read_all(fd, content);
  if (code != 0)
    return refuse(file, trouble, strerror(code));
  if (content->status == MDE_NO_MEMORY)
    return mde_trouble_no_memory(trouble);
  if (content->status == MDE_TOO_LARGE)
    return refuse_large(file, content->max_bytes, trouble);
  if (content->length == 0)
    return refuse(file, trouble, "it is empty");
  *mark = mark_of(&facts);
  return true;
}

/* Without O_NONBLOCK the opening of a FIFO would wait for somebody who writes. */
static int open_file(const char *path)
{
  int fd;
  do
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  return fd;
}

bool mde_secret_file_read(const mde_secret_file *file, mde_buffer *content, mde_trouble *trouble)
{
  mde_file_mark mark = {0};
  mde_buffer_reset(content);
  int fd = open_file(file->path);
  bool done = fd >= 0 ? read_open(fd, file, content, &mark, trouble)
                      : refuse(file, trouble, strerror(errno));
  if (fd >= 0)
    close(fd);
  if (!done)
    mde_buffer_reset(content);
  if (file->mark != NULL)
    *file->mark = mark;
  return done;
}
